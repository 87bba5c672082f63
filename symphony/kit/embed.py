"""Builds a registry: `python -m symphony.kit.embed OUT_DIR SOURCE_DIR...`, signed with a key made for it."""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from symphony.errors import BadInput, SymphonyError
from symphony.kit.package import file_name, pack, read
from symphony.kit.registry import FORMAT, INDEX_FILE, PACKAGES, SIGNATURE_FILE, TRUSTED_FILE, index_row
from symphony.kit.signing import INDEX, new_key, public_key, sign
from symphony.stage.manifest import FILE_NAME


def embed(out: Path, sources: Sequence[Path]) -> int:
    """Packs every extension below `sources` into a registry at `out`; answers with their number.

    A source is an extension's folder or a folder of such. The old registry is replaced at the end.
    Raises BadInput for a name without publisher and for two packages of one name and version.
    """
    key = new_key()
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / PACKAGES).mkdir(parents=True)
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for folder in _extensions(sources):
        package = pack(folder, key)
        manifest = read(package).manifest
        identity = (manifest.name, manifest.version)
        if manifest.name.startswith("local/"):
            raise BadInput(f"{folder}: {manifest.name} has no publisher", remedy="write publisher/name")
        if identity in rows:
            raise BadInput(
                f"{folder}: {manifest.name} {manifest.version} is there twice", remedy="raise its version"
            )
        file = file_name(manifest)
        (fresh / PACKAGES / file).write_bytes(package)
        document = tomllib.loads((folder / FILE_NAME).read_text("utf-8"))
        rows[identity] = index_row(package, file, document, manifest)
    body = {"format": FORMAT, "extensions": [rows[identity] for identity in sorted(rows)]}
    index = json.dumps(body, ensure_ascii=False, sort_keys=True, default=str).encode()
    (fresh / INDEX_FILE).write_bytes(index)
    (fresh / SIGNATURE_FILE).write_text(sign(key, INDEX, index), "ascii")
    (fresh / TRUSTED_FILE).write_text(public_key(key), "ascii")
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return len(rows)


def _extensions(sources: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for source in sources:
        if (source / FILE_NAME).is_file():
            found.append(source)
        else:
            found += sorted(manifest.parent for manifest in source.glob(f"*/{FILE_NAME}"))
    return found


def main(arguments: Sequence[str]) -> int:
    """The command."""
    if len(arguments) < 2:
        print("usage: python -m symphony.kit.embed OUT_DIR SOURCE_DIR...", file=sys.stderr)
        return 2
    out = Path(arguments[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        count = embed(out, [Path(source) for source in arguments[1:]])
    except SymphonyError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{out}: {count} extensions")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
