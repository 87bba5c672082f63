"""Control Players: the nodes of a melody that the engine answers itself instead of a sandboxed Player."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from symphony.engine.control_call import ControlCall
from symphony.engine.nesting import NestedRuns, path_of, root_of
from symphony.errors import BadInput, Cancelled, PlayerError
from symphony.types.quantities import parse_duration

Json = dict[str, Any]


class ControlPlayers:
    """Answers control nodes. `waiting(call)` tells that a person must answer."""

    def __init__(self, waiting: Callable[[ControlCall], None], nested: NestedRuns) -> None:
        self._waiting = waiting
        self._questions: dict[tuple[str, str], asyncio.Future[tuple[bool, str]]] = {}
        self._table: dict[str, Callable[[ControlCall], Awaitable[Json]]] = {
            "if": self._if,
            "join": self._join,
            "wait": self._wait,
            "approve": self._approve,
            "map": nested.map,
            "loop": nested.loop,
            "melody": nested.melody,
        }

    async def play(self, call: ControlCall) -> Json:
        """The outputs of a control node."""
        name = call.player.partition("#")[2]
        handler = self._table.get(name)
        if handler is None:
            raise PlayerError(
                f"There is no control Player {name}",
                code="bad_input",
                remedy=f"use one of {', '.join(self._table)}",
            )
        return await handler(call)

    def answer(self, run: str, node: str, approved: bool, comment: str) -> None:
        """A person's answer to an `approve` node, or to the one that waits inside of `node`.

        Raises BadInput when nothing waits there.
        """
        for (of, path), question in self._questions.items():
            if of == run and (path == node or path.startswith(f"{node}/")) and not question.done():
                question.set_result((approved, comment))
                return
        raise BadInput(f"Node {node} of run {run} does not wait for an answer")

    def questions(self, run: str) -> list[str]:
        """The nodes of a run that wait for a person; `OUTER/NODE` for one in a nested run."""
        return [node for (of, node), future in self._questions.items() if of == run and not future.done()]

    async def _if(self, call: ControlCall) -> Json:
        return {"value": call.inputs.get("value")}

    async def _join(self, call: ControlCall) -> Json:
        items = call.inputs.get("items")
        return {"items": items if isinstance(items, list) else [items]}

    async def _wait(self, call: ControlCall) -> Json:
        seconds = call.params.get("seconds", 0)
        await asyncio.sleep(parse_duration(seconds) if isinstance(seconds, str) else float(seconds))
        return {"value": call.inputs.get("value")}

    async def _approve(self, call: ControlCall) -> Json:
        key = (root_of(call.run), path_of(call.run, call.node))
        self._questions[key] = asyncio.get_running_loop().create_future()
        self._waiting(call)
        try:
            approved, comment = await self._questions[key]
        finally:
            del self._questions[key]
        if not approved:
            raise Cancelled("A person said no" + (f": {comment}" if comment else ""), code="not_approved")
        return {"value": call.inputs.get("value"), "comment": comment}
