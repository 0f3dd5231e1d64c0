"""Lines for files: one record is one line, whatever somebody has logged, and JSON is JSON."""

import asyncio
import json
import logging
import logging.config
import pickle
import sys
from typing import Any

import pytest
from failures import caught, fall
from hypothesis import given
from hypothesis import strategies as st

from dblog.formatting import JsonFormatter, TextFormatter

FORMATTERS: list[logging.Formatter] = [TextFormatter("%(message)s"), JsonFormatter()]
ALWAYS = {"timestamp", "level", "logger", "message", "process", "thread", "module", "function", "path", "line"}


class Hostile:
    """An object that cannot be looked at."""

    def __str__(self) -> str:
        raise RuntimeError("not today")

    __repr__ = __str__


def record(message: object = "m", *arguments: object, **attributes: object) -> logging.LogRecord:
    """A record of the logger `shop`."""
    made = logging.LogRecord("shop", logging.INFO, "/srv/cart.py", 7, message, arguments, None, "buy")
    made.__dict__.update(attributes)
    return made


def as_json(odd: logging.LogRecord, **options: Any) -> dict[str, Any]:
    """What a line of JSON says of a record; it is a single line for everybody."""
    line = JsonFormatter(**options).format(odd)
    assert len(line.splitlines()) == 1
    line.encode()
    loaded = json.loads(line)
    assert isinstance(loaded, dict)
    return loaded


def test_a_plain_record_has_the_documented_keys() -> None:
    """A record without anything special has the keys that are always there, with the time in UTC."""
    line = as_json(record("bought %d", 3, created=1_795_000_000.25))
    assert line.keys() == ALWAYS
    assert line["timestamp"] == "2026-11-18T11:06:40.250000Z"
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "shop", "bought 3")
    assert (line["function"], line["path"], line["line"]) == ("buy", "/srv/cart.py", 7)


def test_what_a_record_carries_is_there() -> None:
    """Extras without secrets, the traceback, the stack, the service, the trace and the task are keys of the object."""

    async def log_within_a_task() -> dict[str, Any]:
        try:
            raise KeyError("x")
        except KeyError:
            odd = record(exc_info=sys.exc_info(), stack_info="Stack:\n  here", user="ann", db_password="hunter2")
        odd.trace_id, odd.span_id = "a" * 32, "b" * 16
        odd.taskName = "task-of-ann"
        task = asyncio.current_task()
        assert task is not None
        task.set_name("task-of-ann")
        return as_json(odd, service="web")

    line = asyncio.run(log_within_a_task())
    assert line.pop("exception").startswith("Traceback (most recent call last):\n")
    assert {name: value for name, value in line.items() if name not in ALWAYS} == {
        "service": "web",
        "task": "task-of-ann",
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "exception_type": "KeyError",
        "stack": "Stack:\n  here",
        "extra": {"user": "ann", "db_password": "***"},
    }


def test_a_traceback_that_came_as_text_is_kept() -> None:
    """What another process has formatted already stays the exception of the line."""
    assert as_json(record(exc_text="Traceback: far away"))["exception"] == "Traceback: far away"


@pytest.mark.parametrize(
    "attributes",
    [
        {"msg": "%d and %s", "args": ("no number",)},
        {"msg": Hostile()},
        {"created": "yesterday"},
        {"created": float("nan")},
        {"process": 10**6000},
        {"thread": Hostile(), "threadName": Hostile()},
        {"exc_info": (RuntimeError, Hostile(), "no traceback")},
        {"stack_info": Hostile()},
        {"name": b"bytes", "levelname": None},
        {"broken": Hostile(), 7: "no name"},
        {"lineno": float("inf")},
    ],
    ids=range(11),
)
def test_nothing_about_a_record_raises(attributes: dict[Any, object]) -> None:
    """However odd a record is, it becomes a line that says what can be said, with a time and a message."""
    line = as_json(record("m", **{str(name): value for name, value in attributes.items()}))
    assert {"timestamp", "level", "logger", "message"} <= line.keys()


