"""What happens while a log file cannot be written: another stream, making room, the way back, and who is told."""
