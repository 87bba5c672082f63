"""`symphony artifacts`: what the runs made."""

from __future__ import annotations

import re
import sys
from typing import Any

import click

from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, describe, plain, say
from symphony.cli.tables import table
from symphony.cli.tiers import COMMANDS
from symphony.errors import BadInput
from symphony.ports.host import HostPort
from symphony.types.quantities import readable_size

PIECE = 4 << 20
EMBEDDED = re.compile(r"(data:[\w.+/-]+;base64,)[A-Za-z0-9+/=]{40,}")


@click.group()
def artifacts() -> None:
    """What was made: list, show, search, versions, diff, verify, gc; tiers, tier, pin, hold."""


for _command in COMMANDS:
    artifacts.add_command(_command)


def _show(answer: dict[str, Any], key: str = "artifacts", empty: str = "") -> None:
    rows = [
        (
            a["id"][:19],
            a["name"],
            a["type"],
            readable_size(a["bytes"]),
            f"{a['quality']:.2f}",
            f"v{a['version']}",
            a.get("tier", ""),
        )
        for a in answer[key]
    ]
    table(("artifact", "name", "type", "size", "quality", "", ""), rows, empty=empty)


@artifacts.command("list")
@click.option("--limit", default=50, show_default=True)
@click.option("--run", default=None, help="Only those of this run.")
@common
def list_artifacts(mode: Mode, limit: int, run: str | None) -> None:
    """The newest first."""
    answer = ask(lambda port: port.list_artifacts("", run, limit))
    mode.show(answer, lambda: _show(answer, empty='Nothing has been made yet; try `symphony run "…"`.'))


@artifacts.command()
@click.argument("words")
@click.option("--limit", default=20, show_default=True)
@common
def search(mode: Mode, words: str, limit: int) -> None:
    """Full-text search."""
    answer = ask(lambda port: port.list_artifacts(words, None, limit))
    mode.show(answer, lambda: _show(answer, empty=f"Nothing holds {words!r}."))


@artifacts.command()
@click.argument("artifact")
@common
def show(mode: Mode, artifact: str) -> None:
    """Write the content of ARTIFACT to standard output."""
    if not mode.json and not sys.stdout.isatty():
        ask(lambda port: _copy(port, artifact))
        return
    info, content = ask(lambda port: port.get_artifact(artifact))
    if mode.json:
        import base64

        try:
            body = {"text": content.decode()}
        except UnicodeDecodeError:
            body = {"base64": base64.b64encode(content).decode()}
        mode.show({"artifact": info, **body}, lambda: None)
        return
    sys.stdout.buffer.write(for_terminal(info, content))
    sys.stdout.buffer.flush()


async def _copy(port: HostPort, artifact: str) -> None:
    """Writes a content to standard output, piece by piece, however large it is."""
    info, piece = await port.get_artifact(artifact, PIECE)
    done = 0
    while piece:
        sys.stdout.buffer.write(piece)
        done += len(piece)
        if done >= info["bytes"]:
            break
        _, piece = await port.get_artifact(info["id"], PIECE, done)
    sys.stdout.buffer.flush()


def for_terminal(info: dict[str, Any], content: bytes) -> bytes:
    """A content as a terminal may have it: embedded pictures are cut short, other bytes than text are refused."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BadInput(
            f"{info['name']} is no text but {info['type']}, and would upset the terminal",
            remedy=f"Write it to a file: symphony artifacts show {info['id'][:19]} > {info['name']}",
        )
    return plain(EMBEDDED.sub(r"\1…", text)).encode()


@artifacts.command()
@click.argument("name")
@common
def versions(mode: Mode, name: str) -> None:
    """The versions of the artifact called NAME, newest first."""
    answer = ask(lambda port: port.artifact_versions(name))
    mode.show(answer, lambda: _show(answer, "versions", empty=f"There is no artifact {name}."))


@artifacts.command()
@click.argument("old", metavar="ARTIFACT")
@click.argument("new", required=False)
@common
def diff(mode: Mode, old: str, new: str | None) -> None:
    """What changed from ARTIFACT to NEW, line by line; of one alone, since the version before it.

    Each is a name, `name@version`, or an id.
    """
    answer = ask(lambda port: port.diff_artifacts(old, new))
    mode.show(answer, lambda: say(answer["diff"] or "They are equal.", nl=not answer["diff"]))


@artifacts.command()
@common
def verify(mode: Mode) -> None:
    """Check every stored bit."""
    answer = ask(lambda port: port.verify_artifacts())
    findings = answer["findings"]

    def text() -> None:
        for finding in findings:
            say(describe(finding) if isinstance(finding, dict) else str(finding))
        if not findings:
            say("Every stored bit checks out.")

    mode.show(answer, text)
    sys.exit(1 if findings else 0)


@artifacts.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@common
def gc(mode: Mode, dry_run: bool) -> None:
    """Remove what the retention plan names."""
    answer = ask(lambda port: port.collect_artifacts(dry_run))
    word = "would be removed" if dry_run else "removed"
    mode.show(answer, lambda: say(f"{answer['removed']} artifacts, {readable_size(answer['bytes'])} {word}"))
