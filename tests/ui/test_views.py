"""Every view, in every state that it can be in, holds to the catalogue and to the names of the contracts."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from symphony.ui import words
from symphony.ui.actions import ACTIONS
from symphony.ui.catalogue import COMPONENTS, check
from symphony.ui.node import Node
from symphony.ui.page import Page
from symphony.ui.state import PageState
from symphony.ui.views import VIEWS, board, shell
from tests.ui.fake_host import FakeHost


def walk(node: Node) -> list[Node]:
    """All elements of a tree."""
    return [node, *(e for child in node["children"] if isinstance(child, dict) for e in walk(child))]


def find(page: Page, kind: str, /, **props: Any) -> list[Node]:
    """The elements of a kind with these properties."""
    return [
        node
        for node in walk(shell.render(page.state))
        if node["type"] == kind and all(node["props"].get(name) == value for name, value in props.items())
    ]


def labels(page: Page, kind: str = "Button") -> set[str]:
    """The labels of all elements of a kind."""
    return {node["props"]["label"] for node in find(page, kind)}


async def do(page: Page, key: str, event: str = "press", value: Any = None) -> None:
    """Sends an event and waits for all that it does; the tree must hold to the catalogue afterwards."""
    page.dispatch(key, event, value)
    await page.idle()
    assert check(shell.render(page.state)) == []


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    page = Page(host)
    await page.begin()
    yield page
    await page.close()
    await host.close()


def problem(page: Page) -> str:
    """The title of the error that is shown."""
    return page.state.problem.title if page.state.problem else ""


async def composed(page: Page) -> None:
    await do(page, "compose.form", "submit", {"prompt": "hotspots with a chart"})


async def played(page: Page) -> None:
    await composed(page)
    await do(page, "compose.play")
    host = page.host
    assert isinstance(host, FakeHost)
    await asyncio.gather(*host._tasks.values(), return_exceptions=True)
    await page.load("board")


@pytest.mark.parametrize("view", VIEWS)
def test_an_empty_view_says_what_to_do(view: str) -> None:
    state = PageState(view=view)
    for part in (state.artifacts, state.store, state.market, state.settings):
        part.loaded = True
    tree = shell.render(state)
    assert check(tree) == []
    if view in ("board", "artifacts", "store", "market"):
        assert any(node["type"] == "EmptyState" for node in walk(tree))


@pytest.mark.parametrize("view", VIEWS)
async def test_a_full_view_holds_to_the_catalogue(page: Page, view: str) -> None:
    await played(page)
    await page.open(view)
    assert check(shell.render(page.state)) == []


def test_every_event_of_a_keyed_element_has_an_action() -> None:
    for element, event in ACTIONS:
        assert any(event in component.events for component in COMPONENTS.values()), (element, event)


async def test_every_element_with_events_is_answered(page: Page) -> None:
    await played(page)
    unanswered = set()
    for view in VIEWS:
        await page.open(view)
        for node in walk(shell.render(page.state)):
            events = COMPONENTS[node["type"]].events
            props = node["props"]
            silent = node["type"] == "Alert" and not props.get("closable")
            if props.get("submit") or props.get("name") or silent or not events:
                continue
            element = node["key"].partition(":")[0]
            if not any((element, event) in ACTIONS for event in events):
                unanswered.add(element)
    assert unanswered == set()


async def test_a_prompt_becomes_a_preview_with_each_step_explained(page: Page) -> None:
    await composed(page)
    assert {"Compose", "Play", "Edit", "Save", "Cancel"} <= labels(page)
    (graph,) = find(page, "Graph")
    assert [node["id"] for node in graph["props"]["nodes"]] == [
        "churn", "complexity", "join", "top", "chart", "report"
    ]  # fmt: skip
    texts = {child for node in find(page, "Text") for child in node["children"]}
    assert "you asked for a chart" in texts
    assert find(page, "Badge", text="94 % sure")
    assert find(page, "Badge", text="about 2.4 s")


async def test_an_impossible_prompt_names_what_is_missing_and_leads_to_the_extension(page: Page) -> None:
    await do(page, "compose.form", "submit", {"prompt": "tell me the weather"})
    assert "Play" not in labels(page)
    assert find(page, "Alert")[0]["props"]["items"] == [
        "a Player that makes text/markdown from a place and a date"
    ]
    await do(page, "compose.extension:acme/weather")
    assert page.state.view == "market"
    assert [node["props"]["label"] for node in find(page, "Article")] == ["acme/weather"]


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("   ", "The prompt is empty"),
        ("x" * 100_000, "The prompt has 100,000 characters, the most is 8,000"),
    ],
)
async def test_bad_prompts_get_one_clear_line(page: Page, prompt: str, says: str) -> None:
    await do(page, "compose.form", "submit", {"prompt": prompt})
    (box,) = find(page, "TextBox", kind="prompt")
    assert box["props"]["problem"].startswith(says)
    assert not page.host.calls  # type: ignore[attr-defined]
    await composed(page)
    (box,) = find(page, "TextBox", kind="prompt")
    assert "problem" not in box["props"]


async def test_an_example_fills_the_prompt(page: Page) -> None:
    await do(page, "compose.example:1")
    (box,) = find(page, "TextBox", kind="prompt")
    assert box["props"]["value"] == "Summarise the last 30 days of commits"
    assert box["props"]["version"] == 1


async def test_cancel_puts_the_preview_away(page: Page) -> None:
    await composed(page)
    await do(page, "compose.cancel")
    assert not find(page, "Graph")


async def test_composing_can_be_cancelled() -> None:
    page = Page(FakeHost(step=30))
    page.dispatch("compose.form", "submit", {"prompt": "slow"})
    await asyncio.sleep(0)
    assert find(page, "Progress")
    page.dispatch("compose.stop", "press", None)
    await page.idle()
    assert not find(page, "Progress")
    assert page.state.announcement == "Composing was cancelled"


async def test_a_changed_parameter_is_what_is_played(page: Page) -> None:
    await composed(page)
    await do(page, "compose.param:top/count", "change", "3")
    await do(page, "compose.play")
    document = page.host.calls[-1][1][0]  # type: ignore[attr-defined]
    assert next(node for node in document["nodes"] if node["id"] == "top")["params"] == {"count": 3}


async def test_a_parameter_of_the_wrong_type_is_refused(page: Page) -> None:
    await composed(page)
    await do(page, "compose.param:top/count", "change", "many")
    assert problem(page) == "'many' is no integer"


async def test_the_editor_adds_connects_and_removes_with_findings(page: Page) -> None:
    await composed(page)
    await do(page, "compose.edit")
    await do(page, "editor.palette", "add", "symphony/data#top")
    assert page.state.compose.selected == "top2"
    assert find(page, "Button", label="Play")[0]["props"]["disabled"]
    assert "top2: The input rows is not connected" in find(page, "Alert")[0]["props"]["items"][0]
    await do(page, "compose.graph", "connect", {"from": "join.rows", "to": "top2.rows"})
    assert not find(page, "Alert")
    await do(page, "editor.input:top2.rows", "change", "top.rows")
    assert {"kind": "data", "from": "top.rows", "to": "top2.rows"} in page.state.compose.melody["edges"]  # type: ignore[index]
    await do(page, "compose.graph", "disconnect", "top.rows→top2.rows")
    await do(page, "editor.remove:top2")
    assert not page.state.compose.findings


async def test_a_melody_is_drawn_from_nothing(page: Page) -> None:
    await do(page, "compose.mode", "change", "manual")
    await do(page, "compose.new")
    await do(page, "compose.graph", "add", "symphony/git#churn")
    await do(page, "save.form", "submit", {"name": "mine", "description": ""})
    assert [m["name"] for m in (await page.host.list_melodies("mine"))["melodies"]] == ["mine"]


async def test_a_melody_that_asks_is_played_after_consent(page: Page) -> None:
    await do(page, "compose.mode", "change", "manual")
    await do(page, "compose.new")
    await do(page, "compose.graph", "add", "symphony/shell#run")
    await do(page, "compose.play")
    assert find(page, "Dialog", title="Permissions")
    await do(page, "consent.go")
    assert page.state.view == "board"


async def test_the_board_shows_results_and_resumes(page: Page) -> None:
    page.host.fail_node = "chart"  # type: ignore[attr-defined]
    await played(page)
    assert page.state.view == "board"
    assert "Resume" in labels(page)
    assert "Cancel" not in labels(page)
    await do(page, "board.resume")
    await asyncio.gather(*page.host._tasks.values())  # type: ignore[attr-defined]
    await page.load("board")
    assert "Resume" not in labels(page)
    assert "report.md" in labels(page, "Link")


async def test_an_approval_is_answered(page: Page) -> None:
    await played(page)
    page.host.questions["run-1"] = [{"node": "gate", "question": "Publish?"}]  # type: ignore[attr-defined]
    await page.load("board")
    assert {"Approve", "Decline"} <= labels(page)
    await do(page, "board.answer:gate", "submit", {"comment": "yes"})
    assert "Approve" not in labels(page)


async def test_an_extension_is_installed_only_after_consent_and_removed(page: Page) -> None:
    await page.open("market")
    await do(page, "market.install:acme/changelog")
    (dialog,) = find(page, "Dialog", title="Permissions")
    assert {"Allow and install", "Cancel"} <= {
        n["props"]["label"] for n in walk(dialog) if n["type"] == "Button"
    }
    await do(page, "permissions.cancel")
    assert find(page, "Button", label="Install")
    await do(page, "market.install:acme/changelog")
    await do(page, "permissions.go")
    item = next(item for item in page.state.market.items if item["name"] == "acme/changelog")
    assert item["installed"]
    await do(page, "market.remove:acme/changelog")
    item = next(item for item in page.state.market.items if item["name"] == "acme/changelog")
    assert not item["installed"]


async def test_a_store_entry_is_validated_edited_and_deleted(page: Page) -> None:
    await page.open("store")
    await do(page, "store.open:m-1")
    await do(page, "store.validate")
    assert find(page, "Alert", title="The Melody is valid")
    await do(page, "store.delete")
    await do(page, "delete.go")
    assert find(page, "EmptyState")


async def test_a_setting_keeps_its_value_when_the_new_one_is_refused(page: Page) -> None:
    await page.open("settings")
    await do(page, "settings.value:pit.pool.capacity", "change", "0")
    (box,) = find(page, "TextBox", label="pit.pool.capacity")
    assert box["props"]["value"] == "128"
    assert "whole number" in box["props"]["problem"]
    await do(page, "settings.value:pit.pool.capacity", "change", "64")
    (box,) = find(page, "TextBox", label="pit.pool.capacity")
    assert (box["props"]["value"], box["props"]["mark"]) == ("64", "from user")


async def test_what_every_component_has_stands_behind_what_is_its_own(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.rows.append({**host.rows[1], "key": "pit.pool.timeout", "value": "2m"})
    host.rows.append({**host.rows[1], "key": "pit.pool.retry_policy.delay", "source": "user: /home/x.toml"})
    await page.open("settings")
    (more,) = [node for node in find(page, "Disclosure") if node["key"] == "settings.common:pit"]
    assert [node["props"]["label"] for node in walk(more) if node["type"] == "TextBox"] == [
        "pit.pool.timeout"
    ]
    await do(page, "settings.search", "change", "pit.pool")
    assert not [node for node in find(page, "Disclosure") if node["key"] == "settings.common:pit"]
    assert find(page, "TextBox", label="pit.pool.timeout")


@pytest.mark.parametrize(
    ("source", "locked", "scope"),
    [
        ("environment: SYMPHONY_PIT__POOL__CAPACITY", True, "user"),
        ("flags: --set", True, "user"),
        ("project: /p/conductor.json", None, "project"),
        ("default", None, "user"),
    ],
)
async def test_a_setting_is_changed_where_it_counts(
    page: Page, source: str, locked: bool | None, scope: str
) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.rows[1]["source"] = source
    await page.open("settings")
    (box,) = find(page, "TextBox", label="pit.pool.capacity")
    assert box["props"].get("disabled") == locked
    await do(page, "settings.value:pit.pool.capacity", "change", "64")
    assert host.calls[-1] == ("set_setting", ("pit.pool.capacity", 64, scope))


async def test_an_unknown_folder_is_refused_and_the_dialog_stays(page: Page) -> None:
    await do(page, "shell", "project")
    await do(page, "project.form", "submit", {"path": "/missing"})
    assert find(page, "Dialog", title="Open a project")
    (box,) = find(page, "TextBox", label="Folder")
    assert "does not exist" in box["props"]["problem"]
    assert box["props"]["value"] == "/missing"


async def test_without_a_project_the_first_view_leads_to_one() -> None:
    page = Page(FakeHost(project=None))
    await page.begin()
    assert find(page, "EmptyState", title="No project is open")
    await do(page, "compose.project")
    await do(page, "project.form", "submit", {"path": "/projects/orchard"})
    assert not find(page, "EmptyState")
    assert page.state.announcement == "orchard is open"
    await page.close()


async def test_a_problem_goes_with_the_next_thing_that_is_done(page: Page) -> None:
    await composed(page)
    await do(page, "compose.param:top/count", "change", "many")
    assert problem(page)
    await do(page, "shell", "navigate", "artifacts")
    assert page.state.problem is None


async def test_a_problem_of_a_dialog_is_said_in_the_dialog(page: Page) -> None:
    await composed(page)
    await do(page, "compose.save")
    await do(page, "save.form", "submit", {"name": " "})
    (dialog,) = find(page, "Dialog")
    assert dialog["children"][0]["props"]["title"] == "The Melody has no name"
    assert len(find(page, "Alert", title="The Melody has no name")) == 1


async def test_the_findings_of_a_file_say_where_they_are(page: Page) -> None:
    bad = b"format: symphony.melody/1\nname: x\nnodes:\n  - id: a\n    kind: operator\n    playr: a/b#c\n"
    file = {"name": "x.yaml", "content": base64.b64encode(bad).decode()}
    await do(page, "store.import", "pick", file)
    assert page.state.problem
    assert "line 6, column 5: nodes.0.playr is no key of a melody" in page.state.problem.items


async def test_a_step_that_waits_for_the_user_shows_what_it_asks(page: Page) -> None:
    await played(page)
    host = page.host
    assert isinstance(host, FakeHost)
    run = page.state.board.run
    host.questions[run] = [{"node": "report", "message": "Publish it?"}]
    waiting = {"event": "taskProgress", "run": run, "node": {"id": "report", "status": "waiting"}}
    said = page.state.announcements
    page.notice(waiting)
    page.notice(waiting)
    assert page.state.announcements == said + 1
    await page.idle()
    assert find(page, "Heading", text="Publish it?")
    assert {"Approve", "Decline"} <= labels(page)
    await do(page, "board.answer:report", "submit", {"comment": "yes"})
    assert not find(page, "Heading", text="Publish it?")


async def test_a_run_with_many_results_shows_the_few_that_say_something(page: Page) -> None:
    await played(page)
    detail = page.state.board.detail
    assert detail
    detail["artifacts"] = [
        {"id": f"a{number}", "name": f"out{number}.txt", "type": "text", "bytes": number % 2, "node": "n"}
        for number in range(300)
    ]
    tree = shell.render(page.state)
    assert check(tree) == []
    (results,) = [node for node in walk(tree) if node["key"] == "board.results"]
    first, beginning, rest = results["children"]
    assert beginning["props"]["name"] == "out1.txt" and beginning["props"]["short"]
    assert [link["props"]["label"] for link in first["children"]] == [f"out{n}.txt" for n in range(1, 13, 2)]
    assert rest["props"]["label"] == "294 more"
    assert len(rest["children"][0]["children"]) == board.MOST_RESULTS


async def test_a_failed_run_opens_at_the_step_that_failed(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.fail_node = "chart"
    await played(page)
    assert page.state.board.selected == "chart"
    await do(page, "board.unselect")
    await page.load("board")
    assert page.state.board.selected == ""


async def test_an_interrupted_run_says_what_happened_and_what_can_be_done(page: Page) -> None:
    await played(page)
    detail = page.state.board.detail
    assert detail
    detail["run"]["status"] = "interrupted"
    assert "Resume" in labels(page)
    assert find(page, "Alert", title="Symphony ended while this was playing")


async def test_a_resume_that_runs_programs_asks_first(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    host.fail_node, host.asks_to_resume = "chart", True
    await played(page)
    await do(page, "board.resume")
    assert find(page, "Dialog", title="Permissions")
    assert find(page, "Bullets", items=["run make test"])
    await do(page, "resume.go")
    await asyncio.gather(*host._tasks.values())
    await page.load("board")
    assert not find(page, "Dialog")
    assert page.state.board.detail
    assert page.state.board.detail["run"]["status"] == "succeeded"


@pytest.mark.parametrize("view", ["artifacts", "store"])
def test_a_list_that_is_on_its_way_shows_neither_nothing_nor_a_place_for_files(view: str) -> None:
    kinds = {node["type"] for node in walk(shell.render(PageState(view=view)))}
    assert "Progress" in kinds
    assert not kinds & {"EmptyState", "FilePicker", "Split"}


async def test_more_artifacts_are_listed_on_request(page: Page) -> None:
    host = page.host
    assert isinstance(host, FakeHost)
    for number in range(150):
        host.keep(f"a{number}.txt", "text", str(number).encode())
    await page.open("artifacts")
    assert len(page.state.artifacts.items) == 100
    await do(page, "artifacts.more")
    assert len(page.state.artifacts.items) == 150
    assert "Show more" not in labels(page)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 s"),
        (0.012, "12 ms"),
        (0.32, "320 ms"),
        (0.9997, "1.0 s"),
        (1.23, "1.2 s"),
        (59, "59 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_in_words(value: float, shown: str) -> None:
    assert words.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(12, "12 B"), (5120, "5.1 KB"), (2_400_000, "2.4 MB"), (3 * 10**9, "3.0 GB")]
)
def test_sizes_in_words(value: int, shown: str) -> None:
    assert words.size(value) == shown
