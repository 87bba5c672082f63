"""Who runs a sandbox, and the world outside it that must stay untouched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.world import World

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
COPIED = (
    "symphony/__init__.py",
    "symphony/errors.py",
    "symphony/stage/__init__.py",
    "symphony/stage/sandbox.py",
    "symphony/stage/repository_folders.py",
)
"""All that a launch needs of the host; a user who cannot read this checkout gets a copy."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended, what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Identity:
    """Someone who starts sandboxes: a user id, and a Python, library and launcher that they can read."""

    name: str
    uid: int
    python: str
    library: Path
    launcher: Path
    base: Path

    def run(self, argv: list[str], **options: Any) -> Outcome:
        """Runs a program as this user, without a sandbox."""
        if os.geteuid() == 0 and self.uid != 0:
            options |= {"user": self.uid, "group": self.uid, "extra_groups": []}
        options = {"stdin": subprocess.DEVNULL, "cwd": "/", "timeout": 120, **options}
        env = {"PATH": f"{self.base / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8", **options.pop("env", {})}
        done = subprocess.run(argv, env=env, capture_output=True, check=False, **options)
        return Outcome(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def sandbox(
        self, argv: list[str], *, env: dict[str, str] | None = None, stdin: Any = None, **request: Any
    ) -> Outcome:
        """Runs a program as this user in a sandbox; `request` as the driver reads it."""
        request |= {"argv": argv, "library": str(self.library), "launcher": str(self.launcher)}
        driver = self.library / "tests" / "sandbox" / "driver.py"
        return self.run(
            [self.python, "-B", str(driver), json.dumps(request)],
            env=env or {},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
        )

    def own_new(self, path: Path) -> Path:
        """Makes a folder that belongs to this user."""
        path.mkdir()
        return self.own(path)

    def own(self, path: Path) -> Path:
        """Gives a file or folder to this user."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.uid)
        return path


def _launcher() -> Path:
    return Path(sys.prefix) / "bin" / "symphony-launcher"


def _copy_library(base: Path) -> tuple[Path, Path]:
    import pit_native

    library = base / "library"
    for name in COPIED:
        target = library / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    shutil.copytree(
        Path(pit_native.__file__).parent,
        library / "pit_native",
        ignore=lambda _, names: [n for n in names if not n.endswith((".py", ".so"))],
    )
    (library / "tests" / "sandbox").mkdir(parents=True)
    shutil.copy(Path(__file__).parent / "driver.py", library / "tests" / "sandbox")
    launcher = base / "symphony-launcher"
    shutil.copy(_launcher(), launcher)
    (base / "bin").mkdir()
    shutil.copy(Path(sys.prefix) / "bin" / "ruff", base / "bin" / "ruff")
    return library, launcher


def _readable_python() -> str:
    """An interpreter that the unprivileged user can start."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        try:
            done = subprocess.run(
                [candidate, "-I", "-c", check],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                check=False,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 that an unprivileged user can start")


@pytest.fixture(scope="session")
def shared_base() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    base = Path(tempfile.mkdtemp(prefix="symphony-sandbox-", dir="/tmp"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


TEMPLATE_LIBRARY = Path(sys.prefix) / "lib" / "libsymphony_template.so"


def _identities() -> list[str]:
    return ["root", "user"] if os.geteuid() == 0 else ["user"]


@pytest.fixture(scope="session")
def library(shared_base: Path) -> tuple[Path, Path]:
    """A copy of what a launch needs, and of the launcher."""
    return _copy_library(shared_base)


@pytest.fixture(scope="session", params=_identities())
def identity(request: pytest.FixtureRequest, shared_base: Path, library: tuple[Path, Path]) -> Identity:
    """The superuser and an ordinary user, where the tests run as the former; else whoever runs them."""
    copied, launcher = library
    if request.param == "root" or os.geteuid() != 0:
        return Identity(request.param, os.geteuid(), sys.executable, copied, launcher, shared_base)
    return Identity("user", NOBODY, _readable_python(), copied, launcher, shared_base)


@pytest.fixture
def make_world(identity: Identity) -> Iterator[Callable[[], World]]:
    """Makes worlds for the test's identity; they end with the test."""
    made: list[World] = []

    def make() -> World:
        made.append(World(identity))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def folder(identity: Identity) -> Iterator[Path]:
    """An empty folder of the identity's."""
    path = Path(tempfile.mkdtemp(dir=identity.base))
    identity.own(path)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def template_library(library: tuple[Path, Path]) -> Path:
    """The copy of what a launch needs, with what a Player imports and the template's library."""
    import msgpack

    place = library[0]
    if not (place / TEMPLATE_LIBRARY.name).exists():
        shutil.copytree(ROOT / "symphony" / "sdk", place / "symphony" / "sdk")
        shutil.copytree(Path(msgpack.__file__).parent, place / "msgpack")
        shutil.copy(Path(__file__).parent / "template_driver.py", place / "tests" / "sandbox")
        shutil.copy(TEMPLATE_LIBRARY, place / TEMPLATE_LIBRARY.name)
    return place
