"""The parts of a handler, put together from its settings: it knows both the writing and the keeping side."""

import os
from functools import partial

import psycopg

from dblog.delivery import Delivery
from dblog.location import place, target
from dblog.pacing import Pacing
from dblog.row import RowEncoder
from dblog.selflog import Announcer
from dblog.settings import HandlerSettings
from dblog.sinks.postgres import PostgresSink
from dblog.sinks.spool import Spool
from dblog.sinks.stderr import StderrSink


def make_encoder(settings: HandlerSettings, hostname: str) -> RowEncoder:
    """What turns records into lines."""
    return RowEncoder(
        service=settings.service,
        hostname=hostname,
        max_field_bytes=settings.max_field_bytes,
        mask_keys=settings.mask_keys,
    )


def make_delivery(settings: HandlerSettings, writer_id: str, hostname: str, announcer: Announcer) -> Delivery:
    """What brings batches away, with a connection that is not yet open."""
    conninfo = settings.dsn.get_secret_value()
    delivery = Delivery(
        writer_id,
        place(conninfo),
        _make_database(settings, conninfo, hostname),
        StderrSink(settings.console_level),
        Pacing(settings.batch_size, settings.batch_bytes, settings.flush_interval),
        announcer,
    )
    if settings.spool_dir is not None:
        delivery.spool = Spool(
            settings.spool_dir,
            writer_id=writer_id,
            target=target(conninfo, settings.schema_name, settings.table_prefix),
            report=delivery.lost,
        )
    return delivery


def _make_database(settings: HandlerSettings, conninfo: str, hostname: str) -> PostgresSink:
    return PostgresSink(
        conninfo=conninfo,
        schema=settings.schema_name,
        table_prefix=settings.table_prefix,
        service=settings.service,
        hostname=hostname,
        process_id=os.getpid(),
        connect_timeout=settings.connect_timeout,
        query_timeout=settings.query_timeout,
        partitions_ahead=settings.partitions_ahead,
        prepare=partial(_prepare, settings) if settings.auto_create else None,
    )


def _prepare(settings: HandlerSettings, connection: psycopg.Connection) -> None:
    """Create or upgrade the tables; SQLAlchemy and Alembic are loaded only where that has to be done."""
    from dblog.store.migrate import prepare

    prepare(
        connection,
        schema=settings.schema_name,
        table_prefix=settings.table_prefix,
        partition_by=settings.partition_by,
        indexes=settings.indexes,
        partitions_ahead=settings.partitions_ahead,
    )
