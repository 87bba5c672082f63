"""Nested runs: what `map`, `loop` and `melody` play, each as a run of its own in the same run loop.

A nested run is called `RUN/NODE`, and `RUN/NODE/ROUND` in a loop; it has its own journal, so that a resumed
run keeps the items and rounds that were finished.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from symphony.engine.control_call import ControlCall
from symphony.engine.nested_plan import (
    answer,
    answer_ports,
    bound,
    for_each,
    open_inputs,
    told_apart,
    with_value,
)
from symphony.engine.plan import Cast, compile_plan, spec_of
from symphony.errors import Cancelled, InvalidMelody, PlayerError, SymphonyError
from symphony.melody.conditions import evaluate
from symphony.melody.formats import from_document
from symphony.melody.model import Melody, Node
from symphony.melody.validation import MAX_NESTING, validate

Json = dict[str, Any]
FindMelody = Callable[[str, str | None], Awaitable[Melody]]
"""A saved melody by name and version."""

_DONE = frozenset({"succeeded", "failed", "cancelled", "skipped"})


class NestedRuntime(Protocol):
    """What nesting needs of `pit_native.Runtime`."""

    def resume(self, run_dir: str, plan: Json) -> Json: ...

    def cancel(self, run: str) -> object: ...

    def outputs(self, run: str, node: str) -> Json: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a nested run is. `artifacts` are those made since the last word."""

    run: str
    done: int
    total: int
    artifacts: list[str]


@dataclass(slots=True)
class _Child:
    players: dict[str, str]
    """Of each node, in the order of the plan."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    state: str = "running"
    error: Json | None = None
    states: dict[str, str] = field(default_factory=dict)
    errors: dict[str, Json] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    done: int = 0


def root_of(run: str) -> str:
    """The run that a nested run belongs to, itself when it is not nested."""
    return run.partition("/")[0]


def path_of(run: str, node: str) -> str:
    """A node's place in its root run: `NODE`, or `OUTER/…/NODE` in a nested run."""
    _, _, inner = run.partition("/")
    return f"{inner}/{node}" if inner else node


def folder_of(folder: Callable[[str], Path], run: str) -> Path:
    """Where the files of a run are, nested or not; `folder` tells those of root runs."""
    root, _, inner = run.partition("/")
    if not inner:
        return folder(root)
    return folder(f"{root}+{hashlib.sha256(inner.encode()).hexdigest()[:16]}")


