"""Properties of the control nodes: whatever is mapped, looped, nested, joined and asked, in whatever order it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.engine.control import ControlPlayers
from symphony.engine.control_call import ControlCall
from symphony.engine.nesting import NestedRuns, Progress
from symphony.engine.plan import Cast
from symphony.errors import Cancelled, InvalidMelody, NotFound, PlayerError
from symphony.melody.formats import from_document
from symphony.melody.model import Melody
from symphony.melody.validation import MAX_NESTING
from symphony.types.players import FunctionSpec, ParamSpec
from symphony.types.port_types import TypeLattice

Json = dict[str, Any]
ADD = "test/sum#add"
SPEC = FunctionSpec(
    ADD,
    "operator",
    "Adds",
    {"value": "integer"},
    {"value": "integer"},
    {"by": ParamSpec("integer", "how much", default=0)},
)
BAD = 13
"""With this value a node fails."""


def melody(*amounts: int) -> Json:
    """A chain of nodes, each of which adds its amount."""
    nodes = [
        {"id": f"n{i}", "kind": "operator", "player": ADD, "params": {"by": by}}
        for i, by in enumerate(amounts)
    ]
    edges = [
        {"kind": "data", "from": f"n{i}.value", "to": f"n{i + 1}.value"} for i in range(len(amounts) - 1)
    ]
    return {"format": "symphony.melody/1", "name": "sum", "nodes": nodes, "edges": edges}


def expected(value: int, amounts: list[int]) -> int | None:
    """What such a chain answers; None when one of its nodes fails."""
    for by in amounts:
        if value == BAD:
            return None
        value += by
    return value


class Runtime:
    """Plays plans of such nodes on the loop of the test, in an order that the seed says; some are kept."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.nested: NestedRuns
        self.made: dict[tuple[str, str], Json] = {}
        self.playing: dict[str, asyncio.Task[None]] = {}
        self.most = 0

    def resume(self, run_dir: str, plan: Json) -> Json:
        done = asyncio.run_coroutine_threadsafe(self._begin(plan), self.loop)
        return done.result()

    def cancel(self, run: str) -> None:
        if run in self.playing:  # else it has just ended
            self.playing[run].cancel()

    def outputs(self, run: str, node: str) -> Json:
        return self.made[run, node]

    async def _begin(self, plan: Json) -> Json:
        assert plan["run"] not in self.playing, "played twice at once"
        self.playing[plan["run"]] = asyncio.create_task(self._play(plan))
        self.most = max(self.most, len(self.playing))
        return {"kept": []}

    async def _play(self, plan: Json) -> None:
        run, failed = plan["run"], False
        try:
            left = list(plan["nodes"])
            self.random.shuffle(left)
            states: dict[str, str] = {}
            while left:
                await asyncio.sleep(0)
                node = next(n for n in left if all(source in states for source in _sources(n)))
                left.remove(node)
                value = self._value(run, node, states)
                state = "skipped" if value is None else "failed" if value == BAD else "succeeded"
                event: Json = {"run": run, "node": node["id"], "state": state}
                if state == "failed":
                    failed, event["error"] = True, {"code": "unlucky", "message": f"{value} is unlucky"}
                elif value is not None:
                    self.made[run, node["id"]] = {"value": value + node["params"]["by"]}
                    event["artifacts"] = [{"id": f"{run}:{node['id']}"}]
                states[node["id"]] = state
                self.nested.on_node(event)
            word = "failed" if failed else "succeeded"
        except asyncio.CancelledError:
            word = "cancelled"
        del self.playing[run]
        self.nested.on_run({"run": run, "state": word, "error": None})

    def _value(self, run: str, node: Json, states: dict[str, str]) -> int | None:
        given = node["inputs"]["value"]
        if isinstance(given, list):
            (source,) = given
            return self.made[run, source["node"]]["value"] if states[source["node"]] == "succeeded" else None
        return int(given["value"])


