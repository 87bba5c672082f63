"""The prompt box, the preview of the Melody with each step explained, and its editor."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput, PermissionDenied
from symphony.melody.telling import needs_in_words
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import ComposeState, Json, PageState, Question
from symphony.ui.views import asking, consent, editor, melody_graph, revision
from symphony.ui.views.revision import wrong_with

if TYPE_CHECKING:
    from symphony.ui.page import Page

_SETTINGS = re.compile(r"([a-z_.]+(?: and [a-z_.]+)*) \(a setting that ")

LIKELY, UNSURE = 0.6, 0.35
"""Confidence from which a step is shown as likely, and below which as a guess."""


def render(state: PageState) -> Node:
    """The view."""
    compose = state.compose
    busy = "compose" in state.busy
    return h(
        "View",
        h(
            "Segments",
            key="compose.mode",
            label="Mode",
            value=compose.mode,
            options=[
                {"value": "maestro", "label": "Maestro", "hint": "The Conductor composes from your words"},
                {"value": "manual", "label": "Manual", "hint": "You pick a saved Melody"},
            ],
        ),
        _prompt(state, busy) if compose.mode == "maestro" else _saved(state),
        h("Progress", key="compose.progress", label=state.busy["compose"]) if busy else None,
        _not_possible(compose) if not busy else None,
        asking.section(state) if not busy else None,
        _preview(state) if compose.melody is not None and not busy else None,
        _first(state)
        if compose.mode == "maestro" and compose.melody is None and not busy and not _is_asked(compose)
        else None,
        key="view.compose",
        title="Compose",
        text="Say what should be done. You see every step before anything runs.",
    )


def _is_asked(compose: ComposeState) -> bool:
    """Whether a question stands in the place of the preview."""
    return "question" in (compose.answer or {})


def _prompt(state: PageState, busy: bool) -> Node:
    compose = state.compose
    return h(
        "Form",
        h(
            "TextBox",
            key="compose.prompt",
            name="prompt",
            kind="prompt",
            label="Prompt",
            quiet=True,
            value=compose.prompt,
            version=compose.prompt_version,
            placeholder=_examples(state)[0] if _examples(state) else "Say what should be done",
            problem=compose.prompt_problem or None,
            earlier=earlier_prompts(state) or None,
            completions=completions(state) or None,
        ),
        h(
            "Line",
            h(
                "Button",
                key="compose.go",
                label="Compose",
                variant="primary",
                icon="sparkles",
                submit=True,
                busy=busy,
            ),
            h("Button", key="compose.stop", label="Cancel", variant="ghost") if busy else None,
            h(
                "Text",
                "Ctrl Enter composes, ↑ brings back earlier prompts, ? shows all keys",
                tone="muted",
                small=True,
                wide=True,
            ),
        ),
        key="compose.form",
        label="Compose a Melody",
    )


def earlier_prompts(state: PageState) -> list[str]:
    """What was asked before, the newest first, each once."""
    asked = (str(run.get("prompt") or "") for run in state.board.runs)
    return list(dict.fromkeys(prompt for prompt in asked if prompt))


def completions(state: PageState) -> list[str]:
    """What a prompt may become: asked before, fitting the project, or an example of an installed Player."""
    of_players = (str(one) for spec in state.nodes.values() for one in spec.get("examples") or ())
    return list(dict.fromkeys([*earlier_prompts(state), *_examples(state), *of_players]))


def _examples(state: PageState) -> list[str]:
    return [str(example) for example in (state.project or {}).get("examples") or []]


def _first(state: PageState) -> Node | None:
    """What to begin with: a project, then one of the prompts that fit it."""
    if state.project is not None and not state.project.get("path"):
        return h(
            "EmptyState",
            h("Button", key="compose.project", label="Open a project", variant="primary", icon="folder"),
            icon="folder",
            title="No project is open",
            text="Open the folder that you work on. Nothing in it is read or changed before you press Play.",
        )
    examples = _examples(state)
    if not examples:
        return None
    return h(
        "Section",
        h(
            "Grid",
            *(
                h(
                    "Button",
                    key=f"compose.example:{number}",
                    label=example,
                    variant="secondary",
                    icon="arrow",
                )
                for number, example in enumerate(examples[:6])
            ),
            least=18,
        ),
        key="compose.examples",
        title="Try one of these",
        text="They fit the project that is open.",
        quiet=True,
    )


def _saved(state: PageState) -> Node:
    items = state.store.items
    if not items:
        return h(
            "EmptyState",
            h("Button", key="compose.mode_maestro", label="Write a prompt", variant="secondary"),
            h("Button", key="compose.new", label="Draw a new one", variant="secondary", icon="workflow"),
            icon="library",
            title="No saved Melody yet",
            text="Compose one from a prompt and save it, or draw one from the Players.",
        )
    return h(
        "Section",
        h(
            "Table",
            key="compose.pick",
            label="Saved Melodies",
            columns=[
                {"id": "name", "label": "Name"},
                {"id": "description", "label": "Description"},
                {"id": "nodes", "label": "Steps", "end": True},
            ],
            rows=[
                {
                    "id": item["id"],
                    "cells": [item["name"], item.get("description") or "", _steps(item.get("nodes"))],
                }
                for item in items
            ],
            current=state.compose.draft,
        ),
        h("Button", key="compose.new", label="Draw a new one", variant="secondary", icon="workflow"),
        title="Pick a saved Melody",
        quiet=True,
    )


def _steps(nodes: Any) -> str:
    return str(len(nodes) if isinstance(nodes, list) else nodes or 0)


def _not_possible(compose: ComposeState) -> Node | None:
    answer = compose.answer
    if answer is None or answer.get("possible", True):
        return None
    extensions = answer.get("extensions") or []
    return h(
        "Stack",
        h(
            "Alert",
            key="compose.impossible",
            tone="warning",
            title="The installed Players cannot do this",
            text="This is missing:" if answer.get("missing") else "Say it in other words, or more precisely.",
            items=[str(item) for item in answer.get("missing") or []] or None,
        ),
        h(
            "Section",
            h(
                "Grid",
                *(
                    h(
                        "Link",
                        key=f"compose.extension:{name}",
                        label=str(name),
                        href=f"#/market/{name}",
                        icon="package",
                        meta="See and install",
                    )
                    for name in extensions
                ),
                least=20,
            ),
            key="compose.extensions",
            title="An extension would help" if len(extensions) == 1 else "These extensions would help",
            text="Install it, then come back and compose again: the prompt stays here.",
        )
        if extensions
        else None,
        h(
            "Line",
            *(
                h(
                    "Button",
                    key=f"compose.setting:{key}",
                    label=f"Set {key}",
                    variant="secondary",
                    icon="settings",
                )
                for key in settings_named(answer)
            ),
        )
        if settings_named(answer)
        else None,
        key="compose.not_possible",
    )


def settings_named(answer: Json) -> list[str]:
    """The settings that an answer says are missing."""
    said = [match[1] for what in answer.get("missing") or () if (match := _SETTINGS.match(str(what)))]
    return list(dict.fromkeys(key for keys in said for key in keys.split(" and ")))


def _preview(state: PageState) -> Node:
    compose = state.compose
    melody = compose.melody or {}
    answer = compose.answer or {}
    why = {item["node"]: item for item in answer.get("explanations") or []}
    errors = [finding for finding in compose.findings if finding.get("severity") != "warning"]
    nodes = melody.get("nodes") or []
    predicted = answer.get("predicted_seconds")
    notes = {
        node: f"{round(item['confidence'] * 100)} %" for node, item in why.items() if "confidence" in item
    }
    problems = {finding["node"]: finding["message"] for finding in errors if finding.get("node")}
    return h(
        "Stack",
        h(
            "Line",
            h("Heading", text=str(melody.get("name") or "Melody")),
            h("Badge", text=words.count(len(nodes), "step"), tone="neutral"),
            h("Badge", text=f"about {words.seconds(float(predicted))}", tone="neutral")
            if predicted is not None and not compose.changed
            else None,
            h("Badge", text="changed", tone="accent") if compose.changed else None,
            h(
                "Line",
                h(
                    "Button",
                    key="compose.play",
                    label="Play",
                    variant="primary",
                    icon="play",
                    disabled=bool(errors) or not nodes or None,
                    busy="play" in state.busy or None,
                ),
                h(
                    "Button",
                    key="compose.edit",
                    label="Done" if compose.editing else "Edit",
                    variant="secondary",
                    icon="check" if compose.editing else "pencil",
                ),
                h(
                    "Button",
                    key="compose.save",
                    label="Save",
                    variant="secondary",
                    icon="save",
                    disabled=not nodes or None,
                ),
                h("Button", key="compose.cancel", label="Cancel", variant="ghost"),
                gap="small",
            ),
            spread=True,
        ),
        editor.findings(compose.findings),
        revision.section(state) if nodes and not compose.editing else None,
        h(
            "Split",
            h(
                "Graph",
                key="compose.graph",
                label=f"Melody {melody.get('name') or ''}".strip(),
                selected=compose.selected or None,
                editable=compose.editing,
                **melody_graph.graph(melody, state.nodes, notes, problems),
            ),
            editor.panel(state) if compose.editing else _steps_panel(state, why),
            side="end",
        ),
        key="compose.preview",
    )


def _steps_panel(state: PageState, why: dict[str, Json]) -> Node:
    compose = state.compose
    return h(
        "Stack",
        *(
            _step(state, node, why.get(node["id"], {}), compose.selected == node["id"])
            for node in (compose.melody or {}).get("nodes", [])
        ),
        gap="small",
        key="compose.steps",
    )


def _step(state: PageState, node: Json, why: Json, selected: bool) -> Node:
    spec = state.nodes.get(melody_graph.base(node["player"]), {})
    specs = spec.get("params") or {}
    fields = melody_graph.param_fields("compose.param", node, specs)
    confidence = why.get("confidence")
    set_now = node.get("params") or {}
    takes = needs_in_words(node)
    brief = ", ".join(f"{name} {melody_graph.show_param(value)}" for name, value in set_now.items())
    return h(
        "Card",
        h(
            "Line",
            h("Heading", text=melody_graph.title(node["player"])),
            _confidence(confidence) if isinstance(confidence, int | float) else None,
            spread=True,
        ),
        h("Text", str(why.get("why") or spec.get("description") or ""), small=True, tone="muted"),
        h("Text", takes, small=True, tone="muted", wide=True) if takes else None,
        h(
            "Disclosure",
            *fields,
            key=f"compose.params:{node['id']}",
            label=f"Parameters{': ' + brief if brief else ''}",
        )
        if fields
        else None,
        key=f"compose.step:{node['id']}",
        tone="accent" if selected else None,
    )


def _confidence(value: float) -> Node:
    tone = "good" if value >= LIKELY else "neutral" if value >= UNSURE else "warning"
    return h("Badge", text=f"{round(value * 100)} % sure", tone=tone)


def _save_dialog(question: Question) -> Node:
    return h(
        "Dialog",
        h(
            "Form",
            h(
                "TextBox",
                key="save.name",
                name="name",
                label="Name",
                value=str(question.data.get("name", "")),
            ),
            h(
                "TextBox",
                key="save.description",
                name="description",
                kind="multiline",
                label="Description",
                value=str(question.data.get("description", "")),
                placeholder="What it is good for",
            ),
            h(
                "Line",
                h("Button", key="save.go", label="Save Melody", variant="primary", submit=True),
                h("Button", key="save.cancel", label="Cancel", variant="ghost"),
            ),
            key="save.form",
            label="Save the Melody",
        ),
        key="dialog.save",
        title="Save the Melody",
        text="It goes into the Polyphony Store, from where you can play it again on any project.",
    )


def _consent_dialog(question: Question) -> Node:
    return consent.dialog(question, "consent", "Allow and play")


DIALOGS = {"compose.save": _save_dialog, "compose.consent": _consent_dialog}


async def load(page: Page) -> None:
    """Loads the saved Melodies for Manual mode."""
    page.state.store.items = (await page.host.list_melodies(""))["melodies"]


async def play(page: Page, melody: str | Json, prompt: str = "", agreed: bool = False) -> None:
    """Starts a run and goes to the board; asks first when a Player wants to be asked."""
    with page.busy("play", "Starting the Melody"):
        try:
            started = await page.host.execute_melody(melody, prompt=prompt, agreed=agreed)
        except PermissionDenied as error:
            page.ask("compose.consent", melody=melody, prompt=prompt, questions=consent.questions(error))
            return
    page.state.board.run, page.state.board.selected, page.state.board.detail = started["run"], "", None
    page.announce("The Melody plays")
    await page.open("board")


async def take(page: Page, melody: Json, prompt: str) -> None:
    """Shows a Melody that was played in the preview, to be changed and played again."""
    compose = page.state.compose
    compose.mode = "maestro" if prompt else "manual"
    compose.prompt, compose.prompt_problem = prompt, ""
    compose.prompt_version += 1
    compose.show(melody)
    why = (melody.get("metadata") or {}).get("why") or {}
    compose.answer = {
        "possible": True,
        "explanations": [{"node": node, "why": said} for node, said in why.items()],
    }
    await page.open("compose")


@on("compose.mode", "change")
async def _mode(page: Page, _argument: str, value: Any) -> None:
    page.state.compose.mode = "manual" if value == "manual" else "maestro"
    page.state.compose.show(None)
    page.state.compose.answer = None
    page.changed()
    await page.load("compose")


@on("compose.mode_maestro")
async def _mode_maestro(page: Page, _argument: str, _value: Any) -> None:
    await _mode(page, "", "maestro")


@on("compose.form", "submit")
async def _compose(page: Page, _argument: str, value: Any) -> None:
    prompt = str(value.get("prompt", "")).strip()
    compose = page.state.compose
    compose.prompt_problem = wrong_with(
        prompt, "The prompt is empty. Say what should be done, or take one of the examples."
    )
    if compose.prompt_problem:
        page.announce(compose.prompt_problem)
        return
    compose.prompt = prompt
    await asking.compose(page)


@on("compose.stop")
async def _stop(page: Page, _argument: str, _value: Any) -> None:
    page.state.compose.asked += 1
    page.cancel("compose.form")
    await asyncio.sleep(0)
    page.announce("Composing was cancelled")


@on("compose.example")
async def _example(page: Page, argument: str, _value: Any) -> None:
    examples = (page.state.project or {}).get("examples") or []
    compose = page.state.compose
    compose.prompt, compose.prompt_problem = str(examples[int(argument)]), ""
    compose.prompt_version += 1
    page.changed()


@on("compose.pick", "select")
async def _pick(page: Page, _argument: str, value: Any) -> None:
    melody = await page.host.get_melody(str(value))
    page.state.compose.show(melody, str(value))
    page.changed()


@on("compose.new")
async def _new(page: Page, _argument: str, _value: Any) -> None:
    compose = page.state.compose
    empty = {"format": "symphony.melody/1", "name": "new", "version": "1.0.0", "nodes": [], "edges": []}
    compose.show(empty)
    compose.changed = compose.editing = True
    page.changed()


@on("compose.extension")
async def _extension(page: Page, argument: str, _value: Any) -> None:
    page.state.market.query = argument
    await page.open("market")


@on("compose.setting")
async def _setting(page: Page, argument: str, _value: Any) -> None:
    page.state.settings.query = argument
    await page.open("settings")


@on("compose.play")
async def _play(page: Page, _argument: str, _value: Any) -> None:
    compose = page.state.compose
    if compose.melody is None:
        raise BadInput("There is no Melody to play", remedy="compose one first")
    melody: str | Json = compose.melody if compose.changed or compose.draft is None else compose.draft
    await play(page, melody, compose.prompt if compose.mode == "maestro" else "")


@on("consent.go")
async def _consent(page: Page, _argument: str, _value: Any) -> None:
    asked = page.answered()
    await play(page, asked["melody"], asked.get("prompt", ""), agreed=True)


@on("compose.cancel")
async def _cancel(page: Page, _argument: str, _value: Any) -> None:
    page.state.compose.show(None)
    page.state.compose.answer = None
    page.announce("The preview was put away", show=True)


@on("compose.save")
async def _save(page: Page, _argument: str, _value: Any) -> None:
    melody = page.state.compose.melody or {}
    page.ask("compose.save", name=melody.get("name") or "", description=melody.get("description") or "")


@on("save.form", "submit")
async def _save_go(page: Page, _argument: str, value: Any) -> None:
    compose = page.state.compose
    if compose.melody is None:
        raise BadInput("There is no Melody to save", remedy="compose one first")
    melody: str | Json = compose.melody if compose.changed or compose.draft is None else compose.draft
    name = str(value.get("name", "")).strip()
    if not name:
        raise BadInput("The Melody has no name", remedy="give it one")
    saved = await page.host.save_melody(melody, name, str(value.get("description", "")))
    page.answered()
    page.announce(f"{saved['name']} was saved to the Polyphony Store", show=True)


@on("save.cancel")
@on("dialog.save", "close")
@on("consent.cancel")
@on("dialog.consent", "close")
async def _close(page: Page, _argument: str, _value: Any) -> None:
    page.answered()


@on("compose.graph", "select")
async def _select(page: Page, _argument: str, value: Any) -> None:
    page.state.compose.selected = str(value or "")
    page.changed()
