"""Motifs on a real host: components of sandboxed Players, colours and layouts of the bundled ones."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from symphony.app.components import MOST_SHOWN, Components, value_of
from symphony.app.host import Host
from symphony.engine.engine import Engine
from symphony.errors import BadInput, NotFound
from symphony.ui.catalogue import check
from symphony.ui.foreign import frame
from symphony.ui.node import Node
from symphony.ui.page import Page
from tests.hosting import hosted

ROOT = Path(__file__).resolve().parents[2]
ROWS = [{"region": name, "amount": amount} for name, amount in (("north", 10), ("south", 30), ("east", 5))]

FLOODER = """
from symphony.sdk import player
from symphony.sdk.ui import h

@player.function(outputs=[])
def flood(ctx):
    count = 0
    while not ctx.cancelled:
        count += 1
        ctx.ui(h("Text", f"tree {count}"))

@player.function(outputs=[])
def large(ctx):
    ctx.ui({"type": "Bullets", "key": None, "props": {"items": ["x"] * 30_000}, "children": []})
    ctx.event()

@player.function(outputs=[])
def deaf(ctx):
    import time
    ctx.ui(h("Text", "shown"))
    time.sleep(3600)

@player.function(outputs=[])
def slow(ctx):
    ctx.ui(h("Stack", h("Button", key="go", label="Go on")))
    ctx.event()

player.serve()
"""
MANIFEST = """
[extension]
name = "tests/flooder"
version = "1.0.0"
type = "motif"
description = "Shows too much"

[[functions]]
name = "flood"
description = "shows without end"

[[functions]]
name = "large"
description = "shows too much at once"

[[functions]]
name = "deaf"
description = "does not hear that it shall end"

[[functions]]
name = "slow"
description = "asks within a Melody"

[[components]]
title = "Flood"
function = "flood"

[[components]]
title = "Large"
function = "large"

[[components]]
title = "Deaf"
function = "deaf"
"""


@pytest.fixture
async def host(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """A host whose bundled extensions are some of the real ones and one that is hostile."""
    bundled = tmp_path / "bundled"
    for name in ("desk", "explorer", "git", "paper"):
        shutil.copytree(ROOT / "extensions" / name, bundled / name)
    (bundled / "flooder").mkdir()
    (bundled / "flooder" / "Symphony.toml").write_text(MANIFEST)
    (bundled / "flooder" / "player.py").write_text(FLOODER)
    monkeypatch.setenv("SYMPHONY_BUNDLED", str(bundled))
    async with hosted(home) as host:
        yield host


async def until(host: Host, component: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What the component shows once it is so."""
    async with asyncio.timeout(60):
        events = host.watch()
        async for _ in events:
            shown = await host.component(component)
            assert shown["problem"] is None or is_so(shown), shown["problem"]
            if is_so(shown):
                await events.aclose()  # type: ignore[attr-defined]
                return shown
    raise AssertionError("the events ended")


def texts(node: Any) -> str:
    return json.dumps(node, ensure_ascii=False)


def cells(node: Node) -> list[list[str]]:
    """The rows of the first table."""
    if node["type"] == "Table":
        return [row["cells"] for row in node["props"]["rows"]]
    return next(
        (found for child in node["children"] if isinstance(child, dict) and (found := cells(child))), []
    )


async def stored(host: Host, content: bytes, **about: Any) -> str:
    return str(await asyncio.to_thread(host.services.pit.store.put, content, **about))


async def test_what_is_bundled_is_offered(host: Host) -> None:
    brought = await host.motifs()
    assert [theme["extension"] for theme in brought["themes"]] == ["symphony/paper"]
    assert [layout["extension"] for layout in brought["layouts"]] == ["symphony/desk"]
    titles = [one["title"] for one in brought["components"] if one["player"].startswith("symphony/")]
    assert titles == ["Explore rows", "Text gauge"]
    players = {node["player"] for node in (await host.available_nodes())["nodes"]}
    assert not [player for player in players if "explorer" in player]


async def test_rows_are_explored_in_a_sandboxed_player(host: Host) -> None:
    artifact = await stored(host, json.dumps(ROWS).encode(), name="sales.json", type="list<record>")
    other = await stored(host, b"# Report", name="report.md", type="text/markdown")
    assert [one["player"] for one in (await host.motifs(artifact))["components"]] == [
        "symphony/explorer#rows"
    ]
    assert (await host.motifs(other))["components"] == []
    with pytest.raises(BadInput, match="shows list<record>"):
        await host.open_component("symphony/explorer#rows", other)
    with pytest.raises(BadInput, match="from the artifact"):
        await host.open_component("symphony/explorer#rows")
    component = (await host.open_component("symphony/explorer#rows", artifact))["id"]
    shown = await until(host, component, lambda shown: shown["tree"] is not None)
    assert shown["extension"] == "symphony/explorer"
    drawn = frame("Rows", shown, component)
    assert check(drawn) == [] and cells(drawn) == [["north", "10"], ["south", "30"], ["east", "5"]]
    await host.component_event(component, "sort", "change", "amount")
    await host.component_event(component, "descending", "change", True)
    shown = await until(
        host, component, lambda shown: bool(cells(shown["tree"])) and cells(shown["tree"])[0][1] == "30"
    )
    assert [row[0] for row in cells(shown["tree"])] == ["south", "north", "east"]
    await host.component_event(component, "search", "change", "NOR")
    shown = await until(host, component, lambda shown: len(cells(shown["tree"])) == 1)
    assert "1 of 3 rows · amount: least 10" in texts(shown["tree"])
    await host.close_component(component)
    with pytest.raises(NotFound):
        await host.component(component)
    with pytest.raises(NotFound):
        await host.component_event(component, "search", "change", "")


