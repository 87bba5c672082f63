"""What Players show in the page: components of Motifs, whose calls stay open for as long as somebody looks, and
the trees of nodes while they run.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgpack

from symphony.engine.engine import Engine, in_root
from symphony.engine.history import History
from symphony.engine.telling import Emit
from symphony.errors import BadInput, NotFound, SymphonyError

Json = dict[str, Any]

MOST_OPEN = 16
"""How many components may be open in one host."""
MOST_SHOWN = 256
"""How many nodes' trees are kept at once; the oldest go first."""

_ENCODINGS = (
    ("text", "text"),
    ("text/*", "text"),
    ("application/json", "json"),
    ("list<*", "json"),
    ("*/*", "bytes"),
    ("*", "json"),
)
"""How a value of a type is written where nobody noted it: the first pattern that fits."""


@dataclass(slots=True)
class _Open:
    place: tuple[str, str]
    """The run and the node that the run loop knows the call by."""
    extension: str = ""
    tree: Any = None
    problem: Json | None = None
    task: asyncio.Task[None] | None = None
    """The call of a component; none for a node of a run."""


class Components:
    """What is shown, by id: a component's is made here, a node's is `RUN/NODE`. A change is emitted as
    `{"event": "component", "id"}`.

    A component's id stands as `node` in the context of its call, and `run` is empty: so the run loop knows it.
    """

    def __init__(self, engine: Engine, emit: Emit, is_playing: Callable[[str, str], bool]) -> None:
        """`is_playing` tells whether a node of a run (by its place in the root run) still plays."""
        self._engine = engine
        self._is_playing = is_playing
        self._emit = emit
        self._open: dict[str, _Open] = {}
        self._numbers = itertools.count(1)

    def open(self, extension: str, key: str, body: Json) -> str:
        """Calls a function that shows a component; `body` is that of a call without its context's `node`.

        Raises BadInput when too many are open.
        """
        if sum(kept.task is not None for kept in self._open.values()) >= MOST_OPEN:
            raise BadInput(f"{MOST_OPEN} components are open", remedy="close one")
        component = f"component-{next(self._numbers)}"
        body["context"] |= {"run": "", "node": component}
        kept = self._open[component] = _Open(("", component), extension)
        kept.task = asyncio.get_running_loop().create_task(self._serve(component, key, body), name=component)
        return component

    def shown(self, event: Json) -> None:
        """Takes a `ui` event of the run loop."""
        at = in_root(event)
        component = f"{at['run']}/{at['node']}" if at["run"] else str(at["node"])
        if at["run"] and not self._is_playing(at["run"], str(at["node"])):
            return  # it came late: nothing would ever take it away again
        if at["run"] and component not in self._open:
            self._make_room()
            self._open[component] = _Open((event["run"], event["node"]), str(event["extension"]))
        kept = self._open.get(component)
        if kept is None:
            return
        piece = event.get("piece") or {}
        refused = piece.get("refused")
        kept.tree = piece.get("tree")
        kept.problem = {"message": str(refused), "remedy": "report it to its author"} if refused else None
        self._changed(component)

    def follow(self, event: Json) -> None:
        """Takes the host's events: what a node shows ends with it."""
        if event.get("event") == "taskProgress" and event["node"]["status"] != "running":
            place = f"{event['run']}/{event['node']['id']}"
            ended = [c for c in self._open if c == place or c.startswith(f"{place}/")]
        elif event.get("event") == "workflowComplete":
            ended = [component for component in self._open if component.startswith(f"{event['run']['id']}/")]
        else:
            return
        for component in ended:
            if self._open.pop(component, None):
                self._emit({"event": "component", "id": component})

    def look(self, component: str) -> Json:
        """`{"extension", "tree", "problem", "is_open"}`; the tree is as its Player sent it, checked by nobody."""
        kept = self._kept(component)
        is_open = kept.task is None or not kept.task.done()
        return {"extension": kept.extension, "tree": kept.tree, "problem": kept.problem, "is_open": is_open}

    def tell(self, component: str, event: Json) -> None:
        """Hands `{"key", "name", "value"}` to the Player. Raises NotFound when it has ended."""
        run, node = self._kept(component).place
        if not self._engine.tell(run, node, event):
            raise NotFound("This component has ended", remedy="open it again")

    async def close(self, component: str) -> None:
        """Ends a component; one that does not end when it is told to is left to the run loop."""
        kept = self._open.pop(component, None)
        if kept is None or kept.task is None:
            return
        if not kept.task.done() and not self._engine.stop_call("", component):
            kept.task.cancel()  # it still waits for its Player
        await asyncio.gather(kept.task, return_exceptions=True)

    async def stop(self) -> None:
        """Ends all of them."""
        await asyncio.gather(*(self.close(component) for component in list(self._open)))

    async def _serve(self, component: str, key: str, body: Json) -> None:
        problem: Json | None = None
        try:
            await self._engine.call(key, body, None)
        except SymphonyError as error:
            if error.code != "cancelled":
                problem = {"message": error.message, "remedy": error.remedy}
        finally:
            if kept := self._open.get(component):
                kept.problem = problem or kept.problem
                kept.tree = None if problem else kept.tree
        # The task counts as running until it returns; who looks shall see that it has ended.
        asyncio.get_running_loop().call_soon(self._changed, component)

    def _make_room(self) -> None:
        nodes = [component for component, kept in self._open.items() if kept.task is None]
        for component in nodes[: max(0, len(nodes) - MOST_SHOWN + 1)]:
            del self._open[component]
            self._emit({"event": "component", "id": component})

    def _kept(self, component: str) -> _Open:
        kept = self._open.get(component)
        if kept is None:
            raise NotFound("This component is not open", remedy="open it again")
        return kept

    def _changed(self, component: str) -> None:
        if component in self._open:
            self._emit({"event": "component", "id": component})


def nodes_that_play(engine: Engine, history: History) -> Callable[[str, str], bool]:
    """What tells whether a node of a run, by its place in the root run, still plays."""

    def plays(run: str, place: str) -> bool:
        if run not in engine.playing():
            return False
        return history.get(run).node(place.partition("/")[0]).status in ("running", "waiting")

    return plays


def value_of(content: bytes, kind: str, encoding: str | None) -> Any:
    """An artifact as the value that a Player takes on a port of its type.

    `encoding` is what the run loop wrote with it (`text`, `bytes`, `json` or `msgpack`); None for one that came
    otherwise. Raises BadInput.
    """
    encoding = encoding or next(written for pattern, written in _ENCODINGS if fnmatchcase(kind, pattern))
    try:
        if encoding == "bytes":
            return content
        if encoding == "msgpack":
            return msgpack.unpackb(content)
        text = content.decode("utf-8")
        return text if encoding == "text" else json.loads(text)
    except ValueError as error:
        raise BadInput(f"The artifact is no {kind}: {error}", remedy="look at its content instead") from None
