"""Checks of the database, one kind in each module, each with the command that mends what is wrong."""