async def test_two_components_of_one_player_are_apart(host: Host) -> None:
    first = (await host.open_component("symphony/explorer#measure"))["id"]
    second = (await host.open_component("symphony/explorer#measure"))["id"]
    await until(host, first, lambda shown: shown["tree"] is not None)
    await until(host, second, lambda shown: shown["tree"] is not None)
    await host.component_event(second, "text", "change", "One two three. Four!")
    await until(host, second, lambda shown: "words 4" in texts(shown["tree"]))
    assert "words 0" in texts((await host.component(first))["tree"])
    await host.close_component(first)
    await host.component_event(second, "text", "change", "One")
    await until(host, second, lambda shown: "words 1" in texts(shown["tree"]))


async def test_a_player_that_dies_says_so_in_its_frame(host: Host) -> None:
    component = (await host.open_component("symphony/explorer#measure"))["id"]
    await until(host, component, lambda shown: shown["tree"] is not None)
    states = host.services.pit.runtime.player_states()
    (pid,) = [state["pid"] for state in states.values() if state["extension"] == "symphony/explorer"]
    os.kill(pid, signal.SIGKILL)
    shown = await until(host, component, lambda shown: not shown["is_open"])
    assert "ended while running" in shown["problem"]["message"]
    drawn = frame("Gauge", shown, component)
    assert check(drawn) == [] and drawn["children"][0]["type"] == "Alert"


async def test_what_a_motif_calls_components_no_melody_calls(host: Host) -> None:
    node = {"id": "n", "kind": "motif", "player": "symphony/explorer#measure", "params": {}}
    melody = {"format": "symphony.melody/1", "name": "t", "version": "1.0.0", "nodes": [node], "edges": []}
    assert not (await host.validate_melody(melody))["valid"]
    with pytest.raises(BadInput):
        await host.call_function("symphony/explorer#measure", {})
    with pytest.raises(NotFound):
        await host.open_component("symphony/git#log")


async def test_hostile_players_disturb_nobody(host: Host) -> None:
    flood = (await host.open_component("tests/flooder#flood"))["id"]
    await until(host, flood, lambda shown: shown["tree"] is not None)
    # While one shows without end, others answer.
    await test_two_components_of_one_player_are_apart(host)
    large = (await host.open_component("tests/flooder#large"))["id"]
    shown = await until(host, large, lambda shown: shown["problem"] is not None)
    assert "20000 values" in shown["problem"]["message"]
    deaf = (await host.open_component("tests/flooder#deaf"))["id"]
    await until(host, deaf, lambda shown: shown["tree"] is not None)
    async with asyncio.timeout(30):
        await asyncio.gather(*(host.close_component(component) for component in (flood, large, deaf)))


async def test_a_node_of_a_run_shows_its_tree_and_hears_the_user(host: Host) -> None:
    melody = {
        "format": "symphony.melody/1",
        "name": "asks",
        "version": "1.0.0",
        "nodes": [{"id": "ask", "kind": "motif", "player": "tests/flooder#slow", "params": {}}],
        "edges": [],
    }
    page = Page(host)
    await page.begin()
    events = host.watch()
    assert (await anext(events))["event"] == "watching"
    run = (await host.execute_melody(melody))["run"]
    component = f"{run}/ask"
    page.state.board.run, page.state.board.selected = run, "ask"
    async with asyncio.timeout(60):
        async for event in events:
            if event["event"] == "component":
                break
    page.notice(event)
    await page.idle()
    assert page.state.motifs.shown[component]["extension"] == "tests/flooder"
    page.dispatch(f"foreign:{component}#go", "press", None)
    async with asyncio.timeout(60):
        async for event in events:
            if event["event"] == "workflowComplete":
                break
    assert event["run"]["status"] == "succeeded"
    with pytest.raises(NotFound):
        await host.component(component)
    late = {"run": run, "node": "ask", "extension": "tests/flooder", "piece": {"tree": {"type": "Text"}}}
    host.services.components.shown({"event": "ui", **late})
    with pytest.raises(NotFound):  # nothing would take it away again
        await host.component(component)
    await page.close()


def test_trees_of_nodes_are_bounded() -> None:
    told: list[dict[str, Any]] = []
    components = Components(cast(Engine, None), told.append, lambda run, place: True)
    for number in range(MOST_SHOWN + 2):
        components.shown({"run": "r", "node": f"n{number}", "extension": "a/b", "piece": {"tree": {}}})
    with pytest.raises(NotFound):
        components.look("r/n1")
    assert components.look(f"r/n{MOST_SHOWN + 1}")["tree"] == {}
    components.follow({"event": "workflowComplete", "run": {"id": "r"}})
    with pytest.raises(NotFound):
        components.look(f"r/n{MOST_SHOWN + 1}")


@pytest.mark.parametrize(
    ("kind", "encoding", "value"),
    [
        ("text", None, "[1]"),
        ("text/markdown", None, "[1]"),
        ("application/json", None, [1]),
        ("record", None, [1]),
        ("list<git/commit>", None, [1]),
        ("image/png", None, b"[1]"),
        ("image/png", "text", "[1]"),
    ],
)
def test_an_artifact_becomes_the_value_of_its_type(kind: str, encoding: str | None, value: Any) -> None:
    assert value_of(b"[1]", kind, encoding) == value