def _sources(node: Json) -> list[str]:
    given = node["inputs"].get("value")
    return [source["node"] for source in given] if isinstance(given, list) else []


class Table:
    """Control Players over such a runtime, with saved melodies by name."""

    def __init__(self, seed: int = 0, saved: dict[str, Json] | None = None) -> None:
        self.told: list[Progress] = []
        self.asked: list[ControlCall] = []
        self.saved = saved or {}
        cast = Cast({ADD: SPEC}, TypeLattice(), None, lambda extension: extension, {}, 60.0)
        self.runtime = Runtime(seed)
        self.nested = NestedRuns(
            self.runtime,
            cast=lambda run: cast,
            folder=lambda run: Path("/nowhere") / run,
            find=self._find,
            progress=self.told.append,
        )
        self.runtime.nested = self.nested
        self.players = ControlPlayers(self.asked.append, self.nested)

    async def _find(self, name: str, version: str | None) -> Melody:
        if name not in self.saved:
            raise NotFound(f"There is no melody {name}")
        return from_document(self.saved[name])

    async def play(self, player: str, inputs: Json, run: str = "run", node: str = "c", **params: Any) -> Json:
        return await self.players.play(ControlCall(run, node, f"symphony/control#{player}", params, inputs))

    def is_at_rest(self) -> bool:
        """Whether nothing is left of what was played."""
        return not (self.nested._children or self.nested._depths or self.runtime.playing)


