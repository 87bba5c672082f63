"""What an installed extension may do and use, in its Marketplace entry: permissions one by one, limits with use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symphony.errors import BadInput
from symphony.stage.permissions import parse_grant
from symphony.types.budget_words import BudgetLine, budget_lines
from symphony.types.quantities import parse_size
from symphony.ui.actions import on
from symphony.ui.node import Node, h
from symphony.ui.state import Json
from symphony.ui.views import history

if TYPE_CHECKING:
    from symphony.ui.page import Page

NEARLY = 0.8
"""The share of a limit from which on it is marked."""

_FIELDS = (
    ("calls", "Calls of the host a day"),
    ("tokens", "Tokens of models a day"),
    ("cost", "Cost of models a day"),
    ("memory", "Memory, such as 512MiB"),
    ("cpu", "Cores"),
    ("activation", "Seconds to start"),
)


def granted(item: Json) -> Node:
    """Each permission in a line of its own, with what takes it back or gives it again."""
    name = item["name"]
    lines = [
        _permission(
            str(grant),
            h(
                "Button",
                key=f"market.revoke:{name} {grant}",
                label=f"Take back {grant}",
                variant="secondary",
                small=True,
                hint="What it is doing with it ends at once",
            ),
        )
        for grant in item.get("granted") or []
    ]
    lines += [
        _permission(
            str(grant),
            h(
                "Button",
                key=f"market.allow:{name} {grant}",
                label=f"Allow {grant} again",
                variant="secondary",
                small=True,
            ),
            h("Badge", text="taken back", tone="warning"),
        )
        for grant in item.get("refused") or []
    ]
    return h("Stack", *lines, gap="small") if lines else h("Text", "It needs none.", tone="muted", small=True)


def _permission(grant: str, button: Node, *state: Node) -> Node:
    return h(
        "Line",
        h("Text", parse_grant(grant).explain()),
        h("Line", *state, button, gap="small"),
        spread=True,
    )


def budget(item: Json) -> list[Node]:
    """What it used against its limits, and a form that sets limits for it alone."""
    name = item["name"]
    own = item.get("allowance") or {}
    return [
        h("Heading", text="Limits"),
        h(
            "Table",
            key=f"market.budget:{name}",
            label=f"Limits of {name}",
            columns=[
                {"id": "what", "label": "What"},
                {"id": "used", "label": "Used", "end": True},
                {"id": "limit", "label": "Limit", "end": True},
                {"id": "from", "label": "Set by"},
            ],
            rows=[_row(line) for line in budget_lines(item)],
        ),
        h(
            "Disclosure",
            h(
                "Form",
                *(
                    h(
                        "TextBox",
                        key=f"market.limit:{name} {field}",
                        name=field,
                        label=label,
                        value="" if own.get(field) is None else _written(field, own[field]),
                        placeholder="as in Settings",
                    )
                    for field, label in _FIELDS
                ),
                h("Button", key=f"market.limits_save:{name}", label="Save limits", submit=True, small=True),
                key=f"market.limits:{name}",
                label=f"Limits of {name}",
            ),
            key=f"market.limits_form:{name}",
            label="Set limits for this extension",
        ),
    ]


def _row(line: BudgetLine) -> Json:
    tone = {"tone": "warning"} if line.share is not None and line.share >= NEARLY else {}
    by = "you" if line.is_own else "Settings"
    return {"id": line.name, "cells": [line.what, line.used, line.limit, by], **tone}


def _written(field: str, value: float) -> str:
    return f"{value / (1 << 20):g}MiB" if field == "memory" else f"{value:g}"


def read_limits(given: Json) -> Json:
    """The limits of the form; a field that is empty follows the settings. Raises BadInput."""
    limits: Json = {}
    for field, label in _FIELDS:
        text = str(given.get(field) or "").strip()
        if not text:
            continue
        try:
            if field == "memory":
                limits[field] = parse_size(text)
            else:
                limits[field] = int(text) if field in ("calls", "tokens") else float(text)
        except ValueError:
            raise BadInput(
                f"{label}: {text!r} is no number", remedy="leave it empty to follow the settings"
            ) from None
    return limits


@on("market.revoke")
async def _revoke(page: Page, argument: str, _value: Any) -> None:
    name, _, grant = argument.partition(" ")
    await page.host.revoke_permission(name, grant)
    await history.offer(page, f"{name} has lost: {parse_grant(grant).explain()}")
    await page.load("market")


@on("market.allow")
async def _allow(page: Page, argument: str, _value: Any) -> None:
    name, _, grant = argument.partition(" ")
    await page.host.allow_permission(name, grant)
    page.announce(f"{name} may again: {parse_grant(grant).explain()}", show=True)
    await page.load("market")


@on("market.limits", "submit")
async def _limit(page: Page, argument: str, value: Any) -> None:
    given = value if isinstance(value, dict) else {}
    await page.host.set_budget(argument, read_limits(given))
    page.announce(f"The limits of {argument} are set", show=True)
    await page.load("market")


@on("market.budget", "select")
async def _line(_page: Page, _argument: str, _value: Any) -> None:
    """A line of the limits has nothing more to show."""
