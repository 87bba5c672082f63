"""The Conductor over the bundled manifests, loaded once for each test process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from conductor import ComposeContext, Conductor, ProjectFacts
from symphony.stage.manifest import load_manifest
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

ROOT = Path(__file__).parents[2]
ENCODER = ROOT / "build" / "encoder"

PROJECT = ProjectFacts(
    path="/project",
    is_git=True,
    languages={"Python": 40, "Markdown": 5},
    files=(
        "README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", "main.py", "config.json", "src/app.py",
        "src/parser.py", "src/api/users.py", "tests/test_app.py", "docs/guide.md", "docs/architecture.md",
        "data/sales.csv",
    ),
    branches=("main", "develop", "feature/login"),
)  # fmt: skip
NOW = datetime(2026, 7, 15, 12)
CONTEXT = ComposeContext(project=PROJECT, now=NOW)


def bundled() -> tuple[list[FunctionSpec], TypeLattice]:
    """The Players of the bundled extensions and their types."""
    functions: list[FunctionSpec] = []
    lattice = TypeLattice()
    for file in sorted((ROOT / "extensions").glob("*/Symphony.toml")):
        manifest = load_manifest(file)
        functions += manifest.functions
        lattice.declare(manifest.types)
    return functions, lattice


def conductor_over(
    functions: Sequence[FunctionSpec], lattice: TypeLattice, cache: Path, weights: Path | None
) -> Conductor:
    """A Conductor that knows these Players, with the past that it ships with."""
    conductor = Conductor.load(ENCODER, weights)
    conductor.index(functions, lattice, cache)
    return conductor


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sentence vectors are kept for the length of the session."""
    return tmp_path_factory.mktemp("vectors")


@pytest.fixture(scope="session")
def conductor(cache: Path) -> Conductor:
    """The Conductor as it ships."""
    from conductor.core import WEIGHTS

    return conductor_over(*bundled(), cache, WEIGHTS)
