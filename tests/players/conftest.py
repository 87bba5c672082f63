"""A small real git history and harnesses of the bundled Players."""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.sdk.testing import Harness

EXTENSIONS = Path(__file__).resolve().parents[2] / "extensions"

ADA = ("Ada Lovelace", "ada@example.org")
GRACE = ("Grace Hopper", "grace@example.org")
JOSE = ("José Müller", "jose@example.org")

ENGINE = '''"""The engine."""


def choose(kind, amount):
    if kind == "a":
        return 1
    elif kind == "b" and amount > 3:
        return 2
    for step in range(amount):
        if step % 2 or step % 3:
            return step
    return 0


class Engine:
    def start(self):
        return choose("a", 1)
'''
PARSER = """import re
from src import engine


def words(text):
    # TODO: hyphens
    return re.findall("[a-z]+", text)


def unused_helper():
    return engine.choose("b", 2)
"""

Repo = Callable[..., str]


@pytest.fixture(autouse=True)
def plain_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests changes what git or make says."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    # Nor does the make that runs the tests tell the one below it what to print.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS"):
        monkeypatch.delenv(name, raising=False)
    vendor = str(EXTENSIONS / "code" / "vendor" / "bin")
    monkeypatch.setenv("PATH", f"{vendor}{os.pathsep}{os.environ['PATH']}")


class History:
    """A repository to which commits with fixed authors and dates are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.day = 0
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, author: tuple[str, str] = ADA) -> str:
        """What git prints."""
        when = f"2024-01-{1 + self.day:02}T12:00:00+0100"
        environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": author[0],
            "GIT_AUTHOR_EMAIL": author[1],
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_NAME": author[0],
            "GIT_COMMITTER_EMAIL": author[1],
            "GIT_COMMITTER_DATE": when,
        }
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode("utf-8", "replace")

    def write(self, path: str, content: str | bytes) -> None:
        """Writes a file, making its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str, author: tuple[str, str], **files: str) -> None:
        """Commits everything, a day after the last commit."""
        self.day += 1
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message, author=author)


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Twelve commits by three people: a merge, a rename with an edit, spaces, umlauts, a binary, a deletion."""
    repo = History(tmp_path_factory.mktemp("history") / "a project")
    repo.write("src/engine.py", ENGINE)
    repo.write("README.md", "# The project\n\nAn engine. It reads words.\n")
    repo.write(".gitignore", "*.log\nbuild/\n!keep.log\n")
    repo.write("docs/read me.md", "Read this first.\n")
    repo.commit("Start\n\nWith an engine.", ADA)
    repo.write("src/engine.py", ENGINE + "\n\nSPEED = 1\n")
    repo.commit("Speed", ADA)
    repo.write("src/parser.py", PARSER)
    repo.write("src/__init__.py", "")
    repo.commit("Parser", GRACE)
    repo.write("daten/überblick größe.csv", "name;größe\nä;1\n")
    repo.write('odd "name"\tx.txt', "odd\n")
    repo.commit("Überblick: Größe", JOSE)
    repo.write("src/engine.py", ENGINE + "\n\nSPEED = 2\n")
    repo.commit("Faster", ADA)
    repo.git("checkout", "-q", "-b", "feature/tests")
    repo.write("src/engine.py", ENGINE + "\n\nSPEED = 3\n")
    repo.write(
        "tests/test_engine.py",
        "from src.engine import choose\n\n\ndef test_a():\n    assert choose('a', 1) == 1\n",
    )
    repo.commit("Test the engine", GRACE)
    repo.git("checkout", "-q", "main")
    repo.write("README.md", "# The project\n\nAn engine. It reads words, quickly.\n")
    repo.commit("Readme", JOSE)
    repo.day += 1
    repo.git("merge", "-q", "--no-ff", "-m", "Merge the tests", "feature/tests", author=ADA)
    repo.git("mv", "src/parser.py", "src/grammar.py")
    repo.write("src/grammar.py", PARSER + "\n\nLIMIT = 10\n")
    repo.commit("Rename the parser", GRACE)
    repo.write("src/grammar.py", PARSER + "\n\nLIMIT = 20\n")
    repo.commit("Higher limit", JOSE)
    repo.write("src/engine.py", ENGINE + "\n\nSPEED = 4\n")
    repo.write("logo.bin", bytes(range(256)))
    repo.commit("Speed again", GRACE)
    (repo.root / "docs" / "read me.md").unlink()
    repo.commit("No second readme", ADA)
    return repo


@pytest.fixture
def repository(history: History, tmp_path: Path) -> History:
    """A copy of the history that a test may change."""
    root = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(history.root), str(root)], check=True)
    copy = History.__new__(History)
    copy.root, copy.day = root, history.day
    return copy


def embed(body: dict[str, Any]) -> dict[str, Any]:
    """Embeddings by words alone: enough for texts that share words to be near each other."""
    vectors = []
    for text in body["texts"]:
        vector = [0.0] * 256
        for word in text.lower().replace(".", " ").replace(",", " ").split():
            vector[zlib.crc32(word.encode()) % 256] += 1.0
        length = sum(v * v for v in vector) ** 0.5 or 1.0
        vectors.append([v / length for v in vector])
    return {"vectors": vectors}


@pytest.fixture
def player() -> Callable[..., Harness]:
    """Loads a Player: `player("git", project=root)`."""

    def load(name: str, project: Path | None = None, **capabilities: Any) -> Harness:
        given = {key.replace("_", "."): value for key, value in capabilities.items()}
        return Harness(
            EXTENSIONS / name / "player.py", project=project, capabilities={"model.embed": embed, **given}
        )

    return load
