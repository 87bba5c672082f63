"""Finds packages with their licences in what lies in the project: installed ones, vendored ones, lock files."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from families import family

Row = dict[str, object]
_DEPTH = 8


def find(root: Path) -> list[Row]:
    """Rows of type license/dependency, by ecosystem and name; a package found twice counts once.

    What is installed states its licence; what only a lock file names has the licence `unknown`.
    """
    found: dict[tuple[str, str, str], Row] = {}
    for file in _metadata_files(root):
        for ecosystem, name, version, license in _read(file):
            key = (ecosystem, name.lower(), version)
            known = found.get(key)
            if known is None or (known["license"] == "unknown" and license):
                found[key] = {
                    "package": name,
                    "license": license or "unknown",
                    "family": family(license),
                    "version": version,
                    "ecosystem": ecosystem,
                    "source": file.relative_to(root).as_posix(),
                }
    return [found[key] for key in sorted(found)]


def _metadata_files(root: Path, depth: int = 0) -> Iterator[Path]:
    """Files that describe packages. Folders of dependencies are entered although git ignores them."""
    try:
        entries = sorted(root.iterdir())
    except PermissionError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if entry.name not in (".git", "target", "__pycache__") and depth < _DEPTH:
                yield from _metadata_files(entry, depth + 1)
        elif entry.name in ("METADATA", "package.json", "Cargo.toml", "Cargo.lock", "package-lock.json"):
            yield entry


def _read(file: Path) -> list[tuple[str, str, str, str]]:
    """`(ecosystem, name, version, licence)` of each package that a file describes; none when it is damaged."""
    try:
        if file.name == "METADATA" and file.parent.name.endswith(".dist-info"):
            return _python(file.read_text("utf-8", "replace"))
        if file.name == "package.json" and "node_modules" in file.parts:
            return _npm(json.loads(file.read_text("utf-8")))
        if file.name == "package-lock.json":
            return _npm_lock(json.loads(file.read_text("utf-8")))
        if file.name == "Cargo.toml" and "vendor" in file.parts:
            return _cargo(tomllib.loads(file.read_text("utf-8")))
        if file.name == "Cargo.lock":
            packages = tomllib.loads(file.read_text("utf-8")).get("package", [])
            return [("cargo", p["name"], p["version"], "") for p in packages if "source" in p]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return []


def _python(text: str) -> list[tuple[str, str, str, str]]:
    head = HeaderParser().parsestr(text)
    license = head.get("License-Expression") or ""
    if not license:
        classified = [
            c.rpartition(" :: ")[2] for c in head.get_all("Classifier", []) if c.startswith("License ::")
        ]
        stated = (head.get("License") or "").strip().splitlines()
        # The field may hold the licence's whole text; its first line then is its name.
        license = " AND ".join(classified) or (stated[0].strip() if stated else "")
    return [("python", head["Name"], head["Version"], license)] if head.get("Name") else []


def _npm(content: Row) -> list[tuple[str, str, str, str]]:
    if "name" not in content or "version" not in content:
        return []
    return [("npm", str(content["name"]), str(content["version"]), _npm_license(content))]


def _npm_license(content: Row) -> str:
    license = content.get("license", content.get("licenses", ""))
    items = license if isinstance(license, list) else [license]
    return " OR ".join(
        str(item.get("type", "")) if isinstance(item, dict) else str(item) for item in items if item
    )


def _npm_lock(content: Row) -> list[tuple[str, str, str, str]]:
    packages = content.get("packages")
    if not isinstance(packages, dict):
        return []
    return [
        ("npm", re.split(r"(?:^|/)node_modules/", path)[-1], str(entry["version"]), _npm_license(entry))
        for path, entry in packages.items()
        if "node_modules/" in path and "version" in entry
    ]


def _cargo(content: Row) -> list[tuple[str, str, str, str]]:
    package = content.get("package")
    if not isinstance(package, dict) or not isinstance(package.get("version"), str):
        return []
    return [("cargo", str(package["name"]), package["version"], str(package.get("license", "")))]
