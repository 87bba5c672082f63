"""Writes the reference part of docs/players/*.md from the manifests; with `--check` tells which are out of date."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

EXTENSIONS = Path(__file__).resolve().parent
PAGES = EXTENSIONS.parent / "docs" / "players"
MARK = "<!-- reference -->"


def reference(manifest: dict[str, Any]) -> str:
    """The Markdown below the mark: what the extension may do, and each function with its ports and parameters."""
    lines = [MARK, "", "## What it may do", ""]
    granted = [grant for kind in manifest.get("capabilities", {}).values() for grant in kind]
    lines += [f"- `{grant}`" for grant in granted] or ["Nothing: it sees only what is connected to it."]
    lines += ["", "## Functions"]
    for function in manifest["functions"]:
        lines += ["", f"### {function['name']}", "", f"{function['description']}.", ""]
        optional = set(function.get("optional", []))
        inputs = [
            f"`{n}`: `{t}`{' (optional)' if n in optional else ''}" for n, t in function["inputs"].items()
        ]
        lines.append(f"Inputs: {', '.join(inputs) or 'none'}.  ")
        lines.append(f"Outputs: {', '.join(f'`{n}`: `{t}`' for n, t in function['outputs'].items())}.")
        if function.get("effects"):
            lines += ["", "It changes things, so it is never answered from the cache."]
        if function.get("params"):
            lines += ["", "| Parameter | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
            lines += [_parameter(name, about) for name, about in function["params"].items()]
        lines += ["", f"For instance: {'; '.join(f'“{example}”' for example in function['examples'][:3])}."]
    return "\n".join(lines) + "\n"


def _parameter(name: str, about: dict[str, Any]) -> str:
    default = "required" if about.get("required") else _shown(about.get("default"))
    meaning = about["description"]
    if "choices" in about:
        meaning += f" ({', '.join(map(str, about['choices']))})"
    return f"| `{name}` | {about['type']} | {default} | {meaning.replace('|', chr(92) + '|')} |"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"


def main(arguments: list[str]) -> int:
    """Exit code 1 when a page had to be, or would have to be, written."""
    stale = []
    for path in sorted([*EXTENSIONS.glob("*/Symphony.toml"), *EXTENSIONS.glob("registry/*/Symphony.toml")]):
        page = PAGES / f"{path.parent.name}.md"
        if not page.exists():
            continue
        text = page.read_text("utf-8")
        prose = text.partition(MARK)[0].rstrip()
        wanted = f"{prose}\n\n{reference(tomllib.loads(path.read_text('utf-8')))}"
        if wanted != text:
            stale.append(page.name)
            if "--check" not in arguments:
                page.write_text(wanted, "utf-8")
    if stale and "--check" in arguments:
        print(f"Out of date: {', '.join(stale)}; run python extensions/pages.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
