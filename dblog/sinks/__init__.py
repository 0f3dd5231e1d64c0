"""Where a batch can go: the database, the spool, stderr. Each takes the whole batch or raises."""
