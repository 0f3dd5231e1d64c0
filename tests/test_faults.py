"""Errors are told apart by SQLSTATE, and described without a word of the driver's text."""

import psycopg
import pytest
from psycopg import errors
from servers import Server

from dblog.faults import Fault, classify, describe, needs_new_session, sqlstate_of


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("08006", Fault.UNREACHABLE),
        ("57P01", Fault.UNREACHABLE),
        ("57P03", Fault.UNREACHABLE),
        ("53300", Fault.UNREACHABLE),
        ("53100", Fault.UNREACHABLE),
        ("58030", Fault.UNREACHABLE),
        ("40001", Fault.UNREACHABLE),
        ("40P01", Fault.UNREACHABLE),
        ("25006", Fault.UNREACHABLE),
        ("55P03", Fault.UNREACHABLE),
        ("57014", Fault.UNREACHABLE),
        ("42P01", Fault.OPERATOR),
        ("42501", Fault.OPERATOR),
        ("28P01", Fault.OPERATOR),
        ("28000", Fault.OPERATOR),
        ("3D000", Fault.OPERATOR),
        ("3F000", Fault.OPERATOR),
        ("0A000", Fault.OPERATOR),
        ("42703", Fault.OPERATOR),
        ("22021", Fault.BAD_DATA),
        ("22P02", Fault.BAD_DATA),
        ("23502", Fault.BAD_DATA),
        ("23505", Fault.BAD_DATA),
        ("54000", Fault.BAD_DATA),
        ("44000", Fault.BAD_DATA),
        ("P0001", Fault.BAD_DATA),
        ("P0004", Fault.BAD_DATA),
        ("09000", Fault.BAD_DATA),
        ("21000", Fault.BAD_DATA),
        ("38000", Fault.BAD_DATA),
        ("XX000", Fault.UNREACHABLE),
    ],
)
def test_each_sqlstate_has_its_meaning(state: str, fault: Fault) -> None:
    """What a failure means for a batch follows from the class of its SQLSTATE."""
    error = errors.lookup(state)("driver text with hunter2")
    assert classify(error) is fault
    assert f"(SQLSTATE {state})" in describe(error)
    assert "hunter2" not in describe(error)


@pytest.mark.parametrize(
    ("error", "fault", "text"),
    [
        (psycopg.OperationalError("hunter2"), Fault.UNREACHABLE, "no connection to the server"),
        (
            psycopg.OperationalError('FATAL: too many connections for role "hunter2"'),
            Fault.UNREACHABLE,
            "the server, the database or the role has no free connection",
        ),
        (TimeoutError("hunter2"), Fault.UNREACHABLE, "no answer within the time limit"),
        (ConnectionRefusedError(111, "Connection refused"), Fault.UNREACHABLE, "Connection refused"),
        (
            psycopg.OperationalError("FATAL: sorry, too many clients already, hunter2"),
            Fault.UNREACHABLE,
            "the server has no free connection",
        ),
        (
            psycopg.OperationalError("FATAL: the database system is starting up, hunter2"),
            Fault.UNREACHABLE,
            "the server is shutting down, starting up or in recovery",
        ),
        (
            psycopg.OperationalError('FATAL: no pg_hba.conf entry for host "hunter2"'),
            Fault.UNREACHABLE,
            "the server's pg_hba.conf does not let this role in from here",
        ),
        (psycopg.DataError("hunter2"), Fault.BAD_DATA, "a value was refused"),
        (KeyError("hunter2"), Fault.UNREACHABLE, "unexpected KeyError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_without_a_sqlstate(error: Exception, fault: Fault, text: str) -> None:
    """What never reached a server is told apart by its kind, and quotes nothing of what it was about."""
    assert sqlstate_of(error) is None
    assert (classify(error), describe(error)) == (fault, text)


@pytest.mark.parametrize(
    ("state", "needed"),
    [("25006", True), ("42501", True), ("42P01", True), ("53300", False), ("55P03", False), ("57014", False)],
)
def test_a_new_session_is_had_where_it_may_help(state: str, needed: bool) -> None:
    """Settings of a role, the host and the tables are looked up by a new session; a lock or a limit is waited for."""
    assert needs_new_session(errors.lookup(state)()) is needed


def test_a_sqlstate_of_a_triggers_own_is_bad_data(server: Server) -> None:
    """What RAISE makes up refuses a row; the same class from anywhere else says nothing about rows."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute("DO $$ BEGIN RAISE 'hunter2' USING ERRCODE = 'MY001'; END $$")
    assert classify(caught.value) is Fault.BAD_DATA
    assert describe(caught.value) == "refused (SQLSTATE MY001)"


def test_a_missing_partition_is_no_bad_row(server: Server) -> None:
    """Both have SQLSTATE 23514; only where no constraint is named is a partition missing."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE parted (a integer CHECK (a > 0)) PARTITION BY RANGE (a)")
        with pytest.raises(errors.CheckViolation) as missing:
            connection.execute("INSERT INTO parted VALUES (1)")
        connection.execute("CREATE TEMP TABLE part PARTITION OF parted FOR VALUES FROM (-9) TO (9)")
        with pytest.raises(errors.CheckViolation) as refused:
            connection.execute("INSERT INTO parted VALUES (-1)")
    assert classify(missing.value) is Fault.NO_PARTITION
    assert classify(refused.value) is Fault.BAD_DATA


def test_a_wrong_password_is_recognised(server: Server) -> None:
    """That a connection was refused after a password was sent is said, without the password."""
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(server.dsn(), user="nobody_here", password="hunter2")
    assert "wrong role, password or database?" in describe(caught.value)
    assert "hunter2" not in describe(caught.value)
