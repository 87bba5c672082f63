"""Two runs side by side: which steps were otherwise, what took longer, and what came out differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import SymphonyError
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import BoardState, Json, PageState

if TYPE_CHECKING:
    from symphony.ui.page import Page

MOST_ROWS = 200
MOST_DIFFERENCES = 4
MOST_LINES = 400


def others(board: BoardState) -> list[Json]:
    """The runs of the same Melody or prompt that have ended, the newest first."""
    run = (board.detail or {}).get("run") or {}
    same = [
        one
        for one in board.runs
        if one["id"] != run.get("id")
        and one["status"] != "running"
        and (one.get("name") == run.get("name") or (one.get("prompt") and one["prompt"] == run.get("prompt")))
    ]
    return same


def section(state: PageState) -> Node | None:
    """The comparison, as long as one was asked for."""
    board = state.board
    against = board.against
    if against is None or board.detail is None:
        return None
    run, other = board.detail["run"], against["detail"]["run"]
    rows = _rows(other, run)
    return h(
        "Section",
        h(
            "Select",
            key="board.against",
            label="Compared with",
            value=other["id"],
            options=[
                {
                    "value": one["id"],
                    "label": f"{words.ago(one.get('created') or 0)}, {words.seconds(one.get('seconds') or 0)}",
                    "hint": str(one["status"]),
                }
                for one in others(board)
            ],
        ),
        h("Text", _summary(other, run, rows), small=True),
        h(
            "Table",
            key="board.compared",
            label="Steps of both runs",
            columns=[
                {"id": "step", "label": "Step"},
                {"id": "then", "label": "That run", "end": True},
                {"id": "now", "label": "This run", "end": True},
                {"id": "made", "label": "Made"},
            ],
            rows=rows[:MOST_ROWS],
            current=board.selected or None,
        ),
        *(
            h(
                "Disclosure",
                h(
                    "Difference",
                    key=f"board.diff:{one['name']}",
                    label=f"Difference of {one['name']}",
                    text=one["diff"],
                )
                if one["diff"]
                else None,
                h("Text", one["why"], small=True, tone="muted") if one["why"] else None,
                key=f"board.differs:{one['name']}",
                label=f"{one['name']}: {one['said']}",
                open=len(against["results"]) == 1 or None,
            )
            for one in against["results"]
        ),
        h("Button", key="board.compare_end", label="Close", variant="ghost", small=True),
        key="board.comparison",
        title="Two runs compared",
    )


def _summary(other: Json, run: Json, rows: list[Json]) -> str:
    apart = (run.get("seconds") or 0) - (other.get("seconds") or 0)
    word, when = "longer" if apart > 0 else "shorter", words.ago(other.get("created") or 0)
    told = f"{words.seconds(abs(apart))} {word} than the run of {when}"
    changed = sum(row["cells"][3] in ("something else", "now", "no longer") for row in rows)
    return f"{told}; {words.count(changed, 'step')} made something else."


def _rows(other: Json, run: Json) -> list[Json]:
    then = {node["id"]: node for node in other["nodes"]}
    now = {node["id"]: node for node in run["nodes"]}
    rows = []
    for id in dict.fromkeys([*now, *then]):
        made = _made(then.get(id), now.get(id))
        tone = {"tone": "warning"} if made in ("something else", "now", "no longer") else {}
        rows.append({"id": id, "cells": [id, _took(then.get(id)), _took(now.get(id)), made], **tone})
    return rows


def _took(node: Json | None) -> str:
    if node is None:
        return "–"
    if node["status"] != "succeeded":
        return str(node["status"])
    if node.get("cached"):
        return "from the cache"
    return words.seconds((node.get("ended") or 0) - (node.get("started") or 0))


def _made(then: Json | None, now: Json | None) -> str:
    """What the step's outputs are beside those of the other run's step."""
    before, after = (list((node or {}).get("artifacts") or []) for node in (then, now))
    if not before and not after:
        return "nothing"
    if not before:
        return "now"
    if not after:
        return "no longer"
    return "the same" if before == after else "something else"


async def compare(page: Page, other: str) -> None:
    """Shows the run on the board beside another one."""
    board = page.state.board
    with page.busy("compare", "Comparing the runs"):
        detail = await page.host.get_run(other)
        before = {item["name"]: item for item in detail.get("artifacts") or []}
        results = [
            await _difference(page, before[item["name"]], item)
            for item in ((board.detail or {}).get("artifacts") or [])
            if item["name"] in before
        ]
    apart = [one for one in results if one is not None]
    board.against = {"detail": detail, "results": apart[:MOST_DIFFERENCES]}
    page.announce("The runs are compared")


async def _difference(page: Page, old: Json, new: Json) -> Json | None:
    """What changed in a result; nothing when it is the same."""
    if old["id"] == new["id"]:
        return None
    told: Json = {"name": new["name"], "diff": "", "said": "is something else", "why": ""}
    try:
        answer = await page.host.diff_artifacts(old["id"], new["id"])
    except SymphonyError as error:
        return {**told, "why": error.message}
    lines = str(answer["diff"]).splitlines()
    left = len(lines) - MOST_LINES
    return {
        **told,
        "diff": "\n".join(lines[:MOST_LINES]),
        "said": f"{words.count(answer['added'], 'line')} more, {words.count(answer['removed'], 'line')} less",
        "why": f"{left:,} more lines: symphony artifacts diff" if left > 0 else "",
    }


@on("board.compare")
async def _compare(page: Page, _argument: str, _value: Any) -> None:
    found = others(page.state.board)
    if found:
        await compare(page, str(found[0]["id"]))


@on("board.against", "change")
async def _against(page: Page, _argument: str, value: Any) -> None:
    await compare(page, str(value))


@on("board.compare_end")
async def _end(page: Page, _argument: str, _value: Any) -> None:
    page.state.board.against = None
    page.changed()
