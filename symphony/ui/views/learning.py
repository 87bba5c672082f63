"""What the Conductor learns: which policy decides, the curves of lessons, what was promoted or refused and why."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState, Question

if TYPE_CHECKING:
    from symphony.ui.page import Page

CURVES = {
    "policy_loss": "Policy loss",
    "value_loss": "Value loss",
    "kl_divergence": "KL divergence",
    "return": "Return",
}
SHOWN_RUNS, SHOWN_EVENTS = 20, 20
_KINDS = {"promoted": "good", "refused": "warning", "rolled back": "neutral"}
_LEARNER = {"learning": "info", "waiting": "good", "missing": "neutral"}


def render(state: PageState) -> Node:
    """The view."""
    known = state.learning.shown
    return h(
        "View",
        *(_parts(state, known) if known is not None else []),
        key="view.learning",
        title="Learning",
        text="The Conductor learns from how your runs end and from what you say of them. Nothing of it leaves this "
        "machine. What it learnt decides only after it did no worse on 4,000 fixed tasks than what decided before.",
    )


def _parts(state: PageState, known: Json) -> list[Node | None]:
    lessons: list[Json] = known["lessons"]
    return [
        _policy(state, known),
        _lesson(lessons[0]) if lessons else None,
        h(
            "Disclosure",
            *(_lesson(lesson) for lesson in lessons[1:]),
            key="learning.earlier",
            label=f"{len(lessons) - 1} earlier lessons" if len(lessons) > 2 else "The lesson before",
        )
        if len(lessons) > 1
        else None,
        _events(known["events"]),
        _kept(state, known),
    ]


def _policy(state: PageState, known: Json) -> Node:
    policy, learner = known["policy"], known["learner"]
    about = "; ".join(part for part in (learner["detail"], learner["remedy"]) if part)
    is_learning = learner["state"] == "learning"
    return h(
        "Section",
        h(
            "Line",
            h("Text", policy["version"] or policy["deciding"], mono=True),
            h("Badge", text="as shipped" if policy["deciding"] == "shipped" else "learnt", tone="info"),
        ),
        h("Alert", key="learning.trouble", tone="warning", title=policy["trouble"]) if policy["trouble"] else None,
        h(
            "Line",
            h("Badge", text=f"learner {learner['state']}", tone=_LEARNER[learner["state"]]),
            h("Text", about, small=True, tone="muted") if about else None,
        ),
        h("Progress", key="learning.progress", label=learner["detail"] or "Learning") if is_learning else None,
        h(
            "Line",
            h("Button", key="learning.train", label="Learn now", variant="secondary", disabled=is_learning or None,
              busy="learning" in state.busy or None),
            h("Button", key="learning.rollback", label="Go one step back", variant="secondary")
            if policy["current"] != "shipped"
            else None,
        ),
        key="learning.policy",
        title="The policy that decides",
    )  # fmt: skip


def _lesson(lesson: Json) -> Node:
    curve: list[Json] = lesson["curve"]
    curves = [
        h(
            "Curve",
            key=f"learning.curve:{lesson['at']}:{name}",
            label=label,
            values=[row[name] for row in curve],
        )
        for name, label in CURVES.items()
        if curve and all(name in row for row in curve)
    ]
    return h(
        "Section",
        h(
            "Line",
            h(
                "Badge",
                text="promoted" if lesson["promoted"] else "not promoted",
                tone="good" if lesson["promoted"] else "warning",
            ),
            h("Text", lesson["reason"], small=True),
        ),
        h("Grid", *curves, least=15, roomy=True) if curves else None,
        h("Text", f"From {lesson['decisions']:,} decisions, {lesson['version'] or 'no weights'}.", small=True,
          tone="muted"),
        key=f"learning.lesson:{lesson['at']}",
        title=f"Lesson of {_when(lesson['at'])}",
    )  # fmt: skip


def _events(events: list[Json]) -> Node:
    return h(
        "Section",
        h(
            "Stack",
            *(
                h(
                    "Line",
                    h("Badge", text=event["kind"], tone=_KINDS.get(event["kind"], "neutral")),
                    h("Text", f"{_when(event['at'])}  {event['version']}: {event['reason']}", small=True),
                )
                for event in events[:SHOWN_EVENTS]
            ),
            gap="small",
        )
        if events
        else h("Text", "No policy was promoted, refused or taken back yet.", small=True, tone="muted"),
        key="learning.events",
        title="What was promoted, refused and taken back",
    )


def _kept(state: PageState, known: Json) -> Node:
    replay, runs = known["replay"], known["runs"]
    counted = (
        f"{replay['decisions']:,} of at most {replay['capacity']:,} decisions of {replay['runs']:,} runs; "
        f"{replay['ended']:,} ended, {replay['labelled']:,} were rated or corrected."
    )
    off = "" if known["logging"] else " Nothing new is kept: the setting conductor.learning.log is off."
    chosen = state.learning.run
    return h(
        "Section",
        h(
            "Table",
            key="learning.runs",
            label="Runs that are kept",
            columns=[
                {"id": "prompt", "label": "Prompt"},
                {"id": "status", "label": "State"},
                {"id": "said", "label": "You said"},
                {"id": "reward", "label": "Reward", "end": True},
            ],
            rows=[
                {"id": row["run"], "cells": [row["prompt"], row["status"], said(row), _reward(row["reward"])]}
                for row in runs
            ],
            current=chosen or None,
        )
        if runs
        else None,
        _chosen(runs, chosen),
        h(
            "Line",
            h("Download", label="Export", method="exportLearning", params={}, filename="learning.jsonl"),
            h("Button", key="learning.forget_all", label="Forget everything", variant="danger"),
        )
        if runs
        else None,
        key="learning.kept",
        title="What is kept of your runs",
        text=counted + off,
    )


def _chosen(runs: list[Json], run: str) -> Node | None:
    row = next((row for row in runs if row["run"] == run), None)
    if row is None:
        return None
    choices = [
        f"{choice['action']} ({choice['probability']:.0%} of {len(choice['allowed'])} that the masks left)"
        for choice in row["decisions"]
    ]
    return h(
        "Card",
        h("Heading", text=row["prompt"]),
        h("Bullets", items=choices) if choices else None,
        h("Text", f"Decided by {row['policy']}.", small=True, tone="muted"),
        h("Button", key=f"learning.forget:{run}", label="Forget this run", variant="secondary", small=True),
    )


def said(row: Json) -> str:
    """What the user said of a run, in a word."""
    if row["undone"]:
        return "taken back"
    return {1: "good", -1: "bad"}.get(row["rating"], "corrected" if row["corrected"] else "–")


def _reward(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _dialog(_question: Question) -> Node:
    return h(
        "Dialog",
        h(
            "Line",
            h("Button", key="learning.forget_yes", label="Forget everything", variant="danger"),
            h("Button", key="learning.forget_no", label="Keep it", variant="ghost"),
        ),
        key="dialog.learning",
        title="Forget everything that is kept?",
        text="Decisions, outcomes and ratings of all runs go. Policies that were learnt from them stay until you go "
        "a step back.",
    )


DIALOGS = {"learning.forget": _dialog}


async def load(page: Page) -> None:
    """Loads what is known of learning."""
    page.state.learning.shown = await page.host.learning(SHOWN_RUNS)
    page.changed()


@on("learning.train")
async def _train(page: Page, _argument: str, _value: Any) -> None:
    with page.busy("learning", "Learning; the gate's levels take some minutes"):
        lesson = await page.host.train_policy()
    word = "was promoted" if lesson["promoted"] else "was not promoted"
    page.announce(f"{lesson['version']} {word}: {lesson['reason']}", show=True)
    await page.load("learning")


@on("learning.rollback")
async def _roll_back(page: Page, _argument: str, _value: Any) -> None:
    answer = await page.host.rollback_policy("asked for on the page")
    page.announce(f"{answer['current']} decides", show=True)
    await page.load("learning")


@on("learning.runs", "select")
async def _select(page: Page, _argument: str, value: Any) -> None:
    learning = page.state.learning
    learning.run = "" if learning.run == value else str(value)
    page.changed()


@on("learning.forget")
async def _forget(page: Page, argument: str, _value: Any) -> None:
    await page.host.forget_learning(argument)
    page.announce("The run is forgotten", show=True)
    await page.load("learning")


@on("learning.forget_all")
async def _ask(page: Page, _argument: str, _value: Any) -> None:
    page.ask("learning.forget")


@on("learning.forget_yes")
async def _forget_all(page: Page, _argument: str, _value: Any) -> None:
    page.answered()
    answer = await page.host.forget_learning(None)
    page.announce(f"{answer['forgotten']} runs are forgotten", show=True)
    await page.load("learning")


@on("learning.forget_no")
@on("dialog.learning", "close")
async def _keep(page: Page, _argument: str, _value: Any) -> None:
    page.answered()


@on("settings.learning")
async def _open(page: Page, _argument: str, _value: Any) -> None:
    await page.open("learning")
