"""`carets new`: a folder with a manifest, a Player that works, and a test that passes."""

from __future__ import annotations

from pathlib import Path

import click

from symphony.cli.output import Mode, common, say
from symphony.errors import BadInput


@click.command()
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["operator", "instrument", "motif"]), default="operator")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Folder to make it in.")
@common
def new(mode: Mode, name: str, kind: str, out: Path) -> None:
    """Begin an extension NAME (publisher/name) in a folder of its own, with a Melody that tries it."""
    from symphony.cli.carets.templates import DESCRIPTIONS, HEAD, TEMPLATES
    from symphony.stage.manifest import FILE_NAME, parse_manifest

    about = {"name": name, "type": kind, "description": DESCRIPTIONS[kind]}
    manifest = parse_manifest(HEAD.format(**about), source=FILE_NAME)
    short = manifest.name.partition("/")[2]
    folder = out / short
    if folder.exists():
        raise BadInput(f"{folder} exists already", remedy="choose another name or folder")
    for path, text in TEMPLATES[kind].items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            text.format(**{**about, "name": manifest.name}, short=short, title=short.capitalize()), "utf-8"
        )
    mode.show({"name": manifest.name, "folder": str(folder)}, lambda: say(f"made {folder}"))
