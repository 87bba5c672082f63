"""What the programs of a run changed in their private copy of the project, on the run's board: look, apply, undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState

if TYPE_CHECKING:
    from symphony.ui.page import Page

MOST_LINES = 400
"""Lines of a difference that the page shows; the command line shows all."""

_STATES = {
    "open": ("waits for your word", "warning"),
    "applying": ("was interrupted while it was applied", "bad"),
    "applied": ("applied", "good"),
    "undoing": ("was interrupted while it was undone", "bad"),
    "undone": ("undone", "neutral"),
}


def section(state: PageState) -> Node | None:
    """The sets of changes of the run that is shown; nothing when there are none."""
    # In the order in which they were made: each may build upon those above it.
    sets = list(reversed((state.board.detail or {}).get("changes") or []))
    if not sets:
        return None
    waiting = [changes for changes in sets if changes["state"] == "open" and not changes.get("replaced")]
    return h(
        "Section",
        h(
            "Line",
            h(
                "Text",
                "The project itself is as it was until you apply them."
                if len(waiting) == 1
                else "The project itself is as it was until you apply them. A step sees what those before it changed, "
                "so apply them from the top.",
                tone="muted",
                small=True,
            ),
            h(
                "Button",
                key=f"changes.apply_all:{waiting[0]['run']}",
                label=f"Apply all {len(waiting)}",
                variant="primary",
                small=True,
                busy="changes" in state.busy or None,
            )
            if len(waiting) > 1
            else None,
            spread=True,
        )
        if waiting
        else None,
        *(_card(state, changes, is_alone=len(waiting) == 1) for changes in sets),
        key="board.changes",
        title="Changes to the project",
    )


def _card(state: PageState, changes: Json, *, is_alone: bool) -> Node:
    identity, done = changes["id"], changes["state"]
    words, tone = _STATES[done]
    if changes.get("replaced") and done == "open":
        words, tone = "of a step that was played again", "neutral"
    shown = state.board.changes
    is_open = shown is not None and shown["id"] == identity
    return h(
        "Card",
        h(
            "Line",
            h("Heading", text=f"{changes['node'] or 'A call'}: {_counted(changes['counts'])}"),
            h("Badge", text=words, tone=tone),
            spread=True,
        ),
        h("Text", str(changes["program"]), small=True, mono=True),
        h("Bullets", items=[f"Left out: {r['path']}: {r['reason']}" for r in changes["refused"][:20]])
        if changes["refused"]
        else None,
        h(
            "Line",
            h(
                "Button",
                key=f"changes.look:{identity}",
                label="Hide the difference" if is_open else "Show the difference",
                variant="ghost",
                small=True,
            ),
            h(
                "Button",
                key=f"changes.apply:{identity}",
                label="Apply changes",
                variant="primary" if is_alone else "secondary",
                small=True,
            )
            if done != "applied"
            else None,
            h("Button", key=f"changes.undo:{identity}", label="Undo changes", variant="secondary", small=True)
            if done not in ("open", "undone")
            else None,
            gap="small",
        ),
        _difference(shown) if is_open and shown is not None else None,
        key=f"changes.set:{identity}",
    )


def _difference(shown: Json) -> Node:
    lines = str(shown["diff"]).split("\n")
    left = len(lines) - MOST_LINES
    return h(
        "Stack",
        h(
            "Difference",
            key=f"changes.diff:{shown['id']}",
            label="Difference",
            text="\n".join(lines[:MOST_LINES]),
        ),
        h("Text", f"{left:,} more lines: symphony changes show {shown['id']}", small=True, tone="muted")
        if left > 0
        else None,
        gap="small",
    )


def _counted(counts: Json) -> str:
    words = {"added": "added", "changed": "changed", "removed": "removed", "refused": "left out"}
    return ", ".join(f"{counts[kind]} {word}" for kind, word in words.items() if counts.get(kind))


@on("changes.look")
async def _look(page: Page, argument: str, _value: Any) -> None:
    board = page.state.board
    is_open = board.changes is not None and board.changes["id"] == argument
    board.changes = None if is_open else await page.host.get_changes(argument)
    page.changed()


@on("changes.apply")
async def _apply(page: Page, argument: str, _value: Any) -> None:
    with page.busy("changes", "Applying the changes"):
        await page.host.apply_changes(argument)
    page.announce("The changes are applied", show=True)
    await page.load("board")


@on("changes.apply_all")
async def _apply_all(page: Page, argument: str, _value: Any) -> None:
    with page.busy("changes", "Applying the changes"):
        try:
            answer = await page.host.apply_run_changes(argument)
        finally:
            await page.load("board")  # those before the one that could not be applied are
    page.announce(f"{len(answer['changes'])} sets of changes are applied", show=True)


@on("changes.undo")
async def _undo(page: Page, argument: str, _value: Any) -> None:
    with page.busy("changes", "Undoing the changes"):
        await page.host.undo_changes(argument)
    page.announce("The changes are undone", show=True)
    await page.load("board")
