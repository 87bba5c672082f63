"""The one question that the Conductor has before a preview is shown, where a prompt has two likely readings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState

if TYPE_CHECKING:
    from symphony.ui.page import Page


def section(state: PageState) -> Node | None:
    """The question with a button for each reading, the likeliest first; None while nothing is asked."""
    asked = (state.compose.answer or {}).get("question")
    if asked is None or state.compose.melody is not None:
        return None
    return h(
        "Section",
        h(
            "Grid",
            *(
                h(
                    "Button",
                    key=f"compose.answer:{number}",
                    label=str(choice["label"]),
                    variant="secondary",
                    icon="arrow",
                )
                for number, choice in enumerate(asked["choices"])
            ),
            least=18,
        ),
        key="compose.question",
        title=str(asked["text"]),
        text="Pick one, and the Melody is shown.",
    )


async def compose(page: Page, answers: dict[str, str] | None = None) -> None:
    """Composes the prompt of the state; shows the Melody, or the question that comes before it."""
    state = page.state.compose
    state.asked += 1
    asked = state.asked
    page.state.problem = None
    state.show(None)
    state.answer = None
    with page.busy("compose", "Composing the Melody"):
        answer = await page.host.submit_prompt(state.prompt, None, answers)
        if asked != state.asked:
            return
        state.answer = answer
        if not answer.get("possible", True):
            page.announce("The installed Players cannot do this")
        elif "question" in answer:
            page.announce(str(answer["question"]["text"]))
        else:
            _show(page, answer)


def _show(page: Page, answer: Json) -> None:
    page.state.compose.show(answer["melody"], answer.get("draft"))
    steps = words.count(len(answer["melody"].get("nodes", [])), "step")
    page.announce(f"The Melody is ready: {steps}")


@on("compose.answer")
async def _answer(page: Page, argument: str, _value: Any) -> None:
    answer = page.state.compose.answer or {}
    question = answer.get("question")
    if question is None or not argument.isdigit() or int(argument) >= len(question["choices"]):
        raise BadInput("There is no such question", remedy="compose again")
    if int(argument) == 0:
        _show(page, answer)
        page.changed()
        return
    await compose(page, {question["name"]: str(question["choices"][int(argument)]["value"])})
