"""Manifests, code and pages of the extensions say the same."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from symphony.sdk.testing import Harness
from symphony.types.port_types import TypeLattice, element_type, is_port_type
from tests.players.conftest import EXTENSIONS

ROOT = EXTENSIONS.parent
BUNDLED = ("code", "data", "files", "git", "model", "report", "shell", "text")
REGISTRY = ("registry/changelog", "registry/diagram", "registry/licenses", "registry/markdown")
ALL = BUNDLED + REGISTRY
PARAM_TYPES = {
    "string": str, "path": str, "duration": str, "date": str, "integer": int, "number": (int, float),
    "boolean": bool, "list": list,
}  # fmt: skip


def manifest(name: str) -> dict[str, Any]:
    return tomllib.loads((EXTENSIONS / name / "Symphony.toml").read_text("utf-8"))


FUNCTIONS = [(name, function["name"]) for name in ALL for function in manifest(name)["functions"]]


def declared(name: str, function: str) -> dict[str, Any]:
    return next(f for f in manifest(name)["functions"] if f["name"] == function)


def python_files(name: str) -> list[Path]:
    return sorted((EXTENSIONS / name).glob("*.py"))


def test_every_extension_is_covered():
    found = {p.parent.relative_to(EXTENSIONS).as_posix() for p in EXTENSIONS.glob("**/Symphony.toml")}
    assert {f for f in found if not f.startswith(("example", "control"))} >= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_host_reads_the_manifest(name):
    from symphony.stage.manifest import load_manifest

    loaded = load_manifest(EXTENSIONS / name / "Symphony.toml")
    assert loaded.name == f"symphony/{name.rpartition('/')[2]}"
    assert {f.function for f in loaded.functions} == {f["name"] for f in manifest(name)["functions"]}


@pytest.mark.parametrize("name", ALL)
def test_functions_are_those_of_the_code(name):
    harness = Harness(EXTENSIONS / name / "player.py")
    assert harness.functions == sorted(f["name"] for f in manifest(name)["functions"])


@pytest.mark.parametrize(("name", "function"), FUNCTIONS)
def test_inputs_params_and_defaults_are_those_of_the_code(name, function):
    spec = declared(name, function)
    harness = Harness(EXTENSIONS / name / "player.py")
    signature = inspect.signature(harness.player._functions[function].function)
    parameters = list(signature.parameters.values())[1:]
    assert {p.name for p in parameters} == set(spec.get("inputs", {})) | set(spec.get("params", {}))
    for parameter in parameters:
        required = parameter.default is inspect.Parameter.empty
        param = spec.get("params", {}).get(parameter.name)
        if param is None:
            is_optional = parameter.name in spec.get("optional", [])
            # The host gives the project; every other input that is not optional must be there.
            assert required != is_optional or parameter.name == "project", parameter.name
            continue
        assert required == bool(param.get("required")), parameter.name
        if isinstance(param.get("default"), list):
            continue
        if not required:
            assert parameter.default == param.get("default"), parameter.name


@pytest.mark.parametrize(("name", "function"), FUNCTIONS)
def test_what_a_function_says_of_itself(name, function):
    spec = declared(name, function)
    assert len(spec["description"]) >= 15 and spec["description"][0].isupper()
    assert spec["seconds"] > 0 and isinstance(spec["deterministic"], bool)
    examples = spec["examples"]
    assert 8 <= len(examples) <= 40
    assert len({e.casefold() for e in examples}) == len(examples)
    assert all(3 <= len(e) <= 90 for e in examples)
    assert set(spec.get("optional", [])) <= set(spec["inputs"])
    for param, about in spec.get("params", {}).items():
        assert len(about["description"]) >= 8, param
        assert about["type"] in PARAM_TYPES, param
        if "default" in about:
            assert isinstance(about["default"], PARAM_TYPES[about["type"]]), param
            assert about["default"] in about.get("choices", [about["default"]])
    if "project" in spec["inputs"] or "path" in spec.get("params", {}):
        assert not spec["deterministic"], "files change without the inputs changing"
    for port_type in (*spec["inputs"].values(), *spec["outputs"].values()):
        assert is_port_type(port_type)


def test_examples_are_in_several_languages():
    words = {
        "de": r"\b(die|der|das|und|welche|zeige|nach|aus|im|als)\b",
        "fr": r"\b(le|la|les|du|des|quels?|fichiers?)\b",
        "es": r"\b(el|los|las|del|qué|archivos?|por)\b",
    }
    for name in ALL:
        text = " ".join(e.casefold() for f in manifest(name)["functions"] for e in f["examples"])
        for language, pattern in words.items():
            assert len(re.findall(pattern, text)) >= 2, (name, language)


def test_every_row_type_is_a_record():
    lattice = TypeLattice()
    for name in ALL:
        lattice.declare(manifest(name).get("types", {}))
    for name, function in FUNCTIONS:
        spec = declared(name, function)
        for port_type in (*spec["inputs"].values(), *spec["outputs"].values()):
            inner = element_type(port_type)
            assert inner is None or inner == "any" or lattice.is_below(inner, "record"), port_type
    assert lattice.is_below("list<git/file-churn>", "list<record>")
    assert lattice.is_below("list<code/hotspot>", "list<any>")
    assert not lattice.is_below("list<record>", "list<git/commit>")


@pytest.mark.parametrize("name", ALL)
def test_a_player_imports_only_what_it_may(name):
    own = {file.stem for file in python_files(name)}
    vendor = EXTENSIONS / name / "vendor"
    vendored = {p.name.partition(".")[0] for p in vendor.iterdir()} if vendor.is_dir() else set()
    for file in python_files(name):
        tree = ast.parse(file.read_text("utf-8"))
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in names:
                first = module.partition(".")[0]
                if first == "symphony":
                    assert module in ("symphony.sdk", "symphony.sdk.project"), f"{file.name}: {module}"
                elif first not in own and first not in sys.stdlib_module_names:
                    assert first in vendored, f"{file.name}: {module} is not vendored"
                    assert id(node) not in top, f"{file.name}: {module} must be imported where it is used"


@pytest.mark.parametrize("name", ALL)
def test_requirements_are_locked_with_hashes(name):
    folder = EXTENSIONS / name
    wanted, locked = folder / "requirements.txt", folder / "requirements.lock"
    assert wanted.exists() == locked.exists()
    if not wanted.exists():
        return
    lock = locked.read_text()
    for line in wanted.read_text().splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line) and line in lock
    assert "://" not in lock and "--index" not in lock
    for block in re.split(r"\n(?=\w)", lock.strip()):
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("name", ALL)
def test_no_vendored_package_has_a_licence_that_binds_us(name):
    for file in (EXTENSIONS / name).glob("vendor/*.dist-info/METADATA"):
        head = file.read_text("utf-8", "replace").partition("\n\n")[0]
        stated = re.findall(
            r"^(?:License-Expression|Classifier: License ::.*|License):? ?(.*)$", head, re.MULTILINE
        )
        assert not re.search(r"\bA?GPL", " ".join(stated)), file


def test_the_pages_are_up_to_date():
    done = subprocess.run(
        [sys.executable, str(EXTENSIONS / "pages.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALL)
def test_each_extension_has_a_page(name):
    page = (ROOT / "docs" / "players" / f"{name.rpartition('/')[2]}.md").read_text("utf-8")
    before = page.partition("<!-- reference -->")[0]
    assert len(before.split()) >= 40
    for function in manifest(name)["functions"]:
        assert f"### {function['name']}" in page
