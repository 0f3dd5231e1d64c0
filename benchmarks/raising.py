"""Exceptions from many places, as a service has them, made by functions that are generated."""

import linecache
from collections.abc import Callable, Iterator

DIFFERENT = 50
"""How many exceptions there are."""
DEPTHS = range(3, 13)
"""How many frames deep they are, in turn."""
_KINDS = ("ValueError", "KeyError", "TimeoutError", "RuntimeError", "ConnectionResetError")
_FILE = "<shop>"


def different_errors() -> list[Exception]:
    """Exceptions that have been raised, each by functions that no other one passes."""
    source = "".join(_source(number) for number in range(DIFFERENT))
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)  # tracebacks show its lines
    functions: dict[str, Callable[[int], None]] = {}
    exec(compile(source, _FILE, "exec"), functions)  # noqa: S102 - it is made right here
    return [_raised(functions[f"step_{number}_1"]) for number in range(DIFFERENT)]


def _source(number: int) -> str:
    """Functions of which each calls the next; the last one raises."""
    return "".join(_functions(number, _KINDS[number % len(_KINDS)], DEPTHS[number % len(DEPTHS)]))


def _functions(number: int, kind: str, depth: int) -> Iterator[str]:
    for step in range(1, depth - 1):
        yield f"def step_{number}_{step}(order):\n    return step_{number}_{step + 1}(order)\n"
    yield f'def step_{number}_{depth - 1}(order):\n    raise {kind}(f"order {{order}} was refused")\n'


def _raised(function: Callable[[int], None]) -> Exception:
    try:
        function(4711)
    except Exception as error:  # noqa: BLE001 - of any kind: they are what is wanted
        return error
    raise AssertionError
