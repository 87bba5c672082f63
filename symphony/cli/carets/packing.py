"""`carets pack`, `carets sign`, `carets verify`: from a folder to a package that others may install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from symphony.cli.output import Mode, common, note, say
from symphony.errors import BadInput, SignatureInvalid


@click.command()
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
    mode.show({"file": str(file), "bytes": len(data), "signed": signed}, lambda: say(f"packed {file}"))


@click.command()
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
    mode.show({"file": str(package), "key": public}, lambda: say(f"signed {package} as {public}"))


@click.command()
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
    mode.show(answer, lambda: say(words))
