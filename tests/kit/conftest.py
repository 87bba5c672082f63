"""Extensions, registries and homes to install into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.config import Home
from symphony.kit.embed import embed
from symphony.kit.installer import Installer
from symphony.kit.registry import Registry

MANIFEST = """\
[extension]
name = "{name}"
version = "{version}"
type = "operator"
description = "{description}"

[[functions]]
name = "work"
description = "Does it"
outputs = {{ answer = "text" }}

[capabilities]
{capabilities}

[dependencies]
{dependencies}
"""

MakeExtension = Callable[..., Path]


@pytest.fixture
def make_extension(tmp_path: Path) -> MakeExtension:
    def make(
        name: str = "ann/one",
        version: str = "1.0.0",
        *,
        capabilities: str = 'files = ["read:project/**"]',
        dependencies: str = "",
        description: str = "An extension",
        base: Path | None = None,
    ) -> Path:
        folder = (base or tmp_path / "sources") / f"{name.replace('/', '-')}-{version}"
        (folder / "inner").mkdir(parents=True)
        text = MANIFEST.format(
            name=name,
            version=version,
            capabilities=capabilities,
            dependencies=dependencies,
            description=description,
        )
        (folder / "Symphony.toml").write_text(text)
        (folder / "player.py").write_text(f"VERSION = {version!r}\n")
        (folder / "inner" / "ünï code.txt").write_text("x")
        return folder

    return make


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def open_installer(tmp_path: Path, home: Home) -> Callable[..., Installer]:
    def open_it(*sources: Path, bundled: Path | None = None) -> Installer:
        out = tmp_path / "registry"
        if sources:
            embed(out, sources)
        return Installer(home, registry=Registry.open(out), bundled=bundled or tmp_path / "none")

    return open_it
