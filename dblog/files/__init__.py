"""Plain log files: written in blocks, rotated, compressed and bounded, through full disks."""
