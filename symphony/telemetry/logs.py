"""Writing the log: one JSON object a line, with the run, node and correlation id of whoever writes."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Protocol

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
OWN_LOGGERS = ("symphony", "conductor")
"""Loggers that write at the configured level; everybody else's write warnings."""

SUFFIX = ".jsonl"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

_context: ContextVar[dict[str, str]] = ContextVar("symphony_log_context")


class LogFolder(Protocol):
    """What has a folder for logs: `symphony.config.Home`."""

    @property
    def logs(self) -> Path:
        """The folder."""
        ...


@contextlib.contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Adds fields such as `run`, `node` and `correlation` to all that is logged inside, in this task."""
    token = _context.set({**_context.get({}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def setup_logging(
    home: LogFolder,
    process: str,
    level: str = "info",
    *,
    max_bytes: int = 5_000_000,
    backups: int = 3,
) -> None:
    """Writes this process's log to `logs/PROCESS.jsonl`, rotated at `max_bytes`."""
    home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = logging.getLogger()
    close_logging()
    handler = _JsonFile(
        home.logs / f"{process}{SUFFIX}",
        maxBytes=max_bytes,
        backupCount=backups,
        encoding="utf-8",
        errors="backslashreplace",
        delay=True,
    )
    handler.setFormatter(JsonFormatter(process))
    root.addHandler(handler)
    if root.level == logging.NOTSET or root.level > logging.WARNING:
        root.setLevel(logging.WARNING)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(LEVELS[level])


def close_logging() -> None:
    """Ends what `setup_logging` began."""
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _JsonFile)]:
        root.removeHandler(handler)
        handler.close()


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. `extra` fields stand beside the message."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        entry: dict[str, Any] = {
            "time": round(record.created, 6),
            "level": record.levelname.lower(),
            "component": _component(record.name),
            "process": self._process,
            "message": record.getMessage(),
        }
        entry.update(_context.get({}))
        for key, value in record.__dict__.items():
            if key not in _STANDARD and value is not None:
                entry[key] = value
        if record.exc_info:
            entry["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(entry, ensure_ascii=False, default=str)


def _component(logger: str) -> str:
    """`symphony.engine.plan` is the component `engine`."""
    parts = logger.split(".")
    return parts[1] if parts[0] == "symphony" and len(parts) > 1 else parts[0]


class _JsonFile(RotatingFileHandler):
    _has_complained = False

    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written (a full disk) must not stop what is logged; it is said once."""
        if not self._has_complained:
            self._has_complained = True
            print(f"The log {self.baseFilename} cannot be written: {sys.exc_info()[1]}", file=sys.stderr)
