"""What dblog costs and carries, measured beside the usual ways in one run: `make bench`."""
