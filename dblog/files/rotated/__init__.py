"""The files that were rotated: their names, when they come to be, how many stay, and their compression."""