def run(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


amounts = st.lists(st.integers(0, 5), min_size=1, max_size=3)
values = st.integers(0, 20)
seeds = st.integers(0, 1 << 16)


@settings(deadline=None, max_examples=60)
@given(items=st.lists(values, max_size=12), amounts=amounts, seed=seeds)
def test_map_answers_in_the_order_of_its_items_or_names_the_first_that_failed(
    items: list[int], amounts: list[int], seed: int
) -> None:
    async def test() -> None:
        table = Table(seed)
        wanted = [expected(item, amounts) for item in items]
        try:
            answer = await table.play("map", {"items": items}, melody=melody(*amounts))
        except PlayerError as error:
            bad = [index for index, value in enumerate(wanted) if value is None]
            assert error.message.startswith(f"Item {bad[0] + 1} of {len(items)} ({items[bad[0]]}) failed")
            assert (f"(and {len(bad) - 1} more)" in error.message) == (len(bad) > 1)
            assert error.code == "unlucky"
        else:
            assert answer == {"items": wanted}
        assert table.is_at_rest()
        total = sum(len(progress.artifacts) for progress in table.told)
        assert total == len(table.runtime.made), "each artifact is told once"
        assert all(progress.done <= progress.total for progress in table.told)

    run(test)


@settings(deadline=None, max_examples=60)
@given(value=values, amounts=amounts, times=st.integers(1, 6), enough=st.integers(0, 60), seed=seeds)
def test_a_loop_ends_with_its_condition_its_rounds_or_its_first_failure(
    value: int, amounts: list[int], times: int, enough: int, seed: int
) -> None:
    async def test() -> None:
        table = Table(seed)
        now, played = expected(value, amounts), 1
        while now is not None and now < enough and played < times:
            now, played = expected(now, amounts), played + 1
        until = f"value >= {enough}"
        try:
            answer = await table.play(
                "loop", {"value": value}, melody=melody(*amounts), times=times, until=until
            )
        except PlayerError as error:
            assert now is None and error.message.startswith(f"Round {played}: node ")
        else:
            assert answer == {"value": now}
        rounds = {of for of, _ in table.runtime.made} | {progress.run for progress in table.told}
        assert rounds == {f"run/c/{number}" for number in range(1, played + 1)}
        assert table.is_at_rest() and table.runtime.most == 1

    run(test)


@settings(deadline=None, max_examples=30)
@given(amounts=amounts, value=values, depth=st.integers(0, MAX_NESTING + 2), is_saved=st.booleans())
def test_melodies_nest_as_deep_as_they_may(
    amounts: list[int], value: int, depth: int, is_saved: bool
) -> None:
    async def test() -> None:
        table = Table(saved={"sum": melody(*amounts)})
        # The nested runs around this one, as the run loop would ask for them.
        name = "run"
        for _ in range(depth):
            table.nested._depths[f"{name}/m"] = table.nested._depths.get(name, 0) + 1
            name += "/m"
        before = dict(table.nested._depths)
        wanted = expected(value, amounts)
        document: Any = "sum" if is_saved else melody(*amounts)
        try:
            answer = await table.play("melody", {"value": value}, name, melody=document)
        except InvalidMelody as error:
            assert depth >= MAX_NESTING and "nested deeper" in error.message
        except PlayerError:
            assert depth < MAX_NESTING and wanted is None
        else:
            assert depth < MAX_NESTING and answer == {"value": wanted}
        assert table.nested._depths == before and not table.nested._children

    run(test)


@settings(deadline=None, max_examples=60)
@given(
    questions=st.lists(st.tuples(st.booleans(), st.booleans(), st.text(max_size=5)), max_size=8), seed=seeds
)
def test_each_question_has_one_answer_and_none_is_left_behind(
    questions: list[tuple[bool, bool, str]], seed: int
) -> None:
    """Each is answered or, where its second word is true, given up before it is."""

    async def test() -> None:
        table = Table()
        nodes = [f"q{index}" for index in range(len(questions))]
        asked = [
            asyncio.create_task(table.play("approve", {"value": index}, node=node))
            for index, node in enumerate(nodes)
        ]
        await asyncio.sleep(0)
        assert table.players.questions("run") == nodes == [call.node for call in table.asked]
        order = list(range(len(questions)))
        random.Random(seed).shuffle(order)
        for index in order:
            says_yes, is_given_up, comment = questions[index]
            if is_given_up:
                asked[index].cancel()
            else:
                table.players.answer("run", nodes[index], says_yes, comment)
            await asyncio.gather(asked[index], return_exceptions=True)
            assert nodes[index] not in table.players.questions("run")
            answer = asked[index]
            if is_given_up:
                assert answer.cancelled()
            elif says_yes:
                assert answer.result() == {"value": index, "comment": comment}
            else:
                refused = answer.exception()
                assert isinstance(refused, Cancelled) and refused.code == "not_approved"
                assert comment in refused.message
        assert not table.players._questions

    run(test)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100)
@given(value=anything)
def test_if_and_wait_pass_anything_on_and_join_always_gives_a_list(value: Any) -> None:
    async def test() -> None:
        table = Table()
        assert await table.play("if", {"value": value}) == {"value": value}
        assert await table.play("wait", {"value": value}, seconds=0) == {"value": value}
        joined = await table.play("join", {"items": value})
        assert joined == {"items": value if isinstance(value, list) else [value]}

    run(test)


@settings(deadline=None, max_examples=60)
@given(items=st.lists(st.integers(0, 12), min_size=1, max_size=6), turns=st.integers(0, 12), seed=seeds)
def test_what_is_given_up_is_cancelled_inside_and_can_be_played_again(
    items: list[int], turns: int, seed: int
) -> None:
    async def test() -> None:
        table = Table(seed)
        playing = asyncio.create_task(table.play("map", {"items": items}, melody=melody(0, 1)))
        for _ in range(turns):
            await asyncio.sleep(0)
        playing.cancel()
        first = await asyncio.gather(playing, return_exceptions=True)
        # The next attempt waits for the end of the one before.
        again = await table.play("map", {"items": items}, melody=melody(0, 1))
        assert again == {"items": [item + 1 for item in items]}
        assert isinstance(first[0], asyncio.CancelledError) or first[0] == again
        assert table.is_at_rest()

    run(test)
