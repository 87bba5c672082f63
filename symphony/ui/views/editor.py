"""Changing the Melody of the preview: parameters, nodes and connections, checked after each change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState
from symphony.ui.views import melody_graph

if TYPE_CHECKING:
    from symphony.ui.page import Page

NOTHING = ""
"""The option of an input that is not connected."""


def findings(items: list[Json]) -> Node | None:
    """What validation found, or None when it found nothing."""
    if not items:
        return None
    errors = [item for item in items if item.get("severity") != "warning"]
    return h(
        "Alert",
        key="editor.findings",
        tone="bad" if errors else "warning",
        title="The Melody cannot be played yet" if errors else "The Melody can be played, but",
        items=[_finding(item) for item in items],
    )


def _finding(item: Json) -> str:
    where = item.get("node") or item.get("edge")
    remedy = f" ({item['remedy']})" if item.get("remedy") else ""
    return f"{where}: {item['message']}{remedy}" if where else f"{item['message']}{remedy}"


def panel(state: PageState) -> Node:
    """The side of the editor: the chosen node, and the Players that can be added."""
    compose = state.compose
    nodes = (compose.melody or {}).get("nodes", [])
    node = next((node for node in nodes if node["id"] == compose.selected), None)
    options = [
        {"value": player, "label": melody_graph.title(player), "hint": str(spec.get("description") or "")}
        for player, spec in sorted(state.nodes.items())
    ]
    return h(
        "Stack",
        _node(state, node) if node is not None else _no_node(),
        h(
            "Section",
            h("Palette", key="editor.palette", options=options),
            title="Add a step",
            text="Drag one onto the graph, or choose it here.",
        ),
        gap="small",
        key="editor.panel",
    )


def _no_node() -> Node:
    return h("Card", h("Text", "Choose a step in the graph to change it.", small=True, tone="muted"))


def _node(state: PageState, node: Json) -> Node:
    spec = state.nodes.get(melody_graph.base(node["player"]), {})
    melody = state.compose.melody or {}
    inputs = [(name, kind) for name, kind in (spec.get("inputs") or {}).items() if kind != "project"]
    return h(
        "Section",
        *melody_graph.param_fields("compose.param", node, spec.get("params") or {}),
        *(_input(state, melody, node["id"], name, kind) for name, kind in inputs),
        h(
            "Button",
            key=f"editor.remove:{node['id']}",
            label="Remove this step",
            variant="danger",
            icon="trash",
            small=True,
        ),
        key=f"editor.node:{node['id']}",
        title=melody_graph.title(node["player"]),
        text=str(spec.get("description") or "") or None,
    )


def _input(state: PageState, melody: Json, node: str, port: str, kind: str) -> Node:
    sources = [
        {"value": f"{other['id']}.{name}", "label": f"{other['id']} · {name}", "hint": type_}
        for other in melody.get("nodes", [])
        if other["id"] != node
        for name, type_ in (
            (state.nodes.get(melody_graph.base(other["player"]), {}).get("outputs") or {}).items()
        )
    ]
    target = f"{node}.{port}"
    connected = [str(edge["from"]) for edge in melody.get("edges", []) if edge["to"] == target]
    return h(
        "Select",
        key=f"editor.input:{target}",
        label=f"{port} comes from",
        value=connected[0] if connected else NOTHING,
        options=[{"value": NOTHING, "label": "nothing"}, *sources],
        text=f"{kind}, joins {len(connected)} sources" if len(connected) > 1 else kind,
    )


async def change(page: Page, melody: Json) -> None:
    """Takes a changed document into the preview and validates it."""
    compose = page.state.compose
    compose.melody, compose.changed = melody, True
    page.changed()
    findings = await _findings(page, melody)
    if compose.melody is melody:
        compose.findings = findings
        page.changed()


async def _findings(page: Page, melody: Json) -> list[Json]:
    """What is wrong with a document; one that is not even well-formed is a finding too."""
    try:
        return list((await page.host.validate_melody(melody))["findings"])
    except BadInput as error:
        return error.findings or [{**error.to_json(), "severity": "error"}]


def _melody(page: Page) -> Json:
    melody = page.state.compose.melody
    if melody is None:
        raise BadInput("There is no Melody to change", remedy="compose one first")
    return melody


@on("compose.edit")
async def _edit(page: Page, _argument: str, _value: Any) -> None:
    compose = page.state.compose
    compose.editing = not compose.editing
    page.changed()


@on("compose.param", "change")
async def _param(page: Page, argument: str, value: Any) -> None:
    node, _, name = argument.partition("/")
    melody = _melody(page)
    player = next((known["player"] for known in melody["nodes"] if known["id"] == node), "")
    spec = (page.state.nodes.get(melody_graph.base(player), {}).get("params") or {}).get(name, {})
    await change(page, melody_graph.with_param(melody, node, name, melody_graph.read_param(spec, value)))


@on("compose.graph", "add")
@on("editor.palette", "add")
async def _add(page: Page, _argument: str, value: Any) -> None:
    spec = page.state.nodes.get(str(value))
    if spec is None:
        raise BadInput(f"There is no Player {value!r}", remedy="choose one of the palette")
    melody, node = melody_graph.with_node(_melody(page), str(value), str(spec.get("kind") or "operator"))
    page.state.compose.selected = node
    await change(page, melody)


@on("compose.graph", "remove")
async def _remove_in_graph(page: Page, _argument: str, value: Any) -> None:
    await change(page, melody_graph.without_node(_melody(page), str(value)))


@on("editor.remove")
async def _remove(page: Page, argument: str, _value: Any) -> None:
    page.state.compose.selected = ""
    await change(page, melody_graph.without_node(_melody(page), argument))


@on("compose.graph", "connect")
async def _connect(page: Page, _argument: str, value: Any) -> None:
    await change(page, melody_graph.with_edge(_melody(page), str(value["from"]), str(value["to"])))


@on("compose.graph", "disconnect")
async def _disconnect(page: Page, _argument: str, value: Any) -> None:
    await change(page, melody_graph.without_edge(_melody(page), str(value)))


@on("editor.input", "change")
async def _input_changed(page: Page, argument: str, value: Any) -> None:
    melody = _melody(page)
    for edge in melody.get("edges", []):
        if edge["to"] == argument:
            melody = melody_graph.without_edge(melody, melody_graph.edge_id(edge))
    if value != NOTHING:
        melody = melody_graph.with_edge(melody, str(value), argument)
    await change(page, melody)
