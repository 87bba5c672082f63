"""What the board tells of a step and of two runs, and where it leads to from there."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from symphony.ports.host import HostPort
from symphony.ui.page import Page
from symphony.ui.views import board_compare, keys, shell
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels, played, walk


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    page = Page(host)
    await page.begin()
    await played(page)
    yield page
    await page.close()
    await host.close()


def links(page: Page, key: str) -> dict[str, str]:
    """The links whose keys begin with `key`: label to text."""
    found = [node["props"] for node in find(page, "Link") if str(node.get("key")).startswith(key)]
    return {props["label"]: props["text"] for props in found}


async def test_a_step_tells_what_it_is_for_what_it_took_and_made_and_why_it_is_there(page: Page) -> None:
    await do(page, "board.graph", "select", "churn")
    said = json.dumps(shell.render(page.state), ensure_ascii=False)
    assert "How often each file changed" in said and "In the plan because “change most”" in said
    assert links(page, "board.made:") == {"churn.files.json": ""} and links(page, "board.took:") == {}
    await do(page, "board.graph", "select", "chart")
    assert set(links(page, "board.took:").values()) == {"top"} and "chart.svg" in links(page, "board.made:")
    (made,) = [
        node for node in find(page, "Link", label="chart.svg") if node["key"].startswith("board.made:")
    ]
    await do(page, made["key"])
    assert page.state.view == "artifacts" and (page.state.artifacts.selected or {})["name"] == "chart.svg"


async def test_a_step_that_made_thousands_lists_the_first(page: Page) -> None:
    detail = page.state.board.detail
    assert detail
    (churn,) = [node for node in detail["run"]["nodes"] if node["id"] == "churn"]
    host = page.host
    assert isinstance(host, FakeHost)
    made = [host.keep(f"{number}.txt", "text", b"%d" % number) for number in range(1000)]
    churn["artifacts"] = made * 2
    await do(page, "board.graph", "select", "churn")
    assert page.state.board.step["left"]["made"] == 988 and len(page.state.board.step["made"]) == 12


async def test_what_is_gone_by_now_is_left_out(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.artifacts.clear()
    await do(page, "board.graph", "select", "chart")
    assert page.state.problem is None and links(page, "board.made:") == {}


async def test_a_failed_step_is_tried_again_from_its_details(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.fail_node = "chart"
    await played(page)
    assert "Try this step again" in labels(page)
    await do(page, "board.retry")
    await page.load("board")
    assert page.state.board.detail and "Try this step again" not in labels(page)


async def test_a_run_is_played_again_changed_and_compared(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    assert "Compare" not in labels(page), "there is one run only"
    await do(page, "board.again")
    await page.host.get_run("run-2")
    while host.runs["run-2"]["status"] == "running":
        await host._tasks["run-2"]
    await page.load("board")
    assert page.state.board.run == "run-2" and "Compare" in labels(page)
    host.runs["run-1"]["nodes"][0]["artifacts"] = ["sha256:other"]
    await do(page, "board.compare")
    (table,) = find(page, "Table", label="Steps of both runs")
    made = {row["cells"][0]: row["cells"][3] for row in table["props"]["rows"]}
    assert made["churn"] == "something else" and made["report"] == "the same"
    assert "1 step made something else" in json.dumps(shell.render(page.state))
    await do(page, "board.compared", "select", "churn")
    assert page.state.board.selected == "churn"
    await do(page, "board.compare_end")
    assert page.state.board.against is None
    await do(page, "board.change")
    assert page.state.view == "compose" and page.state.compose.prompt == "hotspots with a chart"
    assert any("“change most” asks for it" in str(node) for node in find(page, "Card"))
    assert host.calls[-1][0] == "execute_melody", "nothing is played before Play is pressed"


async def test_results_that_differ_are_shown_line_by_line_or_say_why_not(page: Page) -> None:
    class Differing(FakeHost):
        async def diff_artifacts(self, old: str, new: str | None = None) -> Any:
            return {"diff": "-a\n+b\n+c", "added": 2, "removed": 1}

    old, new = ({"id": id, "name": "report.md"} for id in ("one", "two"))
    told = await board_compare._difference(Page(cast(HostPort, Differing())), old, new)
    assert told and told["said"] == "2 lines more, 1 line less" and told["diff"] == "-a\n+b\n+c"
    assert await board_compare._difference(page, old, {**new, "id": "one"}) is None
    refused = await board_compare._difference(page, old, new)
    assert refused and "no version before" in refused["why"]


async def test_prompts_that_were_asked_are_offered_again_and_complete_what_is_typed(page: Page) -> None:
    await page.open("compose")
    (box,) = [node["props"] for node in find(page, "TextBox", name="prompt")]
    assert box["earlier"] == ["hotspots with a chart"]
    assert box["completions"][0] == "hotspots with a chart" and "List all TODOs in src/" in box["completions"]


async def test_a_setting_that_is_missing_is_one_press_away(page: Page) -> None:
    page.state.compose.show(None)
    page.state.compose.answer = {
        "possible": False,
        "missing": [
            "a Player for “explain it”",
            "model.endpoint and model.name (a setting that acme/model needs)",
        ],
    }
    await page.open("compose")
    assert {"Set model.endpoint", "Set model.name"} <= labels(page)
    await do(page, "compose.setting:model.endpoint")
    assert page.state.view == "settings" and page.state.settings.query == "model.endpoint"


async def test_folders_of_earlier_runs_are_offered_and_the_plan_for_another_is_put_away(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.runs["run-1"]["project"] = "/projects/pear"
    await page.load("board")
    await do(page, "compose.form", "submit", {"prompt": "hotspots"})
    await do(page, "shell", "project")
    await do(page, "project.recent:0")
    assert (
        page.state.project and page.state.project["path"] == "/projects/pear" and page.state.question is None
    )
    assert page.state.compose.melody is None and page.state.compose.prompt == "hotspots"


async def test_the_keys_are_shown_and_name_what_the_page_answers(page: Page) -> None:
    await do(page, "shell", "keys")
    (dialog,) = find(page, "Dialog", title="Keyboard")
    cells = [
        row["cells"] for node in walk(dialog) if node["type"] == "Table" for row in node["props"]["rows"]
    ]
    assert cells == [list(pair) for pair in keys.KEYS]
    await do(page, "dialog.keys", "close")
    assert page.state.question is None


async def test_a_long_prompt_names_its_run_in_one_line(page: Page) -> None:
    run = page.state.board.runs[0]
    run["prompt"] = "first line\n" + "and more " * 500
    (link,) = [node["props"] for node in find(page, "Link") if str(node.get("key")).startswith("board.run:")]
    assert link["label"].startswith("first line and more") and len(link["label"]) < 170
