"""Plays a Melody for a client: consent before, progress while, the run's end as the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from symphony.errors import PermissionDenied, SymphonyError
from symphony.mcp.person import Context, Person
from symphony.ports.host import HostPort

Json = dict[str, Any]
Say = Callable[[str, Json], Awaitable[None]]

ENDED = frozenset({"succeeded", "failed", "skipped", "cancelled"})


async def play(
    port: HostPort, ctx: Context, person: Person, begin: Callable[[bool], Awaitable[Json]], say: Say
) -> Json:
    """Begins a run and follows it to its end: the `get_run` answer. A call that is cancelled cancels its run.

    `say(level, data)` reports what went wrong on the way.
    """
    try:
        run = (await begin(False))["run"]
    except SymphonyError as error:
        if error.code != "consent_needed":
            raise
        asked = "; ".join(str(f.get("words") or f.get("message") or f) for f in error.findings)
        if not await person.agrees(f"{error.message}: {asked}" if asked else error.message):
            raise PermissionDenied("The person did not allow this, so nothing was played") from error
        run = (await begin(True))["run"]
    try:
        return await _Following(port, ctx, person, say, run).to_its_end()
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True), contextlib.suppress(SymphonyError):
            await port.cancel_run(run)
        raise


class _Following:
    def __init__(self, port: HostPort, ctx: Context, person: Person, say: Say, run: str) -> None:
        self._port, self._ctx, self._person, self._say, self._run = port, ctx, person, say, run
        self._nodes: dict[str, Json] = {}
        self._reported = -1.0

    async def to_its_end(self) -> Json:
        watched = self._port.watch(self._run)
        try:
            # The first event says that the watch is in place: no end can be missed between the two questions.
            await anext(watched)
            answer = await self._port.get_run(self._run)
            self._nodes = {node["id"]: node for node in answer["run"]["nodes"]}
            await self._report("")
            if answer["run"]["status"] == "running":
                async for event in watched:
                    if event["event"] == "workflowComplete":
                        break
                    if event["event"] in ("taskProgress", "taskError"):
                        await self._changed(event["node"])
                answer = await self._port.get_run(self._run)
        finally:
            close = getattr(watched, "aclose", None)
            if close is not None:
                await close()
        return answer

    async def _changed(self, node: Json) -> None:
        before = self._nodes.get(node["id"], {}).get("status")
        self._nodes[node["id"]] = node
        await self._report(f"{node['id']} ({node['player']}): {node['status']}")
        if node["status"] == before:
            return
        if node["status"] == "failed":
            await self._say("error", {"run": self._run, "node": node["id"], "error": node.get("error")})
        elif node["status"] == "waiting":
            await self._approve(node)

    async def _approve(self, node: Json) -> None:
        """Asks for what a node of kind `approve` waits for. Whom nobody can ask, nobody approves."""
        message = node.get("note") or f"{node['id']} waits for an approval"
        try:
            approved = await self._person.agrees(message)
            comment = ""
        except Exception as error:
            approved, comment = False, f"nobody could be asked ({type(error).__name__})"
        await self._port.answer(self._run, node["id"], approved, comment)

    async def _report(self, message: str) -> None:
        """Progress only grows, as the protocol wants: finished nodes, and the shares of those that play."""
        done = sum(
            1.0 if node["status"] in ENDED else float(node.get("progress") or 0.0)
            for node in self._nodes.values()
        )
        if done > self._reported:
            self._reported = done
            await self._ctx.session.report_progress(done, float(len(self._nodes)), message or None)
