"""The reading side: filters, windows of time, queries, following and figures."""
