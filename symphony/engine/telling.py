"""Tells others how runs stand: events for whoever watches, summaries for the history. Both are gathered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from symphony.engine.history import History
from symphony.engine.record import RunRecord
from symphony.errors import EnvironmentLacks
from symphony.types.runs import NodeRun

log = logging.getLogger(__name__)

Json = dict[str, Any]
Emit = Callable[[Json], None]

SUMMARY_INTERVAL = 0.25
"""Seconds between two writings of a run's summary while it plays; the journal is written at once."""
SUMMARY_SHARE = 0.05
"""The share of the host's time that summaries may take: those of a large run are written less often."""


class Teller:
    """What changes in one turn of the loop is told once, as it stands at the turn's end."""

    def __init__(self, history: History, emit: Emit) -> None:
        self._history = history
        self._emit = emit
        self._changed: dict[tuple[str, str], tuple[RunRecord, NodeRun]] = {}
        self._dirty: dict[str, RunRecord] = {}
        self._turn: asyncio.Handle | None = None
        self._writer: asyncio.TimerHandle | None = None
        self._pause = SUMMARY_INTERVAL

    def changed(self, record: RunRecord, node: NodeRun) -> None:
        """A node of a playing run has a new state. Call it on the host's loop."""
        self._changed[record.info.id, node.id] = record, node
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self.tell)

    def tell(self) -> None:
        """Tells now what has changed."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        changed, self._changed = self._changed, {}
        now = time.monotonic()
        for (run, node_id), (record, node) in changed.items():
            record.info.seconds = now - record.begun
            record.touch(node_id)
            self._dirty[run] = record
            self._emit({"event": "taskProgress", "run": run, "node": node.to_json()})
        if self._dirty and self._writer is None:
            self._writer = asyncio.get_running_loop().call_later(self._pause, self._write)

    def ended(self, record: RunRecord) -> None:
        """A run has ended: its last summary is durable when this returns."""
        self.tell()
        self._dirty.pop(record.info.id, None)
        self._save(record, durable=True)
        record.forget_texts()

    def close(self) -> None:
        """Writes what is not written yet."""
        if self._turn is not None:
            self.tell()
        if self._writer is not None:
            self._writer.cancel()
        self._write()
        self._history.catch_up()

    def _write(self) -> None:
        self._writer = None
        dirty, self._dirty = self._dirty, {}
        began = time.perf_counter()
        for record in dirty.values():
            self._save(record)
        took = time.perf_counter() - began
        self._pause = max(SUMMARY_INTERVAL, took / SUMMARY_SHARE)

    def _save(self, record: RunRecord, *, durable: bool = False) -> None:
        """A summary that cannot be written does not end the run: its journal says more than the summary."""
        try:
            self._history.save(record, durable=durable)
        except EnvironmentLacks as error:
            log.error("%s", error, extra={"run": record.info.id})
            self._emit({"event": "notice", "run": record.info.id, "message": str(error)})
