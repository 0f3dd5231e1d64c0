"""The `dblog` command: one file per command, each of which parses, calls and renders."""