class NestedRuns:
    """Starts nested runs, follows them and gathers their answers. Lives on the host's loop."""

    def __init__(
        self,
        runtime: NestedRuntime,
        *,
        cast: Callable[[str], Cast],
        folder: Callable[[str], Path],
        find: FindMelody,
        progress: Callable[[Progress], None],
    ) -> None:
        self._runtime = runtime
        self._cast = cast
        self._folder = folder
        self._find = find
        self._progress = progress
        self._children: dict[str, _Child] = {}
        self._depths: dict[str, int] = {}

    # --- what the control Players ask --------------------------------------------------------------
    async def map(self, call: ControlCall) -> Json:
        """Plays a Player or a melody for each item, side by side, and gathers the answers in order."""
        items = call.inputs.get("items")
        items = items if isinstance(items, list) else [items]
        cast = self._cast(root_of(call.run))
        wanted_in, wanted_out = str(call.params.get("input") or ""), str(call.params.get("output") or "")
        bind = call.params.get("bind") or {}
        if not isinstance(bind, Mapping):
            raise InvalidMelody(
                f"The parameter bind of {call.node} is no map", remedy="give parameter: column"
            )
        melody = await self._mapped(call)
        if not items:
            if not bind:
                self._checked(melody, cast)
            return {"items": []}
        bindings = [bound(melody, bind, item) for item in items] if bind else [(melody, {})] * len(items)
        self._checked(bindings[0][0], cast)
        # What is bound comes by parameters alone, unless an input is named as well.
        ports = open_inputs(melody, cast.catalogue, wanted_in) if wanted_in or not bind else []
        if not ports and not bind:
            raise InvalidMelody(f"{melody.name} takes no value", remedy="map calls it with each item")
        outputs = answer_ports(melody, cast.catalogue, wanted_out)
        child = f"{call.run}/{call.node}"
        if bind:
            plans = [self._plan(one, cast, child) for one, _ in bindings]
        else:
            plans = [self._plan(melody, cast, child)] * len(items)
        plan = for_each(plans, ports, items)

        def explain(node: str) -> str:
            index = int(node.partition(".")[0])
            return f"Item {index + 1} of {len(items)} ({_short(items[index])})"

        made = await self._play(call.run, child, plan, explain, [p.node for p in outputs], len(items))
        answers = []
        for index in range(len(items)):
            mine = {p.node: made[f"{index}.{p.node}"] for p in outputs if f"{index}.{p.node}" in made}
            answers.append(answer(outputs, mine))
        return {"items": told_apart(answers, [taken for _, taken in bindings]) if bind else answers}

    async def loop(self, call: ControlCall) -> Json:
        """Plays a melody on its own answer until `until` holds of `value`, at most `times` rounds."""
        cast = self._cast(root_of(call.run))
        melody = await self._melody(call)
        until = str(call.params.get("until") or "")
        wanted = str(call.params.get("output") or "")
        value = call.inputs.get("value")
        for number in range(1, int(call.params.get("times") or 10) + 1):
            child = f"{call.run}/{call.node}/{number}"
            value = await self._once(call.run, child, melody, cast, value, f"Round {number}: node ", wanted)
            if until and evaluate(until, {"value": value}):
                break
        return {"value": value}

    async def melody(self, call: ControlCall) -> Json:
        """Plays a melody once."""
        melody = await self._melody(call)
        child = f"{call.run}/{call.node}"
        cast = self._cast(root_of(call.run))
        value = call.inputs.get("value")
        answered = await self._once(call.run, child, melody, cast, value, f"{melody.name}: node ")
        return {"value": answered}

    # --- events ------------------------------------------------------------------------------------
    def player(self, run: str, node: str) -> str:
        """Who plays a node of a nested run that plays; empty when it does not."""
        child = self._children.get(run)
        return child.players.get(node, "") if child is not None else ""

    def on_node(self, event: Json) -> None:
        """A node of a nested run has a new state."""
        child = self._children.get(event["run"])
        if child is None:
            return
        made = [a["id"] for a in event.get("artifacts") or []]
        if event.get("kept"):  # its state is known from the start
            child.artifacts += made
            return
        node, state = str(event["node"]), str(event["state"])
        if child.states.get(node) in _DONE:
            child.done -= 1  # it was to be kept, and what it had made is lost
        child.states[node] = state
        if state not in _DONE:
            return
        if state == "failed":
            child.errors[node] = event.get("error") or {}
        child.done += 1
        child.artifacts += made
        if child.done % (1 + len(child.players) // 100) == 0:
            self._tell(event["run"], child)

    def on_run(self, event: Json) -> None:
        """A nested run has ended."""
        child = self._children.get(event["run"])
        if child is None or event["state"] == "running":
            return
        child.state, child.error = str(event["state"]), event.get("error")
        self._tell(event["run"], child)
        del self._children[event["run"]]
        self._depths.pop(event["run"], None)
        child.ended.set()

    # --- inside --------------------------------------------------------------------------------------
    def _tell(self, run: str, child: _Child) -> None:
        made, child.artifacts = child.artifacts, []
        self._progress(Progress(run, child.done, len(child.players), made))

    async def _mapped(self, call: ControlCall) -> Melody:
        """What `map` plays for each item; it is checked when its parameters are known."""
        player = str(call.params.get("player") or "")
        if not player:
            return await self._found(call)
        spec = spec_of(player, self._cast(root_of(call.run)).catalogue, call.node)
        given = call.params.get("params") or {}
        if not isinstance(given, Mapping):
            raise InvalidMelody(f"The parameter params of {call.node} is no map", remedy="give name: value")
        node = Node(id="item", kind=spec.kind, player=player, params=dict(given))  # type: ignore[arg-type]
        return Melody(name=player, nodes=[node])

    async def _melody(self, call: ControlCall) -> Melody:
        return self._checked(await self._found(call), self._cast(root_of(call.run)))

    async def _found(self, call: ControlCall) -> Melody:
        named = call.params.get("melody")
        if isinstance(named, Mapping):
            return from_document(dict(named))
        if named:
            return await self._find(str(named), str(call.params.get("version") or "") or None)
        raise InvalidMelody(f"{call.node} needs a melody", remedy="give the parameter melody")

    def _checked(self, melody: Melody, cast: Cast) -> Melody:
        findings = [
            f
            for f in validate(melody, cast.catalogue, cast.lattice)
            if f.severity == "error" and f.code != "missing_input"  # the outer node's value goes there
        ]
        if findings:
            raise InvalidMelody(
                f"{melody.name} is not valid: {findings[0].message}",
                remedy=findings[0].remedy,
                findings=[f.to_json() for f in findings],
            )
        return melody

    def _plan(self, melody: Melody, cast: Cast, child: str) -> Json:
        inner = child.partition("/")[2]
        folder = str(folder_of(self._folder, child))
        return compile_plan(melody, cast, run=child, run_dir=folder, inside=inner)

    async def _once(
        self, parent: str, child: str, melody: Melody, cast: Cast, value: Any, words: str, wanted: str = ""
    ) -> Any:
        ports = [] if value is None else open_inputs(melody, cast.catalogue)
        outputs = answer_ports(melody, cast.catalogue, wanted)
        plan = with_value(self._plan(melody, cast, child), ports, value)
        made = await self._play(parent, child, plan, lambda n: words + n, [p.node for p in outputs], 0)
        return answer(outputs, made)

    async def _play(
        self,
        parent: str,
        child: str,
        plan: Json,
        explain: Callable[[str], str],
        wanted: list[str],
        copies: int,
    ) -> dict[str, Json]:
        """Plays a plan to its end; the outputs of the wanted nodes that have played. `copies` is how often
        `for_each` has laid it side by side, 0 when it has not.
        """
        depth = self._depths.get(parent, 0) + 1
        if depth > MAX_NESTING:
            raise InvalidMelody(
                f"Melodies are nested deeper than {MAX_NESTING}",
                remedy="does one play itself? end that circle",
            )
        earlier = self._children.get(child)
        if earlier is not None:  # the end of an attempt that was given up
            await earlier.ended.wait()
        state = _Child({node["id"]: str(node["player"]) for node in plan["nodes"]})
        self._children[child], self._depths[child] = state, depth
        starting = asyncio.ensure_future(asyncio.to_thread(self._runtime.resume, plan["dir"], plan))
        try:
            resumed = await asyncio.shield(starting)
            kept = resumed.get("kept", ())
            state.states.update(dict.fromkeys(kept, "succeeded"))
            state.done += len(kept)
            await state.ended.wait()
        except asyncio.CancelledError:
            await asyncio.gather(
                starting, return_exceptions=True
            )  # it cannot be cancelled before it is there
            self._runtime.cancel(child)
            raise
        except SymphonyError:  # it never began
            del self._children[child]
            raise
        if state.state != "succeeded":
            raise _failure(state, explain)
        ids = [f"{i}.{node}" for i in range(copies) for node in wanted] if copies else wanted
        played = [node for node in ids if state.states.get(node) == "succeeded"]

        def read() -> dict[str, Json]:
            return {node: self._runtime.outputs(child, node) for node in played}

        return await asyncio.to_thread(read)


def _failure(child: _Child, explain: Callable[[str], str]) -> PlayerError | Cancelled:
    for node in child.players:
        error = child.errors.get(node)
        if error is not None:
            others = len(child.errors) - 1
            more = f" (and {others} more)" if others else ""
            return PlayerError(
                f"{explain(node)} failed: {error.get('message') or 'for no reason that it gave'}{more}",
                code=error.get("code") or "failed",
                remedy=error.get("remedy") or "",
            )
    if child.state == "cancelled":
        return Cancelled("It was cancelled")
    error = child.error or {}
    return PlayerError(
        error.get("message") or "It did not succeed",
        code=error.get("code") or "failed",
        remedy=error.get("remedy") or "see its log",
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}…"
