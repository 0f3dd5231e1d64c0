"""The parts of a handler, put together from its settings: it knows both the writing and the keeping side."""

import os
from functools import partial

import psycopg

from dblog import spooldir
from dblog.columns import COLUMN_NAMES
from dblog.location import place, target
from dblog.selflog import Announcer
from dblog.settings import HandlerSettings
from dblog.sinks.frames import make_header
from dblog.sinks.journal import Journal
from dblog.sinks.postgres import PostgresSink
from dblog.sinks.spool import Spool
from dblog.sinks.stderr import StderrSink
from dblog.writing.delivery import Delivery
from dblog.writing.journalqueue import JournalQueue
from dblog.writing.linequeue import LineQueue
from dblog.writing.pacing import Pacing
from dblog.writing.row import RowEncoder
from dblog.writing.safespool import SafeSpool
from dblog.writing.status import Status


def make_encoder(settings: HandlerSettings, hostname: str) -> RowEncoder:
    """What turns records into lines."""
    return RowEncoder(
        service=settings.service,
        hostname=hostname,
        max_field_bytes=settings.max_field_bytes,
        mask_keys=settings.mask_keys,
    )


def make_delivery(
    settings: HandlerSettings, writer_id: str, hostname: str, announcer: Announcer, *, spool_target: str | None = None
) -> Delivery:
    """What brings batches away, with a connection that is not yet open.

    `spool_target` is what the rows of its spool were meant for; None for the database of the settings.
    """
    conninfo = settings.dsn.get_secret_value()
    delivery = Delivery(
        writer_id,
        place(conninfo),
        _make_database(settings, conninfo, writer_id, hostname),
        StderrSink(settings.console_level),
        Pacing(settings.batch_size, settings.batch_bytes, settings.flush_interval),
        announcer,
    )
    directory = spooldir.resolve(settings.spool_dir)
    if directory is not None:
        spool = Spool(
            directory,
            writer_id=writer_id,
            target=spool_target or _target(settings),
            report=delivery.lost,
            max_bytes=settings.spool_max_bytes,
            min_free=settings.spool_min_free,
            fsync=settings.spool_fsync,
        )
        delivery.spool = SafeSpool(spool, announcer)
    elif settings.spool_dir != spooldir.NONE:
        said = "no folder can be used for the spool, records wait in memory only; set spool_dir, or to none"
        announcer.announce("no folder", said)
    return delivery


def make_queue(settings: HandlerSettings, delivery: Delivery, writer_id: str, announcer: Announcer) -> LineQueue:
    """Where records wait for their batch; with `durability: journal` they are in a file, too."""
    sheds = settings.overflow == "drop"
    if settings.durability != "journal" or delivery.spool is None:
        return LineQueue(settings.queue_max_bytes, writer_id=writer_id, sheds=sheds)
    delivery.journal = Journal(
        delivery.spool.directory / writer_id,
        make_header(_target(settings), COLUMN_NAMES),
        make_home=delivery.spool.open,
        fsync=settings.spool_fsync,
    )
    return JournalQueue(
        settings.queue_max_bytes,
        delivery.journal,
        writer_id=writer_id,
        batch_size=settings.batch_size,
        batch_bytes=settings.batch_bytes,
        trouble=partial(_announce_trouble, announcer),
        sheds=sheds,
    )


def make_status(settings: HandlerSettings, writer_id: str, hostname: str, *, spool_target: str | None = None) -> Status:
    """What tells others on this host how the writer is."""
    return Status(
        {
            "writer_id": writer_id,
            "process_id": os.getpid(),
            "hostname": hostname,
            "service": settings.service,
            "place": place(settings.dsn.get_secret_value()),
            "target": spool_target or _target(settings),
            "durability": settings.durability,
        }
    )


def _target(settings: HandlerSettings) -> str:
    return target(settings.dsn.get_secret_value(), settings.schema_name, settings.table_prefix)


def _announce_trouble(announcer: Announcer, error: OSError) -> None:
    said = f"the journal takes no records, they are in memory only: {error.strerror or error}"
    announcer.announce("journal", said)


def _make_database(settings: HandlerSettings, conninfo: str, writer_id: str, hostname: str) -> PostgresSink:
    return PostgresSink(
        conninfo=conninfo,
        schema=settings.schema_name,
        table_prefix=settings.table_prefix,
        writer_id=writer_id,
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
