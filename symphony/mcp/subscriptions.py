"""Subscriptions to resources: who asked is told when an artifact's name has another version, or a run has gone on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourcesListChanged

from symphony.errors import SymphonyError
from symphony.mcp.person import Context
from symphony.ports.host import HostPort

log = logging.getLogger(__name__)

ARTIFACTS, RUNS = "symphony://artifacts/", "symphony://runs/"
EACH, SESSIONS = 256, 256
"""Subscriptions of one session, and sessions with subscriptions. A session does not say when it ends, so that the one
that subscribed longest ago is forgotten."""
TELLING = frozenset({"watching", "artifacts", "runs", "taskProgress", "taskError", "workflowComplete"})
"""Events of the host after which a resource may be another one."""
PAUSE = 0.1
"""Seconds within which events lead to one look."""
AGAIN = 1.0
"""Seconds after which a host that ended is looked for again."""

Told = Callable[[], Awaitable[None]]


class Subscriptions:
    """All subscriptions of one server. `port` gives the host to ask now."""

    def __init__(self, port: Callable[[], Awaitable[HostPort]]) -> None:
        self._port = port
        self._sessions: OrderedDict[str, dict[str, Told]] = OrderedDict()
        self._streamed: Counter[str] = Counter()
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus, max_subscriptions=SESSIONS)
        self._seen: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def subscribe(self, session: str, ctx: Context, uri: str) -> None:
        """Tells this session of changes of `uri`, also of one that is not there yet."""
        held = self._sessions.setdefault(session, {})
        if uri not in held and len(held) >= EACH:
            raise MCPError(types.INVALID_PARAMS, f"A session may have {EACH} subscriptions")
        held[uri] = lambda: ctx.session.send_resource_updated(uri)
        self._sessions.move_to_end(session)
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        await self._begin(uri)

    def unsubscribe(self, session: str, uri: str) -> None:
        """Ends it."""
        self._sessions.get(session, {}).pop(uri, None)

    async def listen(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """A stream of changes, for clients of the newer protocol; it ends when the client leaves."""
        uris = list(params.notifications.resource_subscriptions or ())
        if len(uris) > EACH:
            raise MCPError(types.INVALID_PARAMS, f"A stream may have {EACH} subscriptions")
        self._streamed.update(uris)
        try:
            for uri in uris:
                await self._begin(uri)
            if not uris:
                self._follow()
            return await self._listen(ctx, params)
        finally:
            self._streamed.subtract(uris)
            self._streamed += Counter()  # without those that nobody listens to any more

    async def close(self) -> None:
        """Ends every stream."""
        self._listen.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what changed ------------------------------------------------------------------------
    async def _begin(self, uri: str) -> None:
        if uri not in self._seen:
            self._seen[uri] = await self._mark(uri)
        self._follow()

    def _follow(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._look_when_woken())]

    async def _watch(self) -> None:
        while True:
            try:
                async for event in (await self._port()).watch():
                    if event["event"] in TELLING:
                        self._wake.set()
            except SymphonyError as error:
                log.debug("the host's events ended: %s", error)
            await asyncio.sleep(AGAIN)

    async def _look_when_woken(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(PAUSE)
            self._wake.clear()
            with contextlib.suppress(SymphonyError):
                await self._look()

    async def _look(self) -> None:
        await self._bus.publish(ResourcesListChanged())
        wanted = {*self._streamed, *(uri for held in self._sessions.values() for uri in held)}
        for uri in list(self._seen):
            if uri not in wanted:
                del self._seen[uri]
                continue
            mark = await self._mark(uri)
            if mark == self._seen[uri]:
                continue
            self._seen[uri] = mark
            await self._bus.publish(ResourceUpdated(uri))
            for session, held in list(self._sessions.items()):
                if uri not in held:
                    continue
                try:
                    await held[uri]()
                except Exception as error:  # whatever a transport raises must not keep others from being told
                    log.debug(
                        "session %s hears nothing any more: %s: %s", session, type(error).__name__, error
                    )
                    self._sessions.pop(session, None)

    async def _mark(self, uri: str) -> str:
        """What is another one when the resource is; empty for one that is not there."""
        port = await self._port()
        try:
            if uri.startswith(ARTIFACTS):
                info, _ = await port.get_artifact(uri.removeprefix(ARTIFACTS), 1, 0)
                return f"{info['id']}@{info['version']}"
            if uri.startswith(RUNS):
                return _digest(await port.get_run(uri.removeprefix(RUNS)))
        except SymphonyError:
            return ""
        return ""


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
