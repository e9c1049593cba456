"""Structured logs on stderr: one event a line, as JSON or as text, in ASCII: no name of a file can fake another line.

In a worker of Ray, stderr is among Ray's own logs of its workers. Nothing is written to disk from here.
"""

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any, Literal

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

_LOGGER = logging.getLogger("fv2es")
_FIELDS = "fv2es_fields"


def begin(form: Format, level: Level) -> None:
    """From now on, events of this process that are as grave as `level` go to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson() if form == "json" else _AsText())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level.upper())
    _LOGGER.propagate = False


def begun() -> bool:
    """Whether events of this process go anywhere."""
    return bool(_LOGGER.handlers)


def event(level: Level, name: str, **fields: Any) -> None:
    """Something has happened. Fields whose value is None are left out; the others are what JSON knows."""
    if begun():
        kept = {key: value for key, value in fields.items() if value is not None}
        _LOGGER.log(getattr(logging, level.upper()), name, extra={_FIELDS: kept})


def last_lines(said: bytes, count: int = 20) -> str:
    """The end of what a process of ours has said."""
    return "\n".join(said.decode("utf-8", errors="replace").splitlines()[-count:])


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(head | getattr(record, _FIELDS, {}))


class _AsText(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = (f"{key}={json.dumps(value)}" for key, value in getattr(record, _FIELDS, {}).items())
        return " ".join([_time(record), record.levelname, record.getMessage(), *fields])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
