"""From a mapping to validated settings, with a sentence for every mistake: the key, the value, what is accepted."""

import difflib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from dblog.errors import ConfigurationError
from dblog.fields import Section

ENVIRONMENT_PREFIX: Final = "DBLOG_"
"""How the names of variables begin that are settings."""

_NOT_A_SECTION: Final = ("model_type", "model_attributes_type", "dict_type")
_SECRETS: Final = ("dsn", "password", "webhook_url")

_Section = TypeVar("_Section", bound=Section)
_building = threading.RLock()  # pydantic promises nothing where several threads use a section for the first time
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_building._at_fork_reinit)  # type: ignore[attr-defined] # as `logging` does


def validated(model: type[_Section], given: Mapping[str, object]) -> _Section:
    """Validate a mapping.

    Raises:
        ConfigurationError: Something is wrong or unknown; all mistakes are named.
    """
    with _building:
        model.model_rebuild()  # nothing where it is built already
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(*(_sentence(detail, model) for detail in error.errors())) from None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def all_paths(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    """The path of every section and key of a model."""
    for key, annotation in _fields(model).items():
        yield (*above, key)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from all_paths(annotation, *above, key)


def _sentence(detail: ErrorDetails, model: type[Section]) -> str:
    """Name the key, the value and what is accepted; secrets are never repeated."""
    path = tuple(str(key) for key in detail["loc"])
    name = ".".join(path) or "settings"
    variable = ENVIRONMENT_PREFIX + "__".join(path).upper()
    source = f" (from {variable})" if variable in os.environ else ""
    if detail["type"] == "extra_forbidden":
        return f"{name}{source}: unknown key{_suggestion(path, model)}"
    message = detail["msg"].removeprefix("Value error, ")
    if not message.startswith(("is ", "must ")):
        message = message[:1].lower() + message[1:]
    secret = path[-1:] in [(name,) for name in _SECRETS] or isinstance(detail["input"], SecretStr)
    if detail["type"] in _NOT_A_SECTION:  # what stands there instead may be a connection string
        return f"{name}{source}: must be a section with keys of its own, not a {type(detail['input']).__name__}"
    shown = "" if secret or isinstance(detail["input"], dict) else f" {_shown(detail['input'])}"
    return f"{name}{source}:{shown} {message}"


def _suggestion(path: tuple[str, ...], model: type[Section]) -> str:
    siblings = [known[-1] for known in all_paths(model) if known[:-1] == path[:-1]]
    close = difflib.get_close_matches(path[-1], siblings, n=1)
    return f"; did you mean {close[0]}?" if close else f"; accepted: {', '.join(siblings)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