def test_a_record_that_lacks_attributes_becomes_a_line() -> None:
    """A record that somebody has taken apart has defaults in the place of what is missing."""
    odd = record("left")
    del odd.funcName, odd.process
    assert as_json(odd)["message"] == "left"


def test_what_is_too_long_is_cut_visibly() -> None:
    """Messages and extras beyond the limit end with a note, and the line is still JSON."""
    line = as_json(record("x" * 5000, much="y" * 5000), max_field_bytes=1000)
    assert line["message"].endswith("[cut by dblog: 5000 bytes in all]")
    assert line["extra"]["dblog_error"].startswith("extra of ")


@pytest.mark.parametrize("logged", ["a\u2028b", "a\x85b", "\x1b[31mred", "\u202eright to left", "half \udcff"])
def test_nothing_in_json_ends_the_line_or_steers_a_terminal(logged: str) -> None:
    """What JSON would let through as it is stands in the line as an escape, and means the same."""
    line = JsonFormatter().format(record(logged))
    assert line.isprintable()
    assert json.loads(line)["message"] == logged


@given(st.text(), st.text(min_size=1))
def test_json_gives_back_every_text(message: str, value: str) -> None:
    """Any text comes back from its line as it was logged; half characters excepted, which no file can hold."""
    line = as_json(record("%s", message, field=value))
    assert line["message"] == message
    assert line["extra"]["field"] == value.replace("\0", "\\x00")


@pytest.mark.parametrize(
    ("logged", "written"),
    [
        ("a\nb", "a\\nb"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("nul\0", "nul\\x00"),
        ("next\x85line\u2028", "next\\x85line\\u2028"),
        ("half \udcff", "half \\udcff"),
        ("tab\tstays, so do ä, 漢 and 👩‍💻", "tab\tstays, so do ä, 漢 and 👩‍💻"),
    ],
)
def test_text_is_one_line(logged: str, written: str) -> None:
    """What would end a line or steer a terminal is written as an escape; all other text stays as it is."""
    assert TextFormatter("%(levelname)s %(message)s").format(record(logged)) == f"INFO {written}"


def test_a_traceback_is_part_of_the_line() -> None:
    """With escapes a traceback is part of the line; without them the lines are those of the standard library."""
    try:
        raise ValueError("forged\nERROR line")
    except ValueError:
        odd = record(exc_info=sys.exc_info())
    assert len(TextFormatter("%(message)s").format(odd).splitlines()) == 1
    assert TextFormatter("%(message)s", escape=False).format(odd) == logging.Formatter("%(message)s").format(odd)


def test_both_can_be_named_in_a_dict_config(capsys: pytest.CaptureFixture[str]) -> None:
    """`dictConfig` makes both by `()`, the one for text also by `class`."""
    stream = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
    logger = logging.getLogger("test.formatting")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {"()": "dblog.formatting.JsonFormatter", "service": "web"},
                "text": {"()": "dblog.formatting.TextFormatter", "fmt": "own %(message)s"},
                "class": {"class": "dblog.formatting.TextFormatter", "format": "class %(message)s"},
            },
            "handlers": {name: {**stream, "formatter": name} for name in ("json", "text", "class")},
            "loggers": {"test.formatting": {"handlers": ["json", "text", "class"], "propagate": False}},
        }
    )
    try:
        logger.warning("a\nb")
    finally:
        logger.handlers.clear()
        logger.propagate = True
    first, *others = capsys.readouterr().out.splitlines()
    assert json.loads(first)["service"] == "web"
    assert others == ["own a\\nb", "class a\\nb"]


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "JSON"])
def test_a_formatter_goes_to_other_processes(formatter: logging.Formatter) -> None:
    """A formatter that has met exceptions can be pickled, and writes the same lines in the process that it goes to."""
    made = record(exc_info=caught(lambda: fall(2, ValueError("lost"))))
    line = formatter.format(made)
    assert pickle.loads(pickle.dumps(formatter)).format(made) == line  # noqa: S301 - our own
