"""What was done, day by day, each line with what takes it back; and the offer to take back the last one."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, Offer, PageState

if TYPE_CHECKING:
    from symphony.ui.page import Page

STEP = 100
"""How many actions are listed at first, and how many more each time."""
RECENT = 50
"""How far back the last action that can be undone is looked for."""

_ICONS = {
    "run": "play",
    "melody": "library",
    "extension": "package",
    "setting": "settings",
    "changes": "pencil",
    "artifacts": "trash",
    "rating": "sparkles",
    "undo": "undo",
}
_TURNS = {"undo": "Undo", "redo": "Redo"}


def render(state: PageState) -> Node:
    """The view."""
    history = state.history
    days = [
        list(actions) for _, actions in groupby(history.items, key=lambda action: words.day(action["at"]))
    ]
    return h(
        "View",
        h(
            "EmptyState",
            icon="undo",
            title="Nothing has been done yet",
            text="What you play, save, install, allow and set is listed here, and can be taken back.",
        )
        if history.loaded and not history.items
        else None,
        *(
            h(
                "Section",
                h("Stack", *(_line(action) for action in actions), gap="none"),
                key=f"history.day:{actions[0]['id']}",
                title=words.day(actions[0]["at"]),
            )
            for actions in days
        ),
        h("Button", key="history.more", label="Show earlier actions", variant="secondary")
        if len(history.items) == history.limit
        else None,
        key="view.history",
        title="History",
        text="What you did, and Symphony for you. Undo brings back exactly what was before.",
    )


def _line(action: Json) -> Node:
    mark, tone = _result(action)
    can = action["can"]
    meta = [f"{datetime.fromtimestamp(action['at']):%H:%M}"]
    if action["by"] != "you":
        meta.append(f"by {action['by']}")
    if action["error"]:
        meta.append(str(action["error"]))
    return h(
        "Entry",
        h("Badge", text=mark, tone=tone) if mark else None,
        h(
            "Button",
            key=f"history.{can}:{action['id']}",
            label=_TURNS[can],
            hint=str(action["said"]),
            variant="ghost",
            icon=can,
            small=True,
        )
        if can
        else None,
        h(
            "Button",
            key=f"history.run:{action['id']} {action['subject']}",
            label="Show the run",
            hint=str(action["said"]),
            variant="ghost",
            icon="arrow",
            small=True,
        )
        if action["kind"] == "run" and action["status"]
        else None,
        key=f"history.entry:{action['id']}",
        icon=_ICONS.get(action["kind"], "dot"),
        text=str(action["said"]),
        meta=" · ".join(meta),
        muted=bool(action["undone"]) or None,
    )


def _result(action: Json) -> tuple[str, str]:
    """What came of it, in a word, and its tone; nothing for what simply was done."""
    if action["error"]:
        return "failed", "bad"
    if action["undone"]:
        return "undone", "neutral"
    status = str(action["status"])
    return status, words.STATE_TONES.get(status, "neutral")


def toast(offer: Offer | None) -> Node | None:
    """The offer to take something back, or to do it again."""
    if offer is None:
        return None
    return h("Toast", key="toast", text=offer.text, label=_TURNS[offer.can], count=offer.action)


async def load(page: Page) -> None:
    """Loads the newest actions, as many as were asked for."""
    history = page.state.history
    history.items = (await page.host.list_actions(history.limit))["actions"]
    history.loaded = True


async def offer(page: Page, text: str) -> None:
    """Says what was just done, and offers to undo it if that can be done."""
    latest = (await page.host.list_actions(1))["actions"]
    if not latest or latest[0]["can"] != "undo":
        page.announce(text, show=True)
        return
    page.state.offer = Offer(int(latest[0]["id"]), text, "undo")
    page.announce(text)


@on("shell", "undo")
async def _offer_last(page: Page, _argument: str, _value: Any) -> None:
    """Offers the last action that can be undone; asked for again, it is undone."""
    state = page.state
    if state.question is not None:  # what is asked comes first
        return
    if state.offer is not None and state.offer.can == "undo":
        await _take(page, "toast", None)
        return
    actions = (await page.host.list_actions(RECENT))["actions"]
    last = next((action for action in actions if action["can"] == "undo"), None)
    if last is None:
        page.announce("There is nothing to undo", show=True)
        return
    state.offer = Offer(int(last["id"]), str(last["said"]), "undo")
    page.announce(f"{last['said']}. Undo it?")


@on("toast", "press")
async def _take(page: Page, _argument: str, _value: Any) -> None:
    taken, page.state.offer = page.state.offer, None
    if taken is not None:
        await _turn(page, taken.action, taken.can)


@on("toast", "close")
async def _let_go(page: Page, _argument: str, value: Any) -> None:
    """Puts the offer away, but for one that has taken its place meanwhile."""
    if page.state.offer is not None and value in (None, page.state.offer.action):
        page.state.offer = None
        page.changed()


@on("history.undo")
async def _undo(page: Page, argument: str, _value: Any) -> None:
    await _turn(page, int(argument), "undo")


@on("history.redo")
async def _redo(page: Page, argument: str, _value: Any) -> None:
    await _turn(page, int(argument), "redo")


@on("history.run")
async def _show_run(page: Page, argument: str, _value: Any) -> None:
    await page.open("board")
    page.dispatch(f"board.run:{argument.partition(' ')[2]}", "press", None)


@on("history.more")
async def _more(page: Page, _argument: str, _value: Any) -> None:
    page.state.history.limit += STEP
    await page.load("history")


@on("settings.history")
async def _open(page: Page, _argument: str, _value: Any) -> None:
    await page.open("history")


async def _turn(page: Page, action: int, can: str) -> None:
    with page.busy("undo", "Undoing" if can == "undo" else "Doing it again"):
        turn = page.host.undo_action if can == "undo" else page.host.redo_action
        answer = await turn(action)
    text = f"{'Undone' if can == 'undo' else 'Done again'}: {answer['said']}"
    page.state.offer = Offer(action, text, answer["can"])
    page.announce(text)
    await page.load(page.state.view)
