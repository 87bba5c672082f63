"""Fixtures for every test: a home of its own, a real git history, the built parts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# pytest.approx looks into this module wherever it is loaded, also while a thread of the host is still loading it.
import numpy  # noqa: F401
import pytest
from hypothesis import HealthCheck, settings

# A slow machine must not fail a property, and a run must be repeatable; fuzzing for new cases is another job.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty SYMPHONY_HOME."""
    path = tmp_path / "home"
    monkeypatch.setenv("SYMPHONY_HOME", str(path))
    return path


@dataclass(frozen=True)
class Done:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def symphony(home: Path) -> Callable[..., Done]:
    """Runs the real command line in a process of its own, on the test's home."""

    def run(*arguments: object, cwd: Path | None = None, timeout: float = 120, **env: str) -> Done:
        done = subprocess.run(
            [str(Path(sys.prefix) / "bin" / "symphony"), *map(str, arguments)],
            cwd=cwd or ROOT,
            env={**os.environ, "SYMPHONY_HOME": str(home), **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


class GitHistory:
    """Builds a repository commit by commit, with fixed authors and times."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._time = 1_700_000_000
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, author: str = "Ada Lovelace", when: int | None = None) -> str:
        stamp = f"{when or self._time} +0000"
        mail = f"{author.split()[0].lower()}@example.org"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_EMAIL": mail,
            "GIT_COMMITTER_NAME": author,
            "GIT_COMMITTER_EMAIL": mail,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_DATE": stamp,
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def commit(
        self, subject: str, author: str = "Ada Lovelace", *, days_ago: float | None = None, **files: str
    ) -> None:
        import time

        for name, text in files.items():
            self.write(name, text)
        self._time += 3600
        when = int(time.time() - days_ago * 86400) if days_ago is not None else self._time
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject, author=author, when=when)


BRANCHY = '''
def branchy(a, b, c):
    """Has many paths."""
    if a:
        if b:
            for i in range(c):
                if i % 2 and a or b:
                    while c:
                        c -= 1
        elif c:
            return 1
    elif b and c:
        return 2
    try:
        return a[b]
    except KeyError:
        return 3
'''


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real history: three authors, a merge, a rename, spaces and non-ASCII names, code of several kinds."""
    history = GitHistory(tmp_path_factory.mktemp("repository") / "proj äöü")
    history.write("src/core.py", BRANCHY)
    history.write("README.md", "# Proj\n\nProj keeps numbers. It reads files. It writes results.\n")
    history.write("data/sales.csv", "region,amount\nnorth,10\nsouth,30\nnorth,5\n")
    history.commit("first", days_ago=200)
    for step in range(8):
        history.write("src/core.py", BRANCHY.replace("branchy", f"branchy{step}") + f"# TODO: step {step}\n")
        history.commit(
            f"core {step}", "Grace Hopper" if step % 2 else "Ada Lovelace", days_ago=100 - step * 5
        )
    history.write("src/plain file.py", "def plain():\n    return 1\n\n\ndef unused():\n    return 2\n")
    history.commit("plain", "Linus Ö", days_ago=50)
    history.git("mv", "src/plain file.py", "src/größe.py")
    history.commit("rename", "Linus Ö", days_ago=40)
    history.git("checkout", "-q", "-b", "feature")
    history.write(
        "src/web.ts", "export function page(x: number) {\n  if (x > 1) { return 1 }\n  return 2\n}\n"
    )
    history.commit("feature", "Grace Hopper", days_ago=20)
    history.git("checkout", "-q", "main")
    history.write("src/lib.rs", "pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n")
    history.commit("rust", days_ago=10)
    import time

    history.git("merge", "-q", "--no-ff", "-m", "merge feature", "feature", when=int(time.time() - 5 * 86400))
    return history.path
