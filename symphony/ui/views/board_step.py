"""One step of a run: what it is for, why it is there, what it took and made, and what can be done from here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from symphony.errors import SymphonyError
from symphony.ui import foreign, words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState
from symphony.ui.views import artifacts, melody_graph

if TYPE_CHECKING:
    from symphony.ui.page import Page

MOST = 12
"""How many artifacts are listed on each side; a step that makes thousands has them all under Artifacts."""


def section(state: PageState, detail: Json) -> Node:
    """The step that is selected."""
    run, chosen = detail["run"], state.board.selected
    melody = detail.get("melody") or {}
    step: Json = next((node for node in melody.get("nodes", ()) if node["id"] == chosen), {})
    said = str(state.nodes.get(melody_graph.base(step.get("player", "")), {}).get("description") or "")
    why = ((melody.get("metadata") or {}).get("why") or {}).get(chosen)
    played: Json = next((node for node in run["nodes"] if node["id"] == chosen), {})
    params = ", ".join(
        f"{words.label(name)}: {melody_graph.show_param(value)}"
        for name, value in (step.get("params") or {}).items()
    )
    known = state.board.step if state.board.step.get("node") == chosen else {}
    return h(
        "Section",
        h("Text", said, small=True) if said else None,
        h("NodeDetails", run=run["id"], node=chosen),
        h("Text", f"In the plan because {why}", small=True, tone="muted") if why else None,
        h("Text", params, small=True, tone="muted") if params else None,
        _links("Took", "took", known),
        _links("Made", "made", known),
        _shown_by_node(state, f"{run['id']}/{chosen}"),
        h(
            "Disclosure",
            h("Logs", run=run["id"], node=chosen),
            key="board.node_logs",
            label="Logs of this step",
            open=played.get("status") != "succeeded" or None,
        ),
        h(
            "Line",
            h(
                "Button",
                key="board.retry",
                label="Try this step again",
                variant="primary",
                icon="play",
                small=True,
            )
            if played.get("status") == "failed" and run["status"] != "running"
            else None,
            h("Button", key="board.unselect", label="Close", variant="ghost", small=True),
        ),
        key=f"board.node:{chosen}",
        title=chosen,
    )


def _links(title: str, side: str, known: Json) -> Node | None:
    found = known.get(side) or []
    if not found:
        return None
    return h(
        "Stack",
        h("Heading", text=title),
        artifacts.links(f"board.{side}", found),
        h("Text", f"{known['left'][side]:,} more are under Artifacts.", small=True, tone="muted")
        if known["left"][side]
        else None,
        gap="none",
    )


def _shown_by_node(state: PageState, place: str) -> Node | None:
    shown = state.motifs.shown.get(place)
    if shown is None or shown["tree"] is None:
        return None
    return foreign.frame(state.board.selected, shown, place, closable=False)


async def load(page: Page) -> None:
    """Looks up what the selected step took and made."""
    board = page.state.board
    chosen, detail = board.selected, board.detail
    if not chosen or detail is None:
        return
    nodes = {node["id"]: node for node in detail["run"]["nodes"]}
    if chosen not in nodes:
        return
    edges = [
        edge for edge in (detail.get("melody") or {}).get("edges", ()) if edge.get("kind", "data") == "data"
    ]
    givers = dict.fromkeys(
        str(edge["from"]).partition(".")[0] for edge in edges if str(edge["to"]).partition(".")[0] == chosen
    )
    # Two outputs of the same content are one artifact.
    sides = {
        "took": list(
            dict.fromkeys(
                (id, giver) for giver in givers if giver in nodes for id in nodes[giver]["artifacts"]
            )
        ),
        "made": list(dict.fromkeys((id, "") for id in nodes[chosen]["artifacts"])),
    }
    step: Json = {"node": chosen, "left": {side: max(0, len(ids) - MOST) for side, ids in sides.items()}}
    for side, ids in sides.items():
        step[side] = [info for id, giver in ids[:MOST] if (info := await _info(page, id, giver))]
    if board.selected == chosen:
        board.step = step
        page.changed()


async def _info(page: Page, artifact: str, giver: str) -> Json | None:
    """What is known of an artifact; nothing of one that is gone by now."""
    with contextlib.suppress(SymphonyError):
        info, _ = await page.host.get_artifact(artifact, 0)
        return {**info, "node": giver}
    return None


@on("board.took")
@on("board.made")
async def _open(page: Page, argument: str, _value: Any) -> None:
    await artifacts.show(page, argument.partition("/")[0])
    await page.open("artifacts")
