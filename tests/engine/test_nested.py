"""Control Players that play other melodies, with real Players in their sandboxes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from symphony.errors import InvalidMelody, PermissionDenied

from .conftest import Stage, control, melody, node, shell

Json = dict[str, Any]
UPPER = {"command": ["sh", "-c", "tr a-z A-Z"]}


def listed(*texts: str) -> tuple[list[Json], list[str]]:
    """Nodes and edges that make a list of these texts, `list.items`."""
    nodes = [shell(f"t{i}", f"printf '{text}'") for i, text in enumerate(texts)]
    return [*nodes, control("list", "join")], [f"t{i}.stdout > list.items" for i in range(len(texts))]


def mapped(*texts: str, **params: Any) -> Json:
    nodes, edges = listed(*texts)
    return melody("mapped", [*nodes, control("map", "map", **params)], *edges, "list.items > map.items")


async def until(condition: Any) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), 60)


async def test_map_calls_a_player_for_each_item_in_order(stage: Stage) -> None:
    document = mapped("a", "b", "c", player="symphony/shell#run", input="input", params=UPPER)
    run = await stage.play(document)
    assert run["run"]["status"] == "succeeded", run
    assert stage.output(run, "map") == {"items": ["A", "B", "C"]}
    # What each item made is kept and found with the run.
    made = node(run, "map")["artifacts"]
    assert len(made) > 3
    listed_artifacts = (await stage.host.list_artifacts(run=run["run"]["id"]))["artifacts"]
    assert set(made) <= {a["id"] for a in listed_artifacts}
    assert {a["run"] for a in listed_artifacts} == {run["run"]["id"]}
    assert "map/1.item" in {a["node"] for a in listed_artifacts}


async def test_map_plays_a_melody_for_each_item(stage: Stage) -> None:
    inner = melody(
        "twice", [shell("up", "tr a-z A-Z"), shell("again", "sed 's/.*/&&/'")], "up.stdout > again.input"
    )
    run = await stage.play(mapped("a", "b", melody=inner))
    assert stage.output(run, "map") == {"items": ["AA", "BB"]}, run


async def test_map_of_an_empty_list(stage: Stage) -> None:
    (stage.project / "empty.csv").write_text("name\n")
    source = {
        "id": "csv",
        "kind": "operator",
        "player": "symphony/data#parse_csv",
        "params": {"path": "empty.csv"},
    }
    each = control("map", "map", player="symphony/data#count")
    run = await stage.play(melody("empty", [source, each], "csv.items > map.items"))
    assert stage.output(run, "map") == {"items": []}, run


async def test_map_over_ten_thousand_items_keeps_their_order(stage: Stage) -> None:
    rows = "".join(f"{i},x\n" for i in range(10_000))
    (stage.project / "many.csv").write_text(f"number,other\n{rows}")
    source = {
        "id": "csv",
        "kind": "operator",
        "player": "symphony/data#parse_csv",
        "params": {"path": "many.csv"},
    }
    params = {"columns": ["number"]}
    each = control("map", "map", player="symphony/data#select", input="items", params=params)
    run = await stage.play(melody("many", [source, each], "csv.items > map.items"))
    assert run["run"]["status"] == "succeeded", run["run"]["error"]
    assert stage.output(run, "map") == {"items": [[{"number": i}] for i in range(10_000)]}


async def test_an_error_names_the_item_and_resume_keeps_the_others(stage: Stage) -> None:
    script = 'read -r x || true; if [ "$x" = b ] && ! [ -e ok ]; then echo no >&2; exit 3; fi; date +%s%N'
    params = {"command": ["sh", "-c", script]}
    document = mapped("a", "b", "c", player="symphony/shell#run", input="input", params=params)
    run = await stage.play(document)
    assert run["run"]["status"] == "failed"
    failed = node(run, "map")
    assert "Item 2 of 3 (b)" in failed["error"]["message"]
    before = failed["artifacts"]
    assert before
    (stage.project / "ok").write_text("")
    again = await stage.end((await stage.host.resume_run(run["run"]["id"]))["run"])
    assert again["run"]["status"] == "succeeded", again
    assert len(stage.output(again, "map")["items"]) == 3
    # The script prints the time: had the first and last item been played again, theirs would be new.
    assert set(before) <= set(node(again, "map")["artifacts"])
    first = stage.host.services.pit.store.list(limit=100, run=f"{run['run']['id']}/map")
    assert len([a for a in first if a["node"] == "0.item" and "stdout" in a["name"]]) == 1


async def test_cancelling_reaches_nested_runs(stage: Stage) -> None:
    slow = {"command": ["sleep", "300"]}
    run = await stage.begin(mapped("a", "b", player="symphony/shell#run", input="input", params=slow))
    runtime = stage.host.services.pit.runtime
    await until(lambda: runtime.stats()["playing"] == 2)
    await stage.host.cancel_run(run)
    ended = await stage.end(run)
    assert ended["run"]["status"] == "cancelled"
    await until(lambda: runtime.stats()["playing"] == 0)


async def test_loop_ends_when_its_condition_holds(stage: Stage) -> None:
    inner = melody("grow", [shell("more", "cat; printf x")])
    each = control("loop", "loop", melody=inner, times=10, until="len(value) >= 4")
    run = await stage.play(melody("looped", [shell("start", "printf a"), each], "start.stdout > loop.value"))
    assert stage.output(run, "loop") == {"value": "axxx"}, run
    each = control("loop", "loop", melody=inner, times=2)
    run = await stage.play(melody("looped", [shell("start", "printf a"), each], "start.stdout > loop.value"))
    assert stage.output(run, "loop") == {"value": "axx"}, run


async def test_a_failing_round_is_named(stage: Stage) -> None:
    inner = melody("grow", [shell("more", 'x=$(cat)x; [ ${#x} -lt 3 ] || exit 1; printf "$x"')])
    each = control("loop", "loop", melody=inner)
    run = await stage.play(melody("looped", [shell("start", "printf a"), each], "start.stdout > loop.value"))
    assert "Round 2: node more failed" in node(run, "loop")["error"]["message"]


async def test_a_saved_melody_is_one_node(stage: Stage) -> None:
    saved = await stage.host.save_melody(melody("shout", [shell("up", "tr a-z A-Z")]), "shout")
    whole = melody(
        "outer",
        [shell("start", "printf hi"), control("m", "melody", melody="shout"), shell("end", "cat")],
        "start.stdout > m.value",
    )
    whole["edges"].append({"kind": "control", "from": "m", "to": "end"})
    run = await stage.play(whole)
    assert stage.output(run, "m") == {"value": "HI"}, run
    assert saved["name"] == "shout"


async def test_a_melody_that_plays_itself_ends(stage: Stage) -> None:
    itself = melody("itself", [control("m", "melody", melody="itself")])
    await stage.host.save_melody(itself, "itself")
    run = await stage.play(itself)
    assert run["run"]["status"] == "failed"
    assert "nested deeper" in node(run, "m")["error"]["message"]


async def test_a_person_is_asked_inside_a_nested_melody(stage: Stage) -> None:
    ask = control("ask", "approve", message="Really?")
    inner = melody("ask", [shell("go", "cat"), ask], "go.stdout > ask.value")
    whole = melody(
        "outer", [shell("s", "printf hi"), control("m", "melody", melody=inner)], "s.stdout > m.value"
    )
    run = await stage.begin(whole)
    engine = stage.host.services.engine
    await until(lambda: engine.control.questions(run))
    shown = await stage.host.get_run(run)
    assert shown["questions"] == [{"node": "m/ask", "message": ""}]
    assert node(shown, "m")["status"] == "waiting"
    await stage.host.answer(run, "m", True)
    ended = await stage.end(run)
    assert stage.output(ended, "m") == {"value": "hi"}, ended


async def test_consent_is_asked_for_what_is_nested(stage: Stage) -> None:
    await stage.host.save_melody(melody("shout", [shell("up", "true")]), "shout")
    for params in (
        {"melody": "shout"},
        {"melody": melody("inline", [control("again", "melody", melody="shout")])},
    ):
        with pytest.raises(PermissionDenied, match="runs programs"):
            await stage.host.execute_melody(melody("outer", [control("m", "melody", **params)]))
    source = {"id": "l", "kind": "operator", "player": "symphony/files#list"}
    each = control("map", "map", player="symphony/shell#run", params=UPPER)
    with pytest.raises(PermissionDenied, match="runs programs"):
        await stage.host.execute_melody(
            melody("outer", [source, each], "l.files > map.items"), project=str(stage.project)
        )


async def test_what_is_missing_is_said_before_the_play(stage: Stage) -> None:
    with pytest.raises(InvalidMelody, match="nosuch"):
        await stage.host.execute_melody(melody("outer", [control("m", "melody", melody="nosuch")]))


async def test_values_pass_through_control_nodes_with_their_type(stage: Stage) -> None:
    """A list that an `if` passes on is not gathered into a list of lists."""
    (stage.project / "a.csv").write_text("n\n1\n2\n3\n")
    nodes = [
        {"id": "csv", "kind": "operator", "player": "symphony/data#parse_csv", "params": {"path": "a.csv"}},
        control("pick", "if"),
        {"id": "count", "kind": "operator", "player": "symphony/data#count"},
    ]
    run = await stage.play(melody("passed", nodes, "csv.items > pick.value", "pick.value > count.items"))
    assert stage.output(run, "count") == {"count": 3}, run


def bound(*files: str, project: Any, **params: Any) -> Json:
    """A melody that lists these files, as rows, and maps what `params` say over them."""
    (project / "names.csv").write_text("file\n" + "".join(f"{name}\n" for name in files))
    source = {
        "id": "csv",
        "kind": "operator",
        "player": "symphony/data#parse_csv",
        "params": {"path": "names.csv"},
    }
    return melody("bound", [source, control("map", "map", **params)], "csv.items > map.items")


async def test_map_takes_parameters_from_columns_and_says_whose_each_answer_is(stage: Stage) -> None:
    for name in ("a.txt", "b.txt"):
        (stage.project / name).write_text(f"this is {name}")
    document = bound(
        "a.txt", "b.txt", project=stage.project, player="symphony/files#read", bind={"path": "file"}
    )
    run = await stage.play(document)
    assert stage.output(run, "map") == {
        "items": ["## a.txt\n\nthis is a.txt", "## b.txt\n\nthis is b.txt"]
    }, run


async def test_rows_of_a_bound_map_are_one_table(stage: Stage) -> None:
    for name in ("a.csv", "b.csv"):
        (stage.project / name).write_text(f"x\n{name}1\n{name}2\n")
    inner = melody(
        "read", [{"id": "read", "kind": "operator", "player": "symphony/data#parse_csv", "params": {}}]
    )
    document = bound(
        "a.csv", "b.csv", project=stage.project, melody=inner, bind={"read.path": "file"}, type="list<record>"
    )
    run = await stage.play(document)
    rows = stage.output(run, "map")["items"]
    assert rows == [{"file": n, "x": f"{n}{i}"} for n in ("a.csv", "b.csv") for i in (1, 2)], run


@pytest.mark.parametrize(
    ("bind", "said"),
    [({"path": "name"}, "no column name"), ({"other.path": "file"}, "no node other"), ("path", "is no map")],
)
async def test_a_column_or_node_that_is_not_there_is_named(stage: Stage, bind: Any, said: str) -> None:
    document = bound("a.txt", project=stage.project, player="symphony/files#read", bind=bind)
    run = await stage.play(document)
    assert said in node(run, "map")["error"]["message"], run


async def test_a_bound_path_leaves_the_project_no_more_than_a_written_one(stage: Stage) -> None:
    (stage.project.parent / "secret.txt").write_text("secret")
    document = bound(
        "../secret.txt", project=stage.project, player="symphony/files#read", bind={"path": "file"}
    )
    run = await stage.play(document)
    assert run["run"]["status"] == "failed" and "Item 1 of 1" in node(run, "map")["error"]["message"]
