"""What the user says of a run that began with a prompt, on the run's board: the Conductor learns from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState

if TYPE_CHECKING:
    from symphony.ui.page import Page

_NAMES = {1: "good", 0: "none", -1: "bad"}
_WORDS = {"good": "You said that it was good.", "bad": "You said that it was not what you wanted."}


def section(state: PageState, detail: Json) -> Node | None:
    """Asks for a rating of a run that the Conductor composed and that has ended; nothing for any other."""
    run, mark = detail["run"], (detail["melody"].get("metadata") or {}).get("composition")
    if not mark or run["status"] not in ("succeeded", "failed"):
        return None
    rating = state.learning.ratings.get(run["id"], "none")
    if rating != "none":
        return h(
            "Line",
            h("Text", _WORDS[rating], small=True, tone="muted"),
            h("Button", key=f"rating.none:{run['id']}", label="Take it back", variant="ghost", small=True),
            key="rating",
        )
    return h(
        "Line",
        h(
            "Text",
            "Was this what you wanted? The Conductor learns from your answer.",
            small=True,
            tone="muted",
        ),
        h("Button", key=f"rating.good:{run['id']}", label="Good", variant="secondary", small=True),
        h("Button", key=f"rating.bad:{run['id']}", label="Not good", variant="secondary", small=True),
        key="rating",
    )


async def load(page: Page, detail: Json) -> None:
    """Learns what was said of a run before this page was opened."""
    run, mark = detail["run"], (detail["melody"].get("metadata") or {}).get("composition")
    if not mark or run["id"] in page.state.learning.ratings or run["status"] not in ("succeeded", "failed"):
        return
    kept = (await page.host.learning_of_run(run["id"]))["kept"] or {}
    page.state.learning.ratings[run["id"]] = _NAMES[int(kept.get("rating") or 0)]


async def _rate(page: Page, run: str, rating: str) -> None:
    await page.host.rate_run(run, rating)
    page.state.learning.ratings[run] = rating
    page.announce("Thank you, it is kept" if rating != "none" else "The rating is taken back", show=True)


@on("rating.good")
async def _good(page: Page, argument: str, _value: Any) -> None:
    await _rate(page, argument, "good")


@on("rating.bad")
async def _bad(page: Page, argument: str, _value: Any) -> None:
    await _rate(page, argument, "bad")


@on("rating.none")
async def _none(page: Page, argument: str, _value: Any) -> None:
    await _rate(page, argument, "none")
