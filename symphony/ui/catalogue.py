"""The component catalogue: all that the tree may hold, declared once; the page's types are made from it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from symphony.ui.node import Node


@dataclass(frozen=True, slots=True)
class Prop:
    """A property of a component. `ts` is its TypeScript type."""

    ts: str
    doc: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Component:
    """A component: its properties by name, and its events with the TypeScript type of their value."""

    doc: str
    props: dict[str, Prop]
    events: dict[str, str]


def need(ts: str, doc: str) -> Prop:
    """A property that must be given."""
    return Prop(ts, doc, True)


def may(ts: str, doc: str) -> Prop:
    """A property that may be left out."""
    return Prop(ts, doc)


SHAPES: dict[str, dict[str, str]] = {
    "Option": {"value": "string", "label": "string", "hint?": "string"},
    "ViewLink": {"id": "string", "title": "string", "short": "string", "badge": "number"},
    "ProjectInfo": {"name": "string", "path": "string", "git": "boolean"},
    "Port": {"name": "string", "type": "string", "optional?": "boolean"},
    "GraphNode": {
        "id": "string",
        "title": "string",
        "player": "string",
        "kind": "string",
        "text?": "string",
        "note?": "string",
        "problem?": "string",
        "inputs": "Port[]",
        "outputs": "Port[]",
    },
    "GraphEdge": {
        "id": "string",
        "source": "string",
        "sourcePort?": "string",
        "target": "string",
        "targetPort?": "string",
        "kind": "string",
        "label?": "string",
    },
    "Column": {"id": "string", "label": "string", "mono?": "boolean", "end?": "boolean"},
    "Row": {"id": "string", "cells": "string[]", "tone?": "Tone"},
    "Connection": {"from": "string", "to": "string"},
    "Command": {"id": "string", "label": "string", "group": "string", "hint": "string"},
    "PickedFile": {"name": "string", "content": "string"},
    "Colors": {"light?": "Record<string, string>", "dark?": "Record<string, string>"},
}
"""Shapes of structured properties and event values, as TypeScript interfaces."""

TONE = "'neutral' | 'info' | 'good' | 'warning' | 'bad' | 'accent'"

_LABEL = need("string", "the accessible name")
_HINT = may("string", "a sentence of help, shown beside or on hover")
_NAME = may("string", "under which the enclosing form sends the value")
_MARK = may("string", "a few words after the label")
_DISABLED = may("boolean", "whether it cannot be used now")

COMPONENTS: dict[str, Component] = {
    "Shell": Component(
        "The frame: navigation, project, theme, and the view that is open.",
        {
            "view": need("string", "id of the open view"),
            "views": need("ViewLink[]", "the links of the navigation"),
            "project": need("ProjectInfo | false", "the open project, false when none is"),
            "theme": need("'system' | 'light' | 'dark'", "the theme that the user chose"),
            "busy": need("string", "what is being waited for, empty when nothing is"),
            "colors": may("Colors", "colours that a Motif brings, by their name in the style sheet"),
            "dense": may("boolean", "whether things stand closer together"),
        },
        {
            "navigate": "string",
            "project": "null",
            "theme": "'system' | 'light' | 'dark'",
            "commands": "null",
            "keys": "null",
            "undo": "null",
        },
    ),
    "Commands": Component(
        "The command palette: everything that can be done, found by a few letters.",
        {
            "items": need("Command[]", "the commands, those of the open view first"),
            "busy": may("boolean", "whether more of them are still being fetched"),
        },
        {"run": "string", "close": "null"},
    ),
    "LiveRegion": Component(
        "Says a change of status to assistive tools, politely; to the eye as well where it is asked to.",
        {
            "text": need("string", "what to say"),
            "count": need("number", "grows with each message"),
            "shown": may("boolean", "whether it is shown for a while"),
        },
        {},
    ),
    "View": Component(
        "One view: its heading, what it is for, and its actions at the head.",
        {
            "title": need("string", "the heading"),
            "text": may("string", "what the view is for"),
            "fill": may("boolean", "whether the view fills the height and scrolls inside"),
        },
        {},
    ),
    "Stack": Component(
        "Children below each other.",
        {
            "gap": may("'none' | 'small' | 'normal' | 'large'", "the space between them"),
            "scroll": may("boolean", "whether it scrolls by itself where there is no room for all"),
        },
        {},
    ),
    "Line": Component(
        "Children beside each other, wrapping.",
        {
            "gap": may("'none' | 'small' | 'normal' | 'large'", "the space between them"),
            "spread": may("boolean", "whether the last child goes to the far end"),
        },
        {},
    ),
    "Grid": Component(
        "Children as tiles of equal width.",
        {
            "least": may("number", "least width of a tile, rem"),
            "roomy": may("boolean", "more space between them"),
        },
        {},
    ),
    "Split": Component(
        "A main part and a side part, below each other where it is narrow.",
        {
            "side": may("'start' | 'end'", "where the side part stands, first or second child"),
            "fill": may("boolean", "full height"),
        },
        {},
    ),
    "Section": Component(
        "A titled part of a view.",
        {
            "title": need("string", "the heading"),
            "text": may("string", "a sentence below it"),
            "quiet": may("boolean", "whether it is drawn without a frame"),
        },
        {},
    ),
    "Card": Component("A framed box.", {"tone": may("Tone", "what the frame says")}, {}),
    "Article": Component(
        "An entry of a list that stands for itself.",
        {"label": _LABEL, "muted": may("boolean", "whether it is switched off")},
        {},
    ),
    "Foreign": Component(
        "What an extension shows: framed, and headed by whom it is from, so that it is not taken for the host's.",
        {
            "title": need("string", "what it is"),
            "source": need("string", "the extension, publisher/name"),
            "closable": may("boolean", "whether it can be closed"),
        },
        {"close": "null"},
    ),
    "Heading": Component("A heading inside a part.", {"text": need("string", "its words")}, {}),
    "Text": Component(
        "Running text.",
        {
            "tone": may("Tone | 'muted'", "its colour"),
            "small": may("boolean", "smaller letters"),
            "mono": may("boolean", "letters of equal width"),
            "wide": may("boolean", "whether it is left out where it is narrow"),
        },
        {},
    ),
    "Entry": Component(
        "A line of a list: what it is, a few words beside it, and what can be done with it.",
        {
            "icon": need("string", "name of a symbol"),
            "text": need("string", "what it is"),
            "meta": need("string", "a few words below it, such as when"),
            "muted": may("boolean", "whether it holds no more"),
        },
        {},
    ),
    "Toast": Component(
        "Offers something beside the view for a while.",
        {
            "text": need("string", "what it is about"),
            "label": _LABEL,
            "count": need("number", "which offer it is"),
        },
        {"press": "null", "close": "number | null"},
    ),
    "Badge": Component(
        "A short mark.", {"text": need("string", "its words"), "tone": may("Tone", "colour")}, {}
    ),
    "Bullets": Component("A list of sentences.", {"items": need("string[]", "the sentences")}, {}),
    "Button": Component(
        "A button.",
        {
            "label": _LABEL,
            "variant": may("'primary' | 'secondary' | 'ghost' | 'danger'", "how much it stands out"),
            "icon": may("string", "name of a symbol before the label"),
            "disabled": _DISABLED,
            "busy": may("boolean", "whether its action is under way"),
            "small": may("boolean", "a smaller button"),
            "submit": may("boolean", "whether it sends the enclosing form"),
            "hint": _HINT,
        },
        {"press": "null"},
    ),
    "Link": Component(
        "Goes to a thing of the host, such as an artifact.",
        {
            "label": _LABEL,
            "href": need("string", "the address of the thing within the page"),
            "current": may("boolean", "whether it is the one that is shown"),
            "meta": may("string", "a few words beside it"),
            "text": may("string", "a line below it"),
            "icon": may("string", "name of a symbol"),
            "tone": may("Tone", "colour of the symbol"),
        },
        {"press": "null"},
    ),
    "Form": Component(
        "Fields that are sent together.", {"label": _LABEL}, {"submit": "Record<string, unknown>"}
    ),
    "TextBox": Component(
        "A field for text. What is being typed belongs to the page until it is sent.",
        {
            "label": _LABEL,
            "value": need("string", "the text that the host knows"),
            "version": may("number", "grows when the host's text takes the place of what was typed"),
            "name": _NAME,
            "kind": may("'text' | 'number' | 'search' | 'multiline' | 'prompt'", "what is typed into it"),
            "placeholder": may("string", "what stands there when it is empty"),
            "text": may("string", "a sentence of help below it"),
            "problem": may("string", "what is wrong with the value"),
            "quiet": may("boolean", "whether the label is for assistive tools only"),
            "live": may("boolean", "whether changes are sent while typing, after a pause"),
            "earlier": may("string[]", "of a prompt: what was written before, the newest first"),
            "completions": may("string[]", "of a prompt: what it may be completed to, the likeliest first"),
            "mark": _MARK,
            "disabled": _DISABLED,
        },
        {"change": "string"},
    ),
    "Select": Component(
        "One of several.",
        {
            "label": _LABEL,
            "value": need("string", "the one that is chosen"),
            "options": need("Option[]", "what can be chosen"),
            "name": _NAME,
            "text": may("string", "a sentence of help below it"),
            "quiet": may("boolean", "whether the label is for assistive tools only"),
            "mark": _MARK,
            "disabled": _DISABLED,
        },
        {"change": "string"},
    ),
    "Switch": Component(
        "On or off.",
        {
            "label": _LABEL,
            "value": need("boolean", "whether it is on"),
            "name": _NAME,
            "text": may("string", "a sentence of help"),
            "quiet": may("boolean", "whether the label is for assistive tools only"),
            "mark": _MARK,
            "disabled": _DISABLED,
        },
        {"change": "boolean"},
    ),
    "Segments": Component(
        "One of few, all in sight.",
        {
            "label": _LABEL,
            "value": need("string", "the chosen one"),
            "options": need("Option[]", "all of them"),
        },
        {"change": "string"},
    ),
    "FilePicker": Component(
        "Takes a file of the user.",
        {"label": _LABEL, "accept": need("string", "endings of the files"), "icon": may("string", "symbol")},
        {"pick": "PickedFile"},
    ),
    "Download": Component(
        "Fetches a file from the host and saves it.",
        {
            "label": _LABEL,
            "method": need(
                "'exportMelody' | 'exportLearning' | 'getArtifactContent'", "the method that answers with it"
            ),
            "params": need("Record<string, unknown>", "that method's parameters"),
            "filename": need("string", "the name that is proposed"),
        },
        {},
    ),
    "Dialog": Component(
        "A question before all else.",
        {"title": need("string", "its name"), "text": may("string", "what it is about")},
        {"close": "null"},
    ),
    "Alert": Component(
        "Something went wrong, or should be known.",
        {
            "tone": need("Tone", "how bad it is"),
            "title": need("string", "what happened"),
            "text": may("string", "what to do"),
            "items": may("string[]", "the details"),
            "closable": may("boolean", "whether it can be put away"),
        },
        {"close": "null"},
    ),
    "EmptyState": Component(
        "Says what to do where there is nothing yet.",
        {
            "icon": need("string", "name of a symbol"),
            "title": need("string", "what is missing"),
            "text": need("string", "what to do"),
            "wide": may("boolean", "whether it is left out where it is narrow"),
        },
        {},
    ),
    "Progress": Component(
        "Work that takes a while.",
        {"label": _LABEL, "value": may("number", "the part that is done, 0 to 1; unknown when left out")},
        {},
    ),
    "Disclosure": Component(
        "Details that open on demand.", {"label": _LABEL, "open": may("boolean", "open at first")}, {}
    ),
    "Table": Component(
        "Rows of short texts.",
        {
            "label": _LABEL,
            "columns": need("Column[]", "the columns"),
            "rows": need("Row[]", "the rows"),
            "current": may("string", "id of the row that is shown elsewhere"),
            "still": may("boolean", "whether no row can be chosen"),
        },
        {"select": "string"},
    ),
    "Curve": Component(
        "A small curve of numbers over steps.",
        {"label": _LABEL, "values": need("number[]", "the numbers, the first step first")},
        {},
    ),
    "Difference": Component(
        "What changes in text files, line by line.",
        {
            "label": _LABEL,
            "text": need("string", "a unified diff; lines of removal and addition are coloured"),
        },
        {},
    ),
    "Graph": Component(
        "A Melody as a graph, with the live states of a run, or to be changed.",
        {
            "label": _LABEL,
            "nodes": need("GraphNode[]", "the nodes"),
            "edges": need("GraphEdge[]", "the edges"),
            "selected": may("string", "id of the node whose details are shown"),
            "run": may("string", "the run whose states it shows"),
            "editable": may("boolean", "whether nodes and edges can be changed"),
            "height": may("'normal' | 'fill'", "how tall it is"),
        },
        {
            "select": "string",
            "add": "string",
            "connect": "Connection",
            "disconnect": "string",
            "remove": "string",
        },
    ),
    "Palette": Component(
        "The Players that can be added to a graph, by drag or by key.",
        {"options": need("Option[]", "the Players")},
        {"add": "string"},
    ),
    "RunSummary": Component(
        "State, counts and elapsed time of a run, live.", {"run": need("string", "the run's id")}, {}
    ),
    "Timeline": Component(
        "The nodes of a run over time.",
        {"run": need("string", "the run's id"), "selected": may("string", "the chosen node")},
        {"select": "string"},
    ),
    "NodeDetails": Component(
        "State, times and error of a node of a run, live.",
        {"run": need("string", "the run's id"), "node": need("string", "the node's id")},
        {},
    ),
    "Logs": Component(
        "Log records of a run or of one of its nodes.",
        {"run": need("string", "the run's id"), "node": may("string", "the node's id")},
        {},
    ),
    "Metrics": Component(
        "Average, median and 99th percentile of a run, live.", {"run": need("string", "the run's id")}, {}
    ),
    "ArtifactView": Component(
        "The content of an artifact in the viewer for its type.",
        {
            "id": need("string", "the artifact's id"),
            "name": need("string", "its name"),
            "mime": need("string", "its type"),
            "bytes": need("number", "its size"),
            "short": may("boolean", "whether it is no higher than a part of the page, and scrolls"),
        },
        {},
    ),
}

_LITERALS = re.compile(r"'([^']*)'")


def check(tree: Node) -> list[str]:
    """What in `tree` does not hold to the catalogue; empty when all does."""
    findings: list[str] = []
    seen: set[str] = set()
    todo = [tree]
    while todo:
        node = todo.pop()
        findings.extend(_check_node(node, seen))
        todo.extend(child for child in node["children"] if isinstance(child, dict))
    return findings


def _check_node(node: Node, seen: set[str]) -> list[str]:
    kind, key, props = node["type"], node["key"], node["props"]
    component = COMPONENTS.get(kind)
    if component is None:
        return [f"{kind}: no such component"]
    where = f"{kind} {key or ''}".strip()
    findings = [f"{where}: unknown prop {name}" for name in props if name not in component.props]
    findings += [
        f"{where}: lacks {name}"
        for name, prop in component.props.items()
        if prop.required and name not in props
    ]
    findings += [
        f"{where}: {name} is {props[name]!r}, wanted {prop.ts}"
        for name, prop in component.props.items()
        if name in props and not _fits(props[name], prop.ts)
    ]
    if component.events and key is None:
        findings.append(f"{where}: sends events and has no key")
    if key is not None:
        if key in seen:
            findings.append(f"{where}: the key is used twice")
        seen.add(key)
    return findings


def _fits(value: Any, ts: str) -> bool:
    ts = ts.replace("Tone", TONE)
    if literals := _LITERALS.findall(ts):
        return value in literals
    if ts == "number":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    plain: dict[str, type] = {"string": str, "boolean": bool}
    if ts in plain:
        return isinstance(value, plain[ts])
    if ts.endswith("[]"):
        return isinstance(value, list) and all(_fits(item, ts[:-2]) for item in value)
    if shape := SHAPES.get(ts):
        return isinstance(value, dict) and _has_shape(value, shape)
    return True


def _has_shape(value: dict[str, Any], shape: dict[str, str]) -> bool:
    wanted = {name.rstrip("?"): ts for name, ts in shape.items()}
    needed = {name for name in shape if not name.endswith("?")}
    return needed <= value.keys() <= wanted.keys() and all(_fits(v, wanted[k]) for k, v in value.items())
