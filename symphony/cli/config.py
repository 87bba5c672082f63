"""`symphony config`: the merged settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from symphony.cli.connection import ask, without_host
from symphony.cli.output import Mode, common, say
from symphony.cli.tables import table
from symphony.config.home import Home


@click.group()
def config() -> None:
    """Settings: show, get, set, path."""


@config.command()
@common
def show(mode: Mode) -> None:
    """Every setting with its value and where it came from."""
    answer = _settings()

    def text() -> None:
        rows = [(s["key"], _text(s["value"]), s["source"], s["description"]) for s in answer["settings"]]
        table(("setting", "value", "from", "what it does"), rows)

    mode.show(answer, text)


@config.command()
@click.argument("key")
@common
def get(mode: Mode, key: str) -> None:
    """The value of KEY."""
    row = _row(_settings(), key)
    mode.show(row, lambda: say(_text(row["value"])))


@config.command("set")
@click.argument("key")
@click.argument("value")
@click.option(
    "--project", "in_project", is_flag=True, help="In the project's conductor.json instead of yours."
)
@common
def set_value(mode: Mode, key: str, value: str, in_project: bool) -> None:
    """Set KEY to VALUE (JSON or plain text)."""
    try:
        parsed: Any = json.loads(value)
    except ValueError:
        parsed = value
    row = _set(key, parsed, "project" if in_project else "user")
    mode.show(row, lambda: say(f"{row['key']} = {_text(row['value'])}"))


@config.command()
@common
def path(mode: Mode) -> None:
    """Where your settings are kept."""
    where: Path = Home.resolve().config
    mode.show({"path": str(where)}, lambda: say(str(where)))


def _settings() -> Any:
    from symphony.app.offline import settings_offline

    with without_host() as free:
        return settings_offline() if free else ask(lambda port: port.settings())


def _set(key: str, value: Any, scope: str) -> Any:
    from symphony.app.offline import set_offline

    with without_host() as free:
        return (
            set_offline(key, value, scope) if free else ask(lambda port: port.set_setting(key, value, scope))
        )


def _row(answer: dict[str, Any], key: str) -> dict[str, Any]:
    from symphony.errors import NotFound

    for row in answer["settings"]:
        if row["key"] == key:
            assert isinstance(row, dict)
            return row
    raise NotFound(f"There is no setting {key}", remedy="`symphony config show` lists them")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
