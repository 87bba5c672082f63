"""The settings, each with where its value came from, and the health of the host."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput, SymphonyError
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState
from symphony.ui.views import panels

if TYPE_CHECKING:
    from symphony.ui.page import Page

COMMON = re.compile(r"\.(enabled|timeout|metrics_enabled|retry_policy\..*)$")
"""Settings that every component has; they stand behind those that are its own."""

LOCKED = ("environment", "flags")
"""Sources that win over the files, so that a change made on the page would have no effect."""

HEALTH_TONES = {"ok": "good", "degraded": "warning", "failed": "bad", "absent": "neutral"}


def render(state: PageState) -> Node:
    """The view."""
    settings = state.settings
    wanted = settings.query.lower().split()
    rows = [row for row in settings.rows if _matches(row, wanted)]
    groups: dict[str, list[Json]] = {}
    for row in rows:
        groups.setdefault(str(row["key"]).partition(".")[0], []).append(row)
    return h(
        "View",
        h(
            "Section",
            h(
                "Segments",
                key="settings.theme",
                label="Theme",
                value=state.theme,
                options=[
                    {"value": "system", "label": "As the system"},
                    {"value": "light", "label": "Light"},
                    {"value": "dark", "label": "Dark"},
                ],
            ),
            panels.appearance(state.motifs),
            title="Appearance",
            quiet=True,
        ),
        h(
            "Line",
            h("Button", key="settings.learning", label="Learning", variant="secondary"),
            h(
                "Text",
                "What the Conductor learns from your runs, and what of it is kept.",
                small=True,
                tone="muted",
            ),
        ),
        h(
            "Line",
            h("Button", key="settings.history", label="History", variant="secondary"),
            h("Text", "What you did, and what takes it back.", small=True, tone="muted"),
        ),
        _health(settings.health),
        h(
            "TextBox",
            key="settings.search",
            kind="search",
            label="Search settings",
            quiet=True,
            value=settings.query,
            placeholder="Search settings",
            live=True,
        ),
        *(_group(group, found, settings.problems, flat=bool(wanted)) for group, found in groups.items()),
        h("Text", "No setting matches.", tone="muted", small=True) if settings.loaded and not rows else None,
        key="view.settings",
        title="Settings",
        text="A later source wins: defaults, your file, the project's file, the environment, flags. "
        "Changes made here go into your file.",
    )


def _group(group: str, rows: list[Json], problems: dict[str, str], flat: bool) -> Node:
    """The settings of a component; `flat` shows all of them at once, as a search does."""
    common = [] if flat else [row for row in rows if COMMON.search(str(row["key"])) and not _is_changed(row)]
    own = [row for row in rows if row not in common]
    return h(
        "Section",
        _fields(own, problems) if own else None,
        h(
            "Disclosure",
            _fields(common, problems),
            key=f"settings.common:{group}",
            label=f"Start, time limits and retries ({len(common)})",
        )
        if common
        else None,
        key=f"settings.group:{group}",
        title=group,
    )


def _fields(rows: list[Json], problems: dict[str, str]) -> Node:
    return h("Grid", *(_field(row, problems.get(str(row["key"]))) for row in rows), least=20, roomy=True)


def _is_changed(row: Json) -> bool:
    return str(row.get("source") or "default") != "default"


def _matches(row: Json, wanted: list[str]) -> bool:
    text = f"{row['key']} {row.get('description') or ''}".lower()
    return all(word in text for word in wanted)


def _field(row: Json, problem: str | None) -> Node:
    mark = f"from {row.get('source') or 'default'}" + ("; after a restart" if row.get("waits") else "")
    key, value, kind = f"settings.value:{row['key']}", row.get("value"), str(row.get("type") or "string")
    text = str(row.get("description") or "") or None
    label = str(row["key"])
    locked = str(row.get("source") or "").partition(":")[0] in LOCKED or None
    if isinstance(value, bool) or kind in ("boolean", "bool"):
        return h("Switch", key=key, label=label, value=bool(value), text=text, mark=mark, disabled=locked)
    if row.get("choices"):
        options = [{"value": str(choice), "label": str(choice)} for choice in row["choices"]]
        return h(
            "Select",
            key=key,
            label=label,
            value=str(value),
            options=options,
            text=text,
            mark=mark,
            disabled=locked,
        )
    return h(
        "TextBox",
        key=key,
        label=label,
        value=_show(value),
        placeholder=_show(row.get("default")) or None,
        text=text,
        problem=problem,
        mark=mark,
        disabled=locked,
    )


def _show(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(row: Json, text: Any) -> Any:
    """The value that a field holds, in the type of the setting."""
    if not isinstance(text, str):
        return text
    kind, old = str(row.get("type") or ""), row.get("value")
    if text == "" and row.get("default") is None:
        return None
    if kind.startswith("str") or (not kind and isinstance(old, str)):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _health(health: Json | None) -> Node | None:
    if health is None:
        return None
    components = health.get("components") or []
    bad = [item for item in components if item.get("status") != "ok"]
    good = [item for item in components if item.get("status") == "ok"]
    return h(
        "Section",
        *(_component(item) for item in bad),
        h(
            "Disclosure",
            h("Stack", *(_component(item) for item in good), gap="small"),
            key="settings.health",
            label=f"{len(good)} of {len(components)} parts are well" if bad else "All parts are well",
        ),
        title="Health",
        quiet=True,
    )


def _component(item: Json) -> Node:
    status = str(item.get("status"))
    about = "; ".join(part for part in (str(item.get("detail") or ""), str(item.get("remedy") or "")) if part)
    return h(
        "Line",
        h("Badge", text=status, tone=HEALTH_TONES.get(status, "neutral")),
        h("Text", f"{item['name']}: {about}" if about else str(item["name"]), small=True),
    )


async def load(page: Page) -> None:
    """Loads the settings and the health of the host."""
    settings = page.state.settings
    settings.rows = (await page.host.settings())["settings"]
    settings.loaded = True
    page.changed()
    settings.health = await page.host.health()


@on("settings.search", "change")
async def _search(page: Page, _argument: str, value: Any) -> None:
    page.state.settings.query = str(value)
    page.changed()


@on("settings.value", "change")
async def _value(page: Page, argument: str, value: Any) -> None:
    settings = page.state.settings
    row = next((row for row in settings.rows if row["key"] == argument), None)
    if row is None:
        raise BadInput(f"There is no setting {argument!r}", remedy="reload the page")
    try:
        # The file that a value comes from is the one that has to change for the change to count.
        scope = "project" if str(row.get("source") or "").startswith("project") else "user"
        changed = await page.host.set_setting(argument, _read(row, value), scope)
    except SymphonyError as error:
        said = error.message.rpartition(f"{argument}: ")[2]
        settings.problems[argument] = said
        page.announce(f"{argument}: {said}")
        return
    settings.problems.pop(argument, None)
    settings.rows = [{**known, **changed} if known["key"] == argument else known for known in settings.rows]
    page.announce(f"{argument} was changed")
