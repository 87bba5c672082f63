"""`symphony ext`: extensions."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import click

from symphony.cli.changes import is_waiting, waiting
from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, describe, note, say
from symphony.cli.tables import table
from symphony.errors import BadInput, NotFound, SymphonyError
from symphony.ports.host import HostPort
from symphony.types.budget_words import budget_lines
from symphony.types.quantities import parse_size


@click.group()
def ext() -> None:
    """Extensions: list, search, install, update, remove, enable, disable, permissions, budget, audit, call."""


def _show(answer: dict[str, Any], empty: str) -> None:
    rows = [
        (
            e["name"],
            e["version"],
            e["type"],
            ("enabled" if e["enabled"] else "disabled") if e["installed"] else "available",
            e["description"],
        )
        for e in answer["extensions"]
    ]
    table(("extension", "version", "type", "state", "what it does"), rows, empty=empty)


@ext.command("list")
@common
def list_extensions(mode: Mode) -> None:
    """What is installed."""
    answer = ask(lambda port: port.list_extensions("", True))
    mode.show(answer, lambda: _show(answer, "Nothing is installed."))


@ext.command()
@click.argument("words", default="")
@common
def search(mode: Mode, words: str) -> None:
    """What is installed or can be, by words."""
    answer = ask(lambda port: port.list_extensions(words, False))
    mode.show(answer, lambda: _show(answer, f"No extension is about {words!r}."))
    if answer["more"]:
        note(f"{answer['more']} more are on offer; further words find them")


def _with_consent(mode: Mode, begin: Any) -> dict[str, Any]:
    """Tries, asks for what is wanted, and tries again with what the user agreed to."""
    try:
        result = ask(lambda port: begin(port, None))
    except SymphonyError as error:
        if error.code != "consent_needed":
            raise
        wanted = [finding["grant"] for finding in error.findings if "grant" in finding]
        if not mode.yes:
            if not sys.stdin.isatty():
                error.remedy = "add --yes to agree to these permissions"
                raise
            note(error.message)
            for finding in error.findings:
                note(f"  {describe(finding)}")
            if not click.confirm("Allow and install?", err=True):
                raise
        result = ask(lambda port: begin(port, wanted))
    assert isinstance(result, dict)
    return result


@ext.command()
@click.argument("source")
@common
def install(mode: Mode, source: str) -> None:
    """Install SOURCE: an extension of the registry by name, or a package file."""
    where = str(Path(source).resolve()) if source.endswith(".symphony") else source
    answer = _with_consent(mode, lambda port, agreed: port.install_extension(where, agreed))
    mode.show(answer, lambda: say(f"installed {answer['name']} {answer['version']}"))


@ext.command()
@click.argument("name")
@common
def update(mode: Mode, name: str) -> None:
    """Install the newest version of NAME."""
    answer = _with_consent(mode, lambda port, agreed: port.update_extension(name, agreed))
    mode.show(answer, lambda: say(f"{answer['name']} is at {answer['version']}"))


@ext.command()
@click.argument("name")
@common
def rollback(mode: Mode, name: str) -> None:
    """Go back to the version of NAME before, and hold it there."""
    answer = ask(lambda port: port.rollback_extension(name))
    mode.show(answer, lambda: say(f"{answer['name']} is back at {answer['version']}"))


@ext.command()
@click.argument("name")
@common
def remove(mode: Mode, name: str) -> None:
    """Remove NAME with its files and grants."""
    answer = ask(lambda port: port.remove_extension(name))
    mode.show(answer, lambda: say(f"removed {name}"))


@ext.command()
@click.argument("name")
@common
def enable(mode: Mode, name: str) -> None:
    """Let the Players of NAME be used."""
    answer = ask(lambda port: port.enable_extension(name, True))
    mode.show(answer, lambda: say(f"enabled {name}"))


@ext.command()
@click.argument("name")
@common
def disable(mode: Mode, name: str) -> None:
    """Keep NAME installed but unused."""
    answer = ask(lambda port: port.enable_extension(name, False))
    mode.show(answer, lambda: say(f"disabled {name}"))


@ext.command()
@click.argument("name")
@click.option("--revoke", metavar="GRANT", help="Take this permission back at once, such as read:project/**.")
@click.option("--allow", metavar="GRANT", help="Give this permission again that was taken back.")
@common
def permissions(mode: Mode, name: str, revoke: str | None, allow: str | None) -> None:
    """What NAME may do, in plain words."""
    if revoke and allow:
        raise BadInput("A permission is either taken back or given", remedy="use one of --revoke and --allow")

    def asked(port: HostPort) -> Awaitable[dict[str, Any]]:
        if revoke:
            return port.revoke_permission(name, revoke)
        return port.allow_permission(name, allow) if allow else port.extension_permissions(name)

    answer = ask(asked)

    def text() -> None:
        say("\n".join(answer["words"]) or "It may do nothing beyond computing.")
        for grant in answer["refused"]:
            say(f"taken back: {grant}")

    mode.show(answer, text)


@ext.command()
@click.argument("name")
@click.option(
    "--calls", type=click.IntRange(0), help="What it may ask of the host in a day; 0 for any number."
)
@click.option("--tokens", type=click.IntRange(0), help="Tokens of models in a day; 0 for any number.")
@click.option(
    "--cost", type=click.FloatRange(0), help="What it may spend on models in a day; 0 for any amount."
)
@click.option("--memory", metavar="SIZE", help="Memory of all its processes, such as 512MiB.")
@click.option("--cpu", type=click.FloatRange(0.01), help="Cores that it may keep busy.")
@click.option("--activation", type=click.FloatRange(0, min_open=True), help="Seconds within which it starts.")
@click.option("--reset", is_flag=True, help="Go back to the general settings first.")
@common
def budget(mode: Mode, name: str, memory: str | None, reset: bool, **given: float | None) -> None:
    """What NAME has used of its limits; with options, set limits for it alone.

    Limits that are not set follow the settings stage.budget and stage.player.
    """
    wanted: dict[str, Any] = {what: value for what, value in given.items() if value is not None}
    if memory is not None:
        wanted["memory"] = _bytes(memory)
    row = _row(name)
    if wanted or reset:
        limits = {**({} if reset else row["allowance"]), **wanted}
        ask(lambda port: port.set_budget(name, limits))
        row = _row(name)
    answer = {"name": name, "usage": row["usage"], "allowance": row["allowance"]}
    lines = [(line.what, line.used, line.limit, "own" if line.is_own else "") for line in budget_lines(row)]
    mode.show(answer, lambda: table(("what", "used", "limit", ""), lines, empty=""))


def _row(name: str) -> dict[str, Any]:
    for row in ask(lambda port: port.list_extensions("", True))["extensions"]:
        if row["name"] == name:
            found: dict[str, Any] = row
            return found
    raise NotFound(f"The extension {name} is not installed", remedy="`symphony ext list` shows what is")


def _bytes(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise BadInput(f"--memory {text}: {error}", remedy="write for instance 512MiB") from None


@ext.command()
@click.argument("name", required=False)
@click.option("--limit", default=50, show_default=True)
@common
def audit(mode: Mode, name: str | None, limit: int) -> None:
    """Every use of a capability, newest first."""
    answer = ask(lambda port: port.audit(name, limit))

    def text() -> None:
        rows = [
            (
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(e["time"])),
                e["extension"],
                e["capability"],
                "allowed" if e["allowed"] else "REFUSED",
                e["detail"],
            )
            for e in answer["entries"]
        ]
        table(("when", "extension", "capability", "", "what"), rows, empty="No capability has been used yet.")
        if answer["tampered"] is not None:
            note(f"Line {answer['tampered']} of the log was changed or taken away, or one before it.")

    mode.show(answer, text)


@ext.command()
@click.argument("player")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A parameter; V is JSON or plain text.")
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=None,
    help="The folder to work on (default: this one).",
)
@common
def call(mode: Mode, player: str, params: tuple[str, ...], project: Path | None) -> None:
    """One function alone, with the same checks: publisher/name#function."""
    from symphony.app.project import resolve_project

    place = resolve_project(project or Path.cwd())
    values = dict(_parameter(text) for text in params)
    try:
        answer = ask(lambda port: port.call_function(player, values, None, str(place), mode.yes))
    except SymphonyError as error:
        if error.code != "definitions_changed" or not _agrees_to_definitions(player, error):
            raise
        answer = ask(lambda port: port.call_function(player, values, None, str(place), mode.yes))
    mode.show(answer, lambda: say(_readable(answer["outputs"])))
    for kept in filter(is_waiting, answer["changes"]):
        waiting(kept)


def _agrees_to_definitions(player: str, error: SymphonyError) -> bool:
    """Asks about a tool that is not what was agreed to. `--yes` is no answer: it was given before the question."""
    from symphony.kit.definitions import PREFIX

    grant = next((word for word in error.remedy.split() if word.startswith(PREFIX)), "").rstrip(",")
    if not grant or not sys.stdin.isatty():
        return False
    note(error.message)
    if not click.confirm("Allow it as it is now?", err=True):
        return False
    ask(lambda port: port.allow_permission(player.partition("#")[0], grant))
    return True


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadInput(f"--param {text!r} is no K=V", remedy="write for instance --param since=30d")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _readable(outputs: dict[str, Any]) -> str:
    if len(outputs) == 1 and isinstance(next(iter(outputs.values())), str):
        return str(next(iter(outputs.values())))
    return json.dumps(outputs, ensure_ascii=False, indent=2, default=lambda b: f"<{len(b)} bytes>")
