"""The Marketplace: what is installed and what can be, with permissions, consent and what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import PermissionDenied
from symphony.ui import words
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json, PageState, Question
from symphony.ui.views import history
from symphony.ui.views.allowances import budget, granted

if TYPE_CHECKING:
    from symphony.ui.page import Page

DEFINITIONS = "definitions:"
"""Begins what stands for tools of an MCP server among the grants that are asked for."""
PAGE = 60
"""How many entries are drawn at once; more on request."""

KIND_WORDS = {"instrument": "Instrument", "operator": "Operator", "motif": "Motif"}


def render(state: PageState) -> Node:
    """The view."""
    market = state.market
    items = [item for item in market.items if _kept(item, market.only)]
    left = len(items) - market.shown + (market.more if market.only != "installed" else 0)
    return h(
        "View",
        h(
            "Line",
            h(
                "TextBox",
                key="market.search",
                kind="search",
                label="Search extensions",
                quiet=True,
                value=market.query,
                placeholder="Search extensions",
                live=True,
            ),
            h(
                "Segments",
                key="market.only",
                label="Show",
                value=market.only,
                options=[
                    {"value": "all", "label": "All"},
                    {"value": "installed", "label": "On this machine"},
                    {"value": "offered", "label": "Offered"},
                ],
            ),
            h(
                "Button",
                key="market.audit:",
                label="Uses of permissions",
                variant="ghost",
                icon="shield",
                small=True,
            ),
        ),
        h("Progress", label="Searching") if "market" in state.busy else None,
        _audit(state) if market.audit is not None else None,
        h("Stack", *(_entry(state, item) for item in items[: market.shown]), key="market.items", gap="small"),
        h(
            "Button",
            key="market.more",
            label=f"Show {min(PAGE, left)} more",
            variant="secondary",
        )
        if left > 0
        else None,
        _nothing(state) if market.loaded and not items else None,
        key="view.market",
        title="Marketplace",
        text="Extensions bring Players. Each runs in its own sandbox, with only the permissions that you allow.",
    )


def _kept(item: Json, only: str) -> bool:
    return only == "all" or bool(item.get("installed")) == (only == "installed")


def _nothing(state: PageState) -> Node:
    return h(
        "EmptyState",
        h("Button", key="market.clear", label="Show all extensions", variant="secondary"),
        icon="package",
        title="No extension matches",
        text=f"Nothing here is called or does “{state.market.query}”. Try other words."
        if state.market.query
        else "The registry offers nothing more than what is here already.",
    )


def _entry(state: PageState, item: Json) -> Node:
    name = str(item["name"])
    functions = [str(function["name"]) for function in item.get("functions") or []]
    return h(
        "Article",
        h(
            "Line",
            h("Heading", text=name),
            h("Badge", text=str(item.get("version") or "")),
            h("Badge", text=KIND_WORDS.get(str(item.get("type")), str(item.get("type") or ""))),
            h("Badge", text="bundled") if item.get("bundled") else None,
            _state(item),
            h("Line", *_buttons(state, item), gap="small"),
            spread=True,
        ),
        _problem(item),
        h("Text", str(item.get("description") or "")),
        h("Disclosure", *_details(item), key=f"market.details:{name}", label=_summary(functions, item)),
        key=f"market.entry:{name}",
        label=name,
        muted=(bool(item.get("installed")) and not item.get("enabled", True)) or None,
    )


def _problem(item: Json) -> Node | None:
    problem = item.get("problem")
    if not problem:
        return None
    return h(
        "Alert",
        key=f"market.problem:{item['name']}",
        tone="bad",
        title=str(problem["message"]),
        text="Switch it on again when the cause is gone.",
    )


def _state(item: Json) -> Node | None:
    state = str(item.get("state") or "")
    if not item.get("installed"):
        return None
    if not item.get("enabled", True):
        return h("Badge", text="switched off", tone="warning")
    if state in ("", "installed", "activated"):
        return None
    tone = "bad" if state == "error" else "good" if state == "running" else "neutral"
    return h("Badge", text=state, tone=tone)


def _summary(functions: list[str], item: Json) -> str:
    """What an extension brings and may do; a Motif has things for the page and often no function."""
    permissions = item.get("permissions") or []
    brings = [str(thing) for thing in item.get("brings") or []]
    if functions or not brings:
        brings.append(words.count(len(functions), "function"))
    text = ", ".join([*brings, words.count(len(permissions), "permission")])
    return text[:1].upper() + text[1:]


def _details(item: Json) -> list[Node]:
    permissions = [str(word) for word in item.get("permissions") or []]
    brings = [str(thing) for thing in item.get("brings") or []]
    functions = [
        f"{function['name']}: {', '.join(function.get('inputs') or {}) or 'nothing'} → "
        f"{', '.join(function.get('outputs') or {}) or 'nothing'}"
        for function in item.get("functions") or []
    ]
    return [
        *([h("Heading", text="Brings to the page"), h("Bullets", items=brings)] if brings else []),
        *([h("Heading", text="Functions"), h("Bullets", items=functions)] if functions or not brings else []),
        h("Heading", text="Permissions"),
        *(
            [granted(item), *budget(item)]
            if item.get("installed") and "granted" in item
            else [h("Bullets", items=permissions or ["It needs none."])]
        ),
    ]


def _buttons(state: PageState, item: Json) -> list[Node]:
    name = str(item["name"])
    busy = f"market:{name}" in state.busy or None
    if not item.get("installed"):
        return [
            h(
                "Button",
                key=f"market.install:{name}",
                label="Install",
                variant="primary",
                small=True,
                busy=busy,
            )
        ]
    return [
        h(
            "Switch",
            key=f"market.enable:{name}",
            label=f"Enable {name}",
            quiet=True,
            value=bool(item.get("enabled", True)),
        ),
        *(
            [
                h(
                    "Button",
                    key=f"market.update:{name}",
                    label="Update",
                    variant="primary",
                    small=True,
                    busy=busy,
                )
            ]
            if item.get("update")
            else []
        ),
        h(
            "Button",
            key=f"market.audit:{name}",
            label="Uses",
            variant="ghost",
            small=True,
            hint="What it did with its permissions",
        ),
        h(
            "Button",
            key=f"market.remove:{name}",
            label="Remove",
            variant="secondary",
            small=True,
            busy=busy,
            disabled=bool(item.get("bundled")) or None,
            hint="Comes with Symphony; it can be switched off" if item.get("bundled") else None,
        ),
    ]


def _audit(state: PageState) -> Node:
    market = state.market
    rows = [
        {
            "id": str(number),
            "cells": [
                words.ago(entry.get("time") or 0)
                if isinstance(entry.get("time"), int | float)
                else str(entry.get("time")),
                str(entry.get("extension") or ""),
                str(entry.get("capability") or ""),
                str(entry.get("detail") or ""),
                "allowed" if entry.get("allowed") else "refused",
            ],
            **({} if entry.get("allowed") else {"tone": "bad"}),
        }
        for number, entry in enumerate(market.audit or [])
    ]
    columns = ["When", "Extension", "Permission", "Detail", "Answer"]
    return h(
        "Section",
        h(
            "Table",
            key="market.audit_table",
            label="Uses of permissions",
            columns=[{"id": label.lower(), "label": label} for label in columns],
            rows=rows,
        )
        if rows
        else h("Text", "No permission was used yet.", tone="muted", small=True),
        h(
            "Alert",
            key="market.tampered",
            tone="bad",
            title=f"Line {market.tampered} of this log was changed or taken away, or one before it",
            text="Somebody or some program that may write Symphony's folder has done it.",
        )
        if market.tampered is not None
        else None,
        h("Button", key="market.audit_close", label="Close", variant="ghost", small=True),
        key="market.audit_section",
        title=f"What {market.audit_of or 'extensions'} did with permissions",
    )


def _permissions_dialog(question: Question) -> Node:
    asked: list[tuple[str, str]] = question.data["asked"]
    name, verb = question.data["name"], "update" if question.data["update"] else "install"
    grants = [said for grant, said in asked if grant and not grant.startswith(DEFINITIONS)]
    tools = [said for grant, said in asked if grant.startswith(DEFINITIONS)]
    return h(
        "Dialog",
        h("Bullets", items=grants) if grants else None,
        h(
            "Text",
            "It can do nothing beyond this. What it did is listed under Uses."
            if grants
            else "It keeps the permissions that it has."
            if tools
            else "It can only compute with what a Melody hands to it.",
            small=True,
            tone="muted",
        ),
        h("Heading", text="Its tools are not those that you agreed to") if tools else None,
        h("Bullets", items=tools) if tools else None,
        h(
            "Line",
            h(
                "Button",
                key="permissions.go",
                label=f"Allow and {verb}",
                variant="primary",
            ),
            h("Button", key="permissions.cancel", label="Cancel", variant="ghost"),
        ),
        key="dialog.permissions",
        title="Permissions",
        text=f"To {verb} {name}, allow it to:" if grants else f"{name} asks for no further permission.",
    )


def _definitions_dialog(question: Question) -> Node:
    name = question.data["extension"]
    return h(
        "Dialog",
        h("Bullets", items=[str(said) for said in question.data["differences"]]),
        h(
            "Text",
            "Nothing was called. What a tool says of itself is read by the model that uses it, and may be meant to "
            "mislead it.",
            small=True,
            tone="muted",
        ),
        h(
            "Line",
            h("Button", key="definitions.go", label="Allow and go on", variant="primary"),
            h("Button", key="definitions.cancel", label="Cancel", variant="ghost"),
        ),
        key="dialog.definitions",
        title="Permissions",
        text=f"A tool of {name} is not what you agreed to:",
    )


DIALOGS = {"market.permissions": _permissions_dialog, "market.definitions": _definitions_dialog}


async def load(page: Page) -> None:
    """Loads the extensions that the search asks for."""
    market = page.state.market
    query, shown = market.query, market.shown
    found = await page.host.list_extensions(query, limit=shown)
    if (query, shown) == (market.query, market.shown):
        market.items, market.more, market.loaded = found["extensions"], found["more"], True


async def _obtain(page: Page, name: str, update: bool, agreed: list[str] | None) -> None:
    """Installs or updates; when the host refuses for lack of consent, asks the user."""
    get = page.host.update_extension if update else page.host.install_extension
    with page.busy(f"market:{name}", f"{'Updating' if update else 'Installing'} {name}"):
        try:
            await get(name, agreed)
        except PermissionDenied as error:
            if error.code != "consent_needed" or agreed is not None:
                raise
            asked = [
                (str(item.get("grant") or ""), str(item.get("message", item))) for item in error.findings
            ]
            page.ask("market.permissions", name=name, update=update, asked=asked)
            return
    page.announce(f"{name} was {'updated' if update else 'installed'}", show=True)
    await page.load("market")


@on("market.search", "change")
async def _search(page: Page, _argument: str, value: Any) -> None:
    market = page.state.market
    market.query, market.shown = str(value), PAGE
    with page.busy("market", "Searching"):
        await page.load("market")
    page.announce(f"{words.count(len(market.items) + market.more, 'extension')} found")


@on("market.clear")
async def _clear(page: Page, _argument: str, _value: Any) -> None:
    page.state.market.only = "all"
    await _search(page, "", "")


@on("market.only", "change")
async def _only(page: Page, _argument: str, value: Any) -> None:
    if value in ("all", "installed", "offered"):
        page.state.market.only, page.state.market.shown = str(value), PAGE
        page.changed()


@on("market.more")
async def _more(page: Page, _argument: str, _value: Any) -> None:
    page.state.market.shown += PAGE
    await page.load("market")


@on("market.install")
async def _install(page: Page, argument: str, _value: Any) -> None:
    await _obtain(page, argument, False, None)


@on("market.update")
async def _update(page: Page, argument: str, _value: Any) -> None:
    await _obtain(page, argument, True, None)


@on("permissions.go")
async def _allow(page: Page, _argument: str, _value: Any) -> None:
    asked = page.answered()
    agreed = list(dict.fromkeys(grant for grant, _ in asked["asked"] if grant))
    await _obtain(page, asked["name"], asked["update"], agreed)


@on("permissions.cancel")
@on("dialog.permissions", "close")
async def _refuse(page: Page, _argument: str, _value: Any) -> None:
    page.answered()
    page.announce("Nothing was installed", show=True)


@on("definitions.go")
async def _agree(page: Page, _argument: str, _value: Any) -> None:
    asked = page.answered()
    await page.host.allow_permission(asked["extension"], asked["grant"])
    if not asked["run"]:
        page.announce(f"{asked['extension']} may be called as it is now", show=True)
        return
    run = (await page.host.get_run(asked["run"]))["run"]
    if run["status"] != "running":  # else another try of the step finds that it may
        await page.host.resume_run(asked["run"], agreed=True)
    await page.load("board")


@on("definitions.cancel")
@on("dialog.definitions", "close")
async def _disagree(page: Page, _argument: str, _value: Any) -> None:
    page.answered()
    page.announce("The tool was not called", show=True)


@on("market.remove")
async def _remove(page: Page, argument: str, _value: Any) -> None:
    with page.busy(f"market:{argument}", f"Removing {argument}"):
        await page.host.remove_extension(argument)
    await history.offer(page, f"{argument} was removed")
    await page.load("market")


@on("market.enable", "change")
async def _enable(page: Page, argument: str, value: Any) -> None:
    await page.host.enable_extension(argument, bool(value))
    page.announce(f"{argument} is {'on' if value else 'off'}", show=True)
    await page.load("market")


@on("market.audit")
async def _show_audit(page: Page, argument: str, _value: Any) -> None:
    market = page.state.market
    answer = await page.host.audit(argument or None, 100)
    market.audit, market.tampered = answer["entries"], answer.get("tampered")
    market.audit_of = argument
    page.changed()


@on("market.audit_close")
async def _close_audit(page: Page, _argument: str, _value: Any) -> None:
    page.state.market.audit = None
    page.changed()


@on("market.audit_table", "select")
async def _audit_row(_page: Page, _argument: str, _value: Any) -> None:
    """A row of the audit has nothing more to show."""
