"""Logs: constant event names and an allow-list of keys. What is not on the list is dropped.

Personal data fails closed: no key of the list ever holds a value of a message. Libraries log
through here too, and only their constant templates pass.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import msgspec
import structlog

from .settings import Settings

ALLOWED_KEYS: Final = frozenset(
    {
        "day",
        "event",
        "level",
        "timestamp",
        "station",
        "logger",
        "module",
        "template",
        "reason",
        "remedy",
        "error",
        "where",
        "role",
        "exit_code",
        "failures",
        "partition",
        "offset",
        "message_id",
        "stream",
        "topic",
        "seq",
        "count",
        "events",
        "seconds",
        "host",
        "port",
        "engine",
        "version",
        "code",
        "dropped_keys",
        "number",  # of an extraction, of a purge
        "what",  # step of retention: a word of ours
        "receiver",  # its name, which operators choose, never an address
    }
)

_EventDict = MutableMapping[str, Any]


def keep_allowed(_: object, __: str, event: _EventDict) -> _EventDict:
    """Drop every key that is not on the list, and say how many were dropped."""
    dropped = [key for key in event if key not in ALLOWED_KEYS]
    for key in dropped:
        del event[key]
    if dropped:
        event["dropped_keys"] = len(dropped)
    return event


def _as_json(_: object, __: str, event: _EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


class _Library(logging.Handler):
    """Passes on what libraries say: logger, level and template, never arguments or texts."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record of the standard library's logging."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        get_logger("library").log(
            record.levelno,
            "library_said",
            logger=record.name,
            template=str(record.msg) if record.args else None,
            error=error,
        )


def configure(settings: Settings, station: str) -> None:
    """Set logging up for this process: to standard error, one line an event."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    renderer: Any = (
        _as_json
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(station=station)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            keep_allowed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Library()]
    root.setLevel(max(level, logging.WARNING))


def get_logger(name: str) -> Any:
    """Return a logger; `name` is the module's."""
    return structlog.get_logger(module=name)


def place_of(error: BaseException) -> str:
    """Return the line of our code at which an error arose: `module.py:123`, never its text."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
