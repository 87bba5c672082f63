"""`symphony melody`: the Polyphony Store and Melody files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from symphony.cli.connection import ask
from symphony.cli.output import Mode, common, describe, say
from symphony.cli.tables import table
from symphony.errors import BadInput

Json = dict[str, Any]


@click.group()
def melody() -> None:
    """Saved melodies and their files: validate, save, list, search, show, diff, delete, import, export."""


def _read(file: str) -> Json:
    from symphony.melody.formats import load

    return load(Path(file)).to_document()


def _document(name: str) -> Json:
    """A file's Melody, or a saved one."""
    if Path(name).exists():
        return _read(name)
    answer = ask(lambda port: port.get_melody(name))
    assert isinstance(answer, dict)
    return answer


@melody.command()
@click.argument("file")
@common
def validate(mode: Mode, file: str) -> None:
    """Say everything that is wrong with the Melody in FILE."""
    from symphony.app.offline import validate_offline

    answer = validate_offline(Path(file))

    def text() -> None:
        for finding in answer["findings"]:
            say(f"{finding['severity']}: {describe(finding)} [{finding['code']}]")
        say("valid" if answer["valid"] else "not valid")

    mode.show(answer, text)
    sys.exit(0 if answer["valid"] else 2)


@melody.command()
@click.argument("file")
@click.option("--name", default=None, help="The name to save it under (default: its own).")
@click.option("--description", default="", help="What it is for.")
@common
def save(mode: Mode, file: str, name: str | None, description: str) -> None:
    """Put the Melody in FILE into the Polyphony Store."""
    document = _read(file)
    answer = ask(lambda port: port.save_melody(document, name or document["name"], description))
    mode.show(answer, lambda: say(f"saved {answer['name']} {answer['version']} ({answer['id']})"))


@melody.command("import")
@click.argument("files", nargs=-1, required=True)
@common
def import_files(mode: Mode, files: tuple[str, ...]) -> None:
    """Put the Melodies in FILES into the Polyphony Store."""
    documents = [_read(file) for file in files]
    saved = [ask(lambda port, d=d: port.save_melody(d, d["name"])) for d in documents]  # type: ignore[misc]
    mode.show(
        {"melodies": saved},
        lambda: say("\n".join(f"imported {s['name']} {s['version']}" for s in saved)),
    )


@melody.command()
@click.argument("name")
@click.argument("file")
@common
def export(mode: Mode, name: str, file: str) -> None:
    """Write the saved Melody NAME to FILE; its ending chooses the format."""
    from symphony.melody.formats import from_document, save_file

    found = from_document(ask(lambda port: port.get_melody(name)))
    save_file(found, Path(file))
    mode.show({"file": file}, lambda: say(f"wrote {file}"))


def _list(mode: Mode, query: str) -> None:
    answer = ask(lambda port: port.list_melodies(query))

    def text() -> None:
        rows = [
            (m["name"], m["version"], str(m["nodes"]), m["description"], m["id"]) for m in answer["melodies"]
        ]
        table(("melody", "version", "nodes", "description", "id"), rows, empty="No Melody has been saved.")

    mode.show(answer, text)


@melody.command("list")
@common
def list_melodies(mode: Mode) -> None:
    """What is saved."""
    _list(mode, "")


@melody.command()
@click.argument("words")
@common
def search(mode: Mode, words: str) -> None:
    """Saved melodies by words."""
    _list(mode, words)


@melody.command()
@click.argument("name")
@common
def show(mode: Mode, name: str) -> None:
    """The saved Melody NAME as YAML."""
    from symphony.melody.formats import dump, from_document

    document = ask(lambda port: port.get_melody(name))
    mode.show(document, lambda: say(dump(from_document(document), "yaml").decode().rstrip()))


@melody.command()
@click.argument("name")
@common
def delete(mode: Mode, name: str) -> None:
    """Remove the saved Melody NAME."""
    answer = ask(lambda port: port.delete_melody(name))
    mode.show(answer, lambda: say(f"deleted {name}"))


@melody.command()
@click.argument("old")
@click.argument("new")
@common
def diff(mode: Mode, old: str, new: str) -> None:
    """What changed from OLD to NEW, each a file or a saved Melody."""
    from symphony.melody.diff import diff as compare
    from symphony.melody.formats import from_document

    changes = compare(from_document(_document(old)), from_document(_document(new)))
    if changes is None:
        raise BadInput("These two cannot be compared")
    mode.show(
        {"changes": [c.to_json() for c in changes]},
        lambda: say("\n".join(map(str, changes)) or "no difference"),
    )
