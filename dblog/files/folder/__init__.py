"""A folder of log files from outside, for people and the command line, whoever writes the files."""
