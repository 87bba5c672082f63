"""The Harmony Board: the history of runs, and one run live with graph, timeline, logs and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import PermissionDenied
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import BoardState, Json, PageState, Question
from symphony.ui.views import (
    artifacts,
    board_compare,
    board_step,
    changes,
    compose,
    consent,
    learning_rating,
    melody_graph,
    panels,
)

if TYPE_CHECKING:
    from symphony.ui.page import Page

RESUMABLE = ("failed", "cancelled", "interrupted")
FIRST_RESULTS, MOST_RESULTS = 6, 120
"""How many results of a run are in sight, and how many more can be had on the board."""

LONGEST_TITLE = 160
"""Characters of a prompt that are shown as the name of its run."""

PARTS = {"timeline": "Timeline", "logs": "Logs", "metrics": "Metrics"}


def render(state: PageState) -> Node:
    """The view."""
    board = state.board
    if not board.runs and board.detail is None:
        return h(
            "View",
            h(
                "EmptyState",
                h("Button", key="board.start", label="Write a prompt", variant="primary"),
                icon="activity",
                title="Nothing has been played yet",
                text="Compose a Melody and play it: its steps, times, logs and results show up here, live.",
            ),
            key="view.board",
            title="Harmony Board",
        )
    return h(
        "View",
        h("Split", _history(state), _run(state) if board.detail else _choose(), side="start"),
        key="view.board",
        title="Harmony Board",
    )


def _choose() -> Node:
    return h(
        "EmptyState",
        icon="activity",
        title="No run is chosen",
        text="Choose one from the history.",
        wide=True,
    )


def _history(state: PageState) -> Node:
    return h(
        "Section",
        h(
            "Stack",
            *(_history_entry(run, run["id"] == state.board.run) for run in state.board.runs),
            key="board.runs",
            gap="none",
            scroll=True,
        ),
        key="board.history",
        title="Runs",
        quiet=True,
    )


def _history_entry(run: Json, current: bool) -> Node:
    when = words.ago(run.get("created") or 0)
    lasted = words.seconds(run.get("seconds") or 0)
    return h(
        "Link",
        key=f"board.run:{run['id']}",
        label=_called(run),
        href=f"#/board/{run['id']}",
        current=current,
        icon="dot",
        tone=words.STATE_TONES.get(run["status"], "neutral"),
        meta=str(run["status"]),
        text=f"{when} · {lasted}" if when and run["status"] != "running" else when,
    )


def _called(run: Json) -> str:
    """The run as its user asked for it, in one line."""
    asked = " ".join(str(run.get("prompt") or "").split())
    if len(asked) > LONGEST_TITLE:
        asked = f"{asked[:LONGEST_TITLE].rstrip()} …"
    return asked or str(run.get("name") or run["id"])


def _run(state: PageState) -> Node:
    board = state.board
    detail = board.detail or {}
    run, melody = detail["run"], detail.get("melody") or {}
    return h(
        "Stack",
        _head(state, run),
        _error(run),
        board_compare.section(state),
        *(_question(run["id"], question) for question in detail.get("questions") or []),
        h(
            "Graph",
            key="board.graph",
            label=f"Run of {run.get('name') or 'the Melody'}",
            run=run["id"],
            selected=board.selected or None,
            **melody_graph.graph(melody, state.nodes, {}, {}),
        ),
        board_step.section(state, detail) if board.selected else None,
        changes.section(state),
        learning_rating.section(state, detail),
        _results(run, detail.get("artifacts") or []),
        h(
            "Segments",
            key="board.part",
            label="Details",
            value=board.part,
            options=[{"value": value, "label": label} for value, label in PARTS.items()],
        ),
        _part(board.part, run["id"], board.selected),
        key=f"board.shown:{run['id']}",
    )


def _head(state: PageState, run: Json) -> Node:
    status = run["status"]
    return h(
        "Stack",
        h(
            "Line",
            h("Heading", text=_called(run)),
            h("RunSummary", run=run["id"]),
            h(
                "Line",
                h("Button", key="board.cancel", label="Cancel", variant="secondary", icon="stop")
                if status == "running"
                else None,
                h(
                    "Button",
                    key="board.resume",
                    label="Resume",
                    variant="primary",
                    icon="play",
                    busy="resume" in state.busy or None,
                    hint="Goes on where it stopped; what is finished is not run again",
                )
                if status in RESUMABLE
                else None,
                *(_afterwards(state) if status != "running" else ()),
                gap="small",
            ),
            spread=True,
        ),
        h("Text", str(run.get("name") or run["id"]), tone="muted", small=True) if run.get("prompt") else None,
        gap="small",
    )


def _afterwards(state: PageState) -> list[Node]:
    """What can be done with a run that has ended."""
    return [
        h(
            "Button",
            key="board.again",
            label="Play again",
            variant="secondary",
            icon="play",
            busy="play" in state.busy or None,
            hint="Steps whose inputs are the same are answered from what they made before",
        ),
        h(
            "Button",
            key="board.change",
            label="Change",
            variant="ghost",
            icon="pencil",
            hint="Opens its Melody under Compose",
        ),
        *(
            [
                h(
                    "Button",
                    key="board.compare",
                    label="Compare",
                    variant="ghost",
                    busy="compare" in state.busy or None,
                    hint="Shows it beside an earlier run of the same Melody",
                )
            ]
            if board_compare.others(state.board)
            else []
        ),
    ]


def _error(run: Json) -> Node | None:
    error = run.get("error")
    if run["status"] == "interrupted":
        return h(
            "Alert",
            key="board.error",
            tone="warning",
            title="Symphony ended while this was playing",
            text="Resume goes on where it stopped; what is finished is not run again.",
        )
    if not error:
        return None
    return h(
        "Alert",
        key="board.error",
        tone="bad",
        title=str(error.get("message") or "The run failed").strip(),
        text=str(error.get("remedy") or "") or None,
    )


def _question(run: str, question: Json) -> Node:
    node = str(question.get("node") or "")
    return h(
        "Card",
        h(
            "Heading",
            text=str(question.get("message") or f"{node} waits for your approval"),
        ),
        h(
            "Form",
            h(
                "TextBox",
                key=f"board.comment:{node}",
                name="comment",
                label="Comment",
                value="",
                quiet=True,
                placeholder="Comment (optional)",
            ),
            h(
                "Line",
                h("Button", key=f"board.approve:{node}", label="Approve", variant="primary", submit=True),
                h("Button", key=f"board.decline:{node}", label="Decline", variant="danger"),
            ),
            key=f"board.answer:{node}",
            label=f"Answer {node}",
        ),
        key=f"board.question:{run}/{node}",
        tone="warning",
    )


def _results(run: Json, made: list[Json]) -> Node | None:
    """The results that say something first, the beginning of the very first; the rest, and what is empty, on demand."""
    if not made:
        return None
    full = [item for item in made if item.get("bytes")]
    first = (full or made)[:FIRST_RESULTS]
    shown = {id(item) for item in first}
    rest = [item for item in made if id(item) not in shown]
    return h(
        "Section",
        artifacts.links("board.artifact", first),
        h(
            "ArtifactView",
            key=f"board.first:{first[0]['id']}",
            id=first[0]["id"],
            name=str(first[0]["name"]),
            mime=str(first[0]["type"]),
            bytes=int(first[0]["bytes"]),
            short=True,
        )
        if full and run["status"] != "running"
        else None,
        h(
            "Disclosure",
            artifacts.links("board.artifact", rest[:MOST_RESULTS]),
            h("Text", "All of them are under Artifacts.", small=True, tone="muted")
            if len(rest) > MOST_RESULTS
            else None,
            key="board.rest",
            label=f"{len(rest):,} more",
        )
        if rest
        else None,
        key="board.results",
        title="Results",
    )


def _part(part: str, run: str, selected: str) -> Node:
    if part == "logs":
        return h("Logs", run=run)
    if part == "metrics":
        return h("Metrics", run=run)
    return h("Timeline", key="board.timeline", run=run, selected=selected or None)


def _consent_dialog(question: Question) -> Node:
    return consent.dialog(question, "resume", "Allow and resume")


DIALOGS = {"board.consent": _consent_dialog}


async def load(page: Page) -> None:
    """Loads the history and the run that is shown."""
    board = page.state.board
    board.runs = (await page.host.list_runs(50))["runs"]
    if not board.run and board.runs:
        board.run = board.runs[0]["id"]
    if board.run:
        wanted = board.run
        detail = await page.host.get_run(wanted)
        if wanted == board.run:
            await learning_rating.load(page, detail)
            _take(board, detail)
            page.changed()
            await board_step.load(page)


def _take(board: BoardState, detail: Json) -> None:
    """Shows a run; of one that is found failed, the step that failed."""
    known = (board.detail or {}).get("run") or {}
    board.detail = detail
    run = detail["run"]
    if known.get("id") != run["id"]:
        board.against = None
    is_news = (known.get("id"), known.get("status")) != (run["id"], run["status"])
    if is_news and run["status"] == "failed" and not board.selected:
        failed = (node["id"] for node in run["nodes"] if node["status"] == "failed")
        board.selected = next(failed, "")


@on("board.start")
async def _start(page: Page, _argument: str, _value: Any) -> None:
    await page.open("compose")


@on("board.run")
async def _choose_run(page: Page, argument: str, _value: Any) -> None:
    board = page.state.board
    detail = await page.host.get_run(argument)
    board.run, board.selected = argument, ""
    await learning_rating.load(page, detail)
    _take(board, detail)
    page.changed()
    await board_step.load(page)


@on("board.graph", "select")
@on("board.timeline", "select")
@on("board.compared", "select")
async def _select(page: Page, _argument: str, value: Any) -> None:
    page.state.board.selected = str(value or "")
    page.changed()
    await panels.look_at_node(page)
    await board_step.load(page)


@on("board.unselect")
async def _unselect(page: Page, _argument: str, _value: Any) -> None:
    await _select(page, "", "")


@on("board.part", "change")
async def _choose_part(page: Page, _argument: str, value: Any) -> None:
    if value in PARTS:
        page.state.board.part = str(value)
        page.changed()


@on("board.cancel")
async def _cancel(page: Page, _argument: str, _value: Any) -> None:
    await page.host.cancel_run(page.state.board.run)
    page.announce("The run is being cancelled", show=True)
    page.reload("board")


@on("board.again")
async def _again(page: Page, _argument: str, _value: Any) -> None:
    if detail := page.state.board.detail:
        await compose.play(page, detail["melody"], str(detail["run"].get("prompt") or ""))


@on("board.change")
async def _change(page: Page, _argument: str, _value: Any) -> None:
    if detail := page.state.board.detail:
        await compose.take(page, detail["melody"], str(detail["run"].get("prompt") or ""))


@on("board.resume")
@on("board.retry")
async def _resume(page: Page, _argument: str, _value: Any) -> None:
    await _go_on(page, page.state.board.run, False)


@on("resume.go")
async def _resume_agreed(page: Page, _argument: str, _value: Any) -> None:
    await _go_on(page, page.answered()["run"], True)


@on("resume.cancel")
@on("dialog.resume", "close")
async def _resume_refused(page: Page, _argument: str, _value: Any) -> None:
    page.answered()


async def _go_on(page: Page, run: str, agreed: bool) -> None:
    with page.busy("resume", "Resuming the run"):
        try:
            await page.host.resume_run(run, agreed=agreed)
        except PermissionDenied as error:
            page.ask("board.consent", run=run, questions=consent.questions(error))
            return
    page.state.board.selected = ""
    page.announce("The run goes on")
    await page.load("board")


async def _answer(page: Page, node: str, approved: bool, comment: str) -> None:
    await page.host.answer(page.state.board.run, node, approved, comment)
    page.announce("Approved" if approved else "Declined")
    await page.load("board")


@on("board.answer", "submit")
async def _approve(page: Page, argument: str, value: Any) -> None:
    await _answer(page, argument, True, str(value.get("comment", "")))


@on("board.decline")
async def _decline(page: Page, argument: str, _value: Any) -> None:
    await _answer(page, argument, False, "")


@on("board.artifact")
async def _artifact(page: Page, argument: str, _value: Any) -> None:
    await artifacts.show(page, argument.partition("/")[0])
    await page.open("artifacts")
