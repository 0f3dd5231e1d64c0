"""The archive: partitions as files that other engines read, too, and back again."""

from dblog.archive.hook import archiver

__all__ = ["archiver"]
