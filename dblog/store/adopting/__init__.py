"""Taking the rows of another logs table into the records, a batch at a time."""
