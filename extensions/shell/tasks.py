"""Finds out how a project tests and builds itself, and reads which tests failed out of what that printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

_LOCKS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lockb": "bun", "bun.lock": "bun"}
_PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "-ra", "--durations=10"]
"""Without a cache, for what a program writes is kept as a change of the project."""


def test_command(root: Path) -> list[str] | None:
    """The command that runs the project's tests, or None when nothing in its folder tells of one."""
    if _has_pytest(root):
        return [*_python(root), *_PYTEST]
    script = _script(root, "test")
    if script is not None:
        return script
    if (root / "Cargo.toml").is_file():
        return ["cargo", "test"]
    if (root / "go.mod").is_file():
        return ["go", "test", "./..."]
    if "test" in _targets(root):
        return ["make", "test"]
    if any(root.glob("test*.py")) or any(root.glob("tests/test*.py")):
        return [*_python(root), "-m", "unittest", "discover", "-v"]
    return None


def build_command(root: Path) -> list[str] | None:
    """The command that builds the project, or None when nothing in its folder tells of one."""
    if (root / "Cargo.toml").is_file():
        return ["cargo", "build"]
    if (root / "go.mod").is_file():
        return ["go", "build", "./..."]
    script = _script(root, "build")
    if script is not None:
        return script
    targets = _targets(root)
    if targets:
        return ["make", "build"] if "build" in targets else ["make"]
    return None


def _python(root: Path) -> list[str]:
    """The project's own interpreter where it has one. `env` starts it, for a grant names programs, not paths."""
    for folder in (".venv", "venv"):
        if (root / folder / "bin" / "python").exists():
            return ["env", "PYTHONDONTWRITEBYTECODE=1", f"{folder}/bin/python"]
    return ["env", "PYTHONDONTWRITEBYTECODE=1", "python3"]


def _has_pytest(root: Path) -> bool:
    """Whether the project says that it uses pytest."""
    if (
        (root / "pytest.ini").is_file()
        or (root / "conftest.py").is_file()
        or (root / "tests/conftest.py").is_file()
    ):
        return True
    named = ("pyproject.toml", "setup.cfg", "tox.ini", "requirements.txt", "requirements-dev.txt")
    return any("pytest" in _read(root / name) for name in named)


def _script(root: Path, name: str) -> list[str] | None:
    try:
        scripts = json.loads(_read(root / "package.json") or "{}").get("scripts", {})
    except (ValueError, AttributeError):
        return None
    if not isinstance(scripts, dict) or "no test specified" in str(scripts.get(name, "no test specified")):
        return None
    runner = next((runner for lock, runner in _LOCKS.items() if (root / lock).is_file()), "npm")
    return [runner, "run", name]


def _targets(root: Path) -> list[str]:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        if (root / name).is_file():
            return re.findall(r"^([A-Za-z][\w-]*)\s*:(?!=)", _read(root / name), re.MULTILINE)
    return []


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FAILED = (
    re.compile(r"^(?:FAILED|ERROR) (?P<test>[^\s(]\S*(?: \S+)*?)(?: - (?P<message>.*))?$"),  # pytest
    re.compile(r"^test (?P<test>\S+) \.\.\. FAILED(?P<message>)$"),  # cargo
    re.compile(r"^\s*--- FAIL: (?P<test>\S+)(?P<message>)"),  # go
    re.compile(r"^(?:FAIL|ERROR): (?P<test>\w+ \([\w.]+\))(?P<message>)$"),  # unittest
    re.compile(r"^not ok \d+ -? ?(?P<test>.+?)(?P<message>)$"),  # TAP, node
    re.compile(
        r"^\s*(?:FAIL|[✕✖✗×])\s+(?P<test>.+? > .+?|[^>]+? \(\d+ ?ms\)|[^>]+?)(?: \d+ ?ms)?(?P<message>)$"
    ),  # vitest, jest
)
_SLOW = re.compile(r"^(?P<seconds>\d+\.\d+)s (?:call|setup|teardown)\s+(?P<test>\S.*)$")


def failures(output: str) -> list[dict[str, object]]:
    """Rows of type shell/failed-test, each test once, in the order in which they are named."""
    rows: dict[str, dict[str, object]] = {}
    for line in _COLOURS.sub("", output).splitlines():
        for pattern in _FAILED:
            match = pattern.match(line.rstrip())
            if match:
                row = rows.setdefault(match["test"], {"test": match["test"], "message": ""})
                row["message"] = row["message"] or match["message"] or ""
                break
    return list(rows.values())


def slowest(output: str) -> list[dict[str, object]]:
    """Rows of type shell/slow-test as pytest lists them, the slowest first; nothing for other programs."""
    matches = (_SLOW.match(line) for line in _COLOURS.sub("", output).splitlines())
    return [{"test": match["test"], "seconds": float(match["seconds"])} for match in matches if match]
