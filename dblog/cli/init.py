"""`dblog init`: create or upgrade the tables."""

from typing import get_args

import click

from dblog.cli.options import with_settings
from dblog.errors import DatabaseError, Unreachable, UsageError
from dblog.settings import DatabaseSettings, IndexProfile, PartitionBy, Settings
