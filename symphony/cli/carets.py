"""`carets`: the extension author's command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from symphony.cli import run
from symphony.cli.output import Mode, common, note
from symphony.errors import BadInput, SignatureInvalid

MANIFEST = """\
[extension]
name = "{name}"
version = "0.1.0"
type = "{type}"
description = "Says hello"
license = "MIT"
runtime = "python"
entry = "player.py"

[[functions]]
name = "hello"
description = "A greeting for somebody"
examples = [                       # what people would write to get it: 8 to 20, in any language
    "say hello to Ada",
    "greet the team",
]
deterministic = true
outputs = {{ greeting = "text/plain" }}
params = {{ who = {{ type = "string", default = "world", description = "who is greeted" }} }}

[capabilities]                     # nothing is granted that is not here and agreed to by the user
"""

PLAYER = '''\
"""The Player {name}: says hello."""

from __future__ import annotations

from symphony.sdk import Context, player


@player.function
def hello(ctx: Context, who: str = "world") -> str:
    """A greeting for somebody."""
    return f"Hello, {{who}}!"


player.serve()
'''


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def carets() -> None:
    """Make extensions: new, pack, sign, verify."""


@carets.command()
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["operator", "instrument", "motif"]), default="operator")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Folder to make it in.")
@common
def new(mode: Mode, name: str, kind: str, out: Path) -> None:
    """Begin an extension NAME (publisher/name) in a folder of its own."""
    from symphony.stage.manifest import FILE_NAME, parse_manifest

    text = MANIFEST.format(name=name, type=kind)
    manifest = parse_manifest(text, source=FILE_NAME)
    folder = out / manifest.name.partition("/")[2]
    if folder.exists():
        raise BadInput(f"{folder} exists already", remedy="choose another name or folder")
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_text(text, "utf-8")
    (folder / "player.py").write_text(PLAYER.format(name=manifest.name), "utf-8")
    mode.show({"name": manifest.name, "folder": str(folder)}, lambda: click.echo(f"made {folder}"))


@carets.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), default=None, help="Private key to sign with.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Folder for the package.")
@common
def pack(mode: Mode, folder: Path, key: Path | None, out: Path) -> None:
    """Pack the extension in FOLDER; the same source gives the same bytes."""
    from symphony.kit.package import pack as pack_folder
    from symphony.kit.package import write_package
    from symphony.kit.signing import read_key

    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder", remedy="give the folder that holds Symphony.toml")
    data = pack_folder(folder, read_key(key) if key else None)
    out.mkdir(parents=True, exist_ok=True)
    file = write_package(data, out)
    signed = key is not None
    mode.show({"file": str(file), "bytes": len(data), "signed": signed}, lambda: click.echo(f"packed {file}"))


@carets.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Private key; made if missing.")
@common
def sign(mode: Mode, package: Path, key: Path) -> None:
    """Sign PACKAGE in place with your key."""
    from symphony.config.files import write_atomically
    from symphony.kit.package import load, resign
    from symphony.kit.signing import new_key, public_key, read_key, write_key

    load(package)
    if not key.exists():
        write_key(new_key(), key)
        note(f"made a new key in {key}; keep it to yourself and keep a copy")
    private = read_key(key)
    write_atomically(package, resign(package.read_bytes(), private), mode=0o644)
    public = public_key(private)
    mode.show({"file": str(package), "key": public}, lambda: click.echo(f"signed {package} as {public}"))


@carets.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--key", default=None, metavar="HEX", help="The public key that must have signed it.")
@common
def verify(mode: Mode, package: Path, key: str | None) -> None:
    """Check that PACKAGE is whole and its signature is good."""
    from symphony.kit.package import load

    read = load(package)
    if not read.is_signed:
        raise SignatureInvalid(f"{package} is not signed", remedy="sign it with `carets sign`")
    read.verify({key or read.key})
    answer: dict[str, Any] = {
        "name": read.manifest.name,
        "version": read.manifest.version,
        "key": read.key,
        "sha256": read.sha256,
        "files": sorted(read.files),
        "permissions": read.manifest.grants(),
    }
    words = f"{read.manifest.name} {read.manifest.version}: {len(read.files)} files, signed by {read.key}"
    mode.show(answer, lambda: click.echo(words))


def main() -> None:
    """The entry point."""
    run(carets, "carets")
