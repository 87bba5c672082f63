"""Runs ruff, which lies in the vendor folder, and reads its findings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from symphony.sdk import Context, PlayerFailure


def lint(ctx: Context, root: Path, path: str, select: Sequence[str]) -> list[dict[str, object]]:
    """Rows of type code/finding, by file and line. Raises PlayerFailure when ruff cannot run."""
    command = [
        "ruff",
        "check",
        "--output-format=json",
        "--no-cache",
        "--exit-zero",
        "--quiet",
        "--force-exclude",
    ]
    if select:
        command.append(f"--select={','.join(str(code) for code in select)}")
    answer = ctx.exec([*command, "--", path], check=False)
    if answer.exit_code != 0:
        words = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        raise PlayerFailure(
            f"ruff failed: {words[0] if words else f'exit code {answer.exit_code}'}",
            remedy="check the project's ruff settings and the rule codes",
        )
    found = [_row(root, item) for item in json.loads(answer.stdout or b"[]")]
    return sorted(found, key=lambda row: (str(row["file"]), int(str(row["line"])), str(row["rule"])))


def _row(root: Path, item: dict[str, object]) -> dict[str, object]:
    place = item.get("location")
    fix = item.get("fix")
    file = Path(str(item["filename"]))
    for top in (root, root.resolve()):
        if file.is_relative_to(top):
            file = file.relative_to(top)
            break
    return {
        "file": file.as_posix(),
        "line": place.get("row", 0) if isinstance(place, dict) else 0,
        "rule": item.get("code") or "syntax-error",
        "message": item.get("message", ""),
        "fixable": isinstance(fix, dict) and fix.get("applicability") == "safe",
        "column": place.get("column", 0) if isinstance(place, dict) else 0,
        "help": item.get("url") or "",
    }
