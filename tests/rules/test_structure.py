"""Rules of the code base that are tests: layers, sizes, names, who may name what."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LIMIT = 600
FUNCTION_LIMIT = 80
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
SUFFIXES = {".py", ".rs", ".ts", ".tsx"}


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [ROOT / name for name in listing.decode().split("\0") if name and (ROOT / name).is_file()]


SOURCES = [path for path in tracked() if path.suffix in SUFFIXES]
PYTHON = [path for path in SOURCES if path.suffix == ".py"]


def test_files_are_short() -> None:
    long = {}
    for path in SOURCES:
        lines = path.read_text("utf-8").count("\n")
        if lines > FILE_LIMIT and ".gen." not in path.name:
            long[str(path.relative_to(ROOT))] = lines
    assert not long


def test_functions_are_short() -> None:
    long = []
    for path in PYTHON:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LIMIT:
                    long.append(f"{path.relative_to(ROOT)}:{node.name} {lines}")
    assert not long


def test_no_file_is_a_drawer() -> None:
    assert not [
        p for p in SOURCES if FORBIDDEN_NAMES & {part.split(".")[0] for part in p.relative_to(ROOT).parts}
    ]


@pytest.mark.parametrize(
    "path", [p for p in PYTHON if "tests" not in p.parts], ids=lambda p: str(p.relative_to(ROOT))
)
def test_modules_say_what_they_are_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_only_the_bridge_names_pyo3() -> None:
    manifests = [p for p in tracked() if p.name == "Cargo.toml" and p.parent.parent.name == "pit_native"]
    assert [p.parent.name for p in manifests if "pyo3" in p.read_text("utf-8")] == ["bridge"]


def test_nothing_names_a_machine() -> None:
    pattern = re.compile(r"(^|[^A-Za-z0-9_.-])/(work|farm)/|/root/\.(pyenv|cargo)")
    found = []
    for path in tracked():
        if path == Path(__file__) or path.suffix in {".png", ".npz", ".onnx"}:
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}:{n}"
            for n, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    assert not found


def test_lock_files_name_no_registry() -> None:
    for path in tracked():
        if path.suffix == ".lock" and path.name != "Cargo.lock":
            assert "://" not in path.read_text("utf-8"), path
        if path.name == "package-lock.json":
            assert '"resolved"' not in path.read_text("utf-8")


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [Path(sys.prefix) / "bin" / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_manual_of_the_boundary_is_true() -> None:
    """`pit_native.pyi` names what the module has, with its parameters and defaults, and nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "pit_native.pit_native"],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": "."},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_host_never_imports_torch() -> None:
    code = (
        "import sys, symphony.app.host, symphony.app.server, conductor;"
        "bad = {'torch', 'gymnasium', 'networkx', 'onnx', 'matplotlib'} & set(sys.modules);"
        "sys.exit(' '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
