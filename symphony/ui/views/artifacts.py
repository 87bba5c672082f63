"""The artifacts: search, list, and the content of one in the viewer for its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState
from symphony.ui.views import panels

if TYPE_CHECKING:
    from symphony.ui.page import Page

PAGE = 100
"""How many entries are listed at once; more on request."""


def render(state: PageState) -> Node:
    """The view."""
    artifacts = state.artifacts
    if not artifacts.loaded:
        return h("View", h("Progress", label="Loading"), key="view.artifacts", title="Artifacts")
    nothing = not artifacts.items and not artifacts.query
    return h(
        "View",
        h(
            "EmptyState",
            h("Button", key="artifacts.start", label="Write a prompt", variant="primary"),
            icon="file",
            title="No artifacts yet",
            text="Every result of a played Melody is kept here, with all its versions, and can be searched.",
        )
        if nothing
        else h(
            "Split",
            _list(state),
            _shown(state, artifacts.selected) if artifacts.selected else _choose(),
            side="start",
        ),
        key="view.artifacts",
        title="Artifacts",
    )


def _choose() -> Node:
    return h(
        "EmptyState",
        icon="file",
        title="No artifact is open",
        text="Open one from the list, or search.",
        wide=True,
    )


def _list(state: PageState) -> Node:
    artifacts = state.artifacts
    current = (artifacts.selected or {}).get("id")
    return h(
        "Stack",
        h(
            "TextBox",
            key="artifacts.search",
            kind="search",
            label="Search artifacts",
            quiet=True,
            value=artifacts.query,
            placeholder="Search names and contents",
            live=True,
        ),
        h("Progress", label="Searching") if "artifacts" in state.busy else None,
        h(
            "Stack",
            *(
                h(
                    "Link",
                    key=f"artifacts.open:{item['id']}/{item.get('run', '')}/{item['name']}",
                    label=str(item["name"]),
                    href=f"#/artifacts/{item['id']}",
                    current=item["id"] == current,
                    icon=icon(str(item["type"])),
                    meta=words.size(item.get("bytes") or 0),
                    text=_about(item),
                )
                for item in artifacts.items
            ),
            h("Button", key="artifacts.more", label="Show more", variant="ghost", small=True)
            if len(artifacts.items) >= artifacts.limit
            else None,
            key="artifacts.items",
            gap="none",
            scroll=True,
        ),
        h("Text", "Nothing matches. Try fewer or other words.", tone="muted", small=True)
        if artifacts.loaded and not artifacts.items
        else None,
        key="artifacts.list",
        gap="small",
    )


def _about(item: Json) -> str:
    parts = [words.ago(item.get("created") or 0), str(item.get("node") or "")]
    snippet = str(item.get("snippet") or "")
    return snippet or " · ".join(part for part in parts if part)


def links(key: str, made: list[Json]) -> Node:
    """A link for each artifact; their keys are `key:id/node/name`."""
    return h(
        "Grid",
        *(
            h(
                "Link",
                key=f"{key}:{item['id']}/{item.get('node', '')}/{item['name']}",
                label=str(item["name"]),
                href=f"#/artifacts/{item['id']}",
                icon=icon(str(item.get("type") or "")),
                meta=words.size(item.get("bytes") or 0),
                text=str(item.get("node") or ""),
            )
            for item in made
        ),
        least=16,
    )


def icon(kind: str) -> str:
    """The symbol for a type."""
    if kind.startswith("image"):
        return "image"
    if kind.startswith("list<") or kind in ("text/csv", "json", "record"):
        return "table"
    return "file"


def _shown(state: PageState, item: Json) -> Node:
    quality, versions = item.get("quality"), state.artifacts.versions
    return h(
        "Stack",
        h(
            "Line",
            h("Heading", text=str(item["name"])),
            h("Badge", text=str(item["type"])),
            h("Badge", text=words.size(item.get("bytes") or 0)),
            h("Badge", text=f"quality {quality:.0%}") if quality else None,
            h(
                "Download",
                label="Download",
                method="getArtifactContent",
                params={"id": item["id"]},
                filename=str(item["name"]),
            ),
            spread=True,
        ),
        _ways(state),
        panels.shown(state.motifs, panels.ARTIFACT)
        or h(
            "ArtifactView",
            key=f"artifacts.view:{item['id']}",
            id=item["id"],
            name=str(item["name"]),
            mime=str(item["type"]),
            bytes=int(item.get("bytes") or 0),
        ),
        _versions(item, versions) if len(versions) > 1 else None,
        h("Text", str(item["id"]), mono=True, small=True, tone="muted"),
        key="artifacts.shown",
    )


def _ways(state: PageState) -> Node | None:
    """The choice between the content and the components that show artifacts of its type."""
    motifs = state.motifs
    if not motifs.fitting:
        return None
    opened = motifs.open.get(panels.ARTIFACT)
    return h(
        "Segments",
        key="artifacts.with",
        label="Shown by",
        value=opened.player if opened else "content",
        options=[
            {"value": "content", "label": "Content"},
            *({"value": one["player"], "label": one["title"]} for one in motifs.fitting),
        ],
    )


def _versions(item: Json, versions: list[Json]) -> Node:
    return h(
        "Section",
        h(
            "Table",
            key="artifacts.version",
            label="Versions",
            columns=[
                {"id": "version", "label": "Version"},
                {"id": "created", "label": "Made"},
                {"id": "size", "label": "Size", "end": True},
            ],
            rows=[
                {
                    "id": known["id"],
                    "cells": [
                        f"version {known.get('version', 1)}",
                        words.ago(known.get("created") or 0),
                        words.size(known.get("bytes") or 0),
                    ],
                }
                for known in versions
            ],
            current=item["id"],
        ),
        title="Versions",
        quiet=True,
    )


async def load(page: Page) -> None:
    """Loads the list that the search asks for."""
    artifacts = page.state.artifacts
    query = artifacts.query
    found = (await page.host.list_artifacts(query, limit=artifacts.limit))["artifacts"]
    if query == artifacts.query:
        artifacts.items, artifacts.loaded = found, True


async def show(page: Page, artifact: str) -> None:
    """Opens an artifact."""
    info, _ = await page.host.get_artifact(artifact, 0)
    versions = (await page.host.artifact_versions(info["name"]))["versions"]
    fitting = (await page.host.motifs(artifact))["components"] if page.state.motifs.components else []
    await panels.close(page, panels.ARTIFACT)
    page.state.motifs.fitting = fitting
    page.state.artifacts.selected, page.state.artifacts.versions = info, versions
    page.changed()


async def leave(page: Page) -> None:
    """Closes the component that shows the open artifact."""
    await panels.close(page, panels.ARTIFACT)


@on("artifacts.start")
async def _start(page: Page, _argument: str, _value: Any) -> None:
    await page.open("compose")


@on("artifacts.search", "change")
async def _search(page: Page, _argument: str, value: Any) -> None:
    page.state.artifacts.query, page.state.artifacts.limit = str(value), PAGE
    with page.busy("artifacts", "Searching"):
        await page.load("artifacts")
    found = len(page.state.artifacts.items)
    page.announce(f"{found} found")


@on("artifacts.more")
async def _more(page: Page, _argument: str, _value: Any) -> None:
    page.state.artifacts.limit += PAGE
    with page.busy("artifacts", "Loading more"):
        await page.load("artifacts")


@on("artifacts.open")
async def _open(page: Page, argument: str, _value: Any) -> None:
    await show(page, argument.partition("/")[0])


@on("artifacts.version", "select")
async def _version(page: Page, _argument: str, value: Any) -> None:
    await show(page, str(value))


@on("artifacts.with", "change")
async def _with(page: Page, _argument: str, value: Any) -> None:
    component = next((one for one in page.state.motifs.fitting if one["player"] == value), None)
    selected = page.state.artifacts.selected
    if component is None or selected is None:
        await panels.close(page, panels.ARTIFACT)
    else:
        await panels.open_in(page, panels.ARTIFACT, component, str(selected["id"]))
