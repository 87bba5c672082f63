"""Changes the previewed Melody by words, tells what was changed, and takes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import ComposeState, Earlier, Json, PageState

if TYPE_CHECKING:
    from symphony.ui.page import Page

LONGEST_PROMPT = 8_000
"""Characters; what is longer is refused before it reaches the Conductor."""


def wrong_with(prompt: str, empty: str) -> str:
    """Why a prompt is not sent to the Conductor; nothing when it is. `empty` is said of one without words."""
    if not prompt:
        return empty
    if len(prompt) > LONGEST_PROMPT:
        return (
            f"The prompt has {len(prompt):,} characters, the most is {LONGEST_PROMPT:,}. "
            "Put long material into a file of the project and name the file."
        )
    return ""


def section(state: PageState) -> Node:
    """The text box for what shall be otherwise, and what the last wish changed."""
    compose = state.compose
    busy = "revise" in state.busy
    return h(
        "Stack",
        h(
            "Form",
            h(
                "Line",
                h(
                    "TextBox",
                    key="compose.wish",
                    name="wish",
                    label="What should be different",
                    quiet=True,
                    value=compose.wish,
                    version=compose.wish_version,
                    placeholder="Change it: “only the last 30 days”, “without the chart”, “also as CSV”",
                    problem=compose.wish_problem or None,
                ),
                h("Button", key="compose.revise", label="Revise", submit=True, busy=busy, icon="sparkles"),
                h("Button", key="compose.undo", label="Undo", variant="ghost", icon="undo")
                if compose.earlier
                else None,
                gap="small",
            ),
            key="compose.wishes",
            label="Change the Melody",
        ),
        _told(compose),
        gap="small",
        key="compose.revision",
    )


def _told(compose: ComposeState) -> Node | None:
    """What the last revision did, or why it did nothing."""
    if not compose.told:
        return None
    lines = [f"{line['node']}: {line['why']}" if line["node"] else str(line["why"]) for line in compose.told]
    done = any(line["node"] for line in compose.told)
    return h(
        "Alert",
        key="compose.told",
        tone="info" if done else "warning",
        title="What was changed" if done else "Nothing was changed, for this is missing",
        items=lines,
        closable=True,
    )


@on("compose.wishes", "submit")
async def _revise(page: Page, _argument: str, value: Any) -> None:
    wish = str(value.get("wish", "")).strip()
    compose = page.state.compose
    if compose.melody is None:
        raise BadInput("There is no Melody to change", remedy="compose one first")
    compose.wish_problem = wrong_with(wish, "Say what should be different.")
    if compose.wish_problem:
        page.announce(compose.wish_problem)
        return
    compose.wish = wish
    before = Earlier(compose.melody, compose.draft, compose.answer, compose.changed)
    with page.busy("revise", "Changing the Melody"):
        answer = await page.host.revise_melody(compose.melody, wish)
        if compose.melody is not before.melody:
            return
        if not answer.get("possible", True):
            compose.told = [{"node": "", "why": str(what)} for what in answer["missing"]]
            page.announce("Nothing was changed")
            return
        earlier = [*compose.earlier, before]
        compose.show(answer["melody"], answer.get("draft"))
        compose.answer = {**answer, "explanations": merged_reasons(before.answer, answer)}
        compose.earlier, compose.told = earlier, answer["explanations"]
        page.announce(f"{words.count(len(compose.told), 'change')} made")


@on("compose.undo")
async def _undo(page: Page, _argument: str, _value: Any) -> None:
    compose = page.state.compose
    if not compose.earlier:
        return
    *earlier, before = compose.earlier
    compose.show(before.melody, before.draft)
    compose.answer, compose.changed, compose.earlier = before.answer, before.changed, earlier
    page.announce("The last change was taken back")


@on("compose.told", "close")
async def _close(page: Page, _argument: str, _value: Any) -> None:
    page.state.compose.told = []
    page.changed()


def merged_reasons(before: Json | None, answer: Json) -> list[Json]:
    """The reasons of all nodes; of one that stood before and was changed, both what was said then and now."""
    reasons = {line["node"]: dict(line) for line in (before or {}).get("explanations") or []}
    for line in answer["explanations"]:
        known = reasons.get(line["node"])
        if known is None:
            reasons[line["node"]] = dict(line)
        else:
            known["why"] = f"{known['why']}; now {line['why']}"
    nodes = [node["id"] for node in answer["melody"].get("nodes", [])]
    return [reasons[node] for node in nodes if node in reasons]
