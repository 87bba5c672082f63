"""A process that hosts a template, for the tests to ask."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.sandbox.conftest import TEMPLATE_LIBRARY, Identity

MOUNTED = "this computer's mounts have changed"
"""Why a Player came from the launcher when something was mounted since the template was made."""


class Driver:
    """A process of some user that hosts a template; `under` is a command that executes another."""

    def __init__(
        self, identity: Identity, library: Path, *, under: Sequence[str] = (), **setting: Any
    ) -> None:
        env = {"PATH": f"{identity.base / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8", **setting.pop("env", {})}
        setting = {
            "library": str(library),
            "base": str(identity.own(Path(tempfile.mkdtemp(dir=identity.base)))),
            "launcher": str(identity.launcher),
            "native": str(library / TEMPLATE_LIBRARY.name),
            **setting,
        }
        options: dict[str, Any] = {}
        if os.geteuid() == 0 and identity.uid != 0:
            options = {"user": identity.uid, "group": identity.uid, "extra_groups": []}
        driver = library / "tests" / "sandbox" / "template_driver.py"
        self.process = subprocess.Popen(
            [*under, identity.python, "-B", str(driver), json.dumps(setting)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env=env,
            text=True,
            **options,
        )

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """Sends one request."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"verb": verb, **request}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def play(self, script: str, **request: Any) -> dict[str, Any]:
        """Plays a script as the entry of a Player that the template is copied for."""
        answer = self.ask("play", script=script, **request)
        while answer["why"] == MOUNTED:  # by a test beside this one
            self.ask("await", states=["warm"])
            answer = self.ask("play", script=script, **request)
        if not request.get("cold"):
            assert answer["why"] is None, answer
        return answer


@contextmanager
def driver(identity: Identity, library: Path, **setting: Any) -> Iterator[Driver]:
    """A driver that ends with the block."""
    host = Driver(identity, library, **setting)
    try:
        with host.process:
            yield host
            assert host.process.stdin is not None
            host.process.stdin.close()
    finally:
        host.process.kill()


def entry(script: str, facts: str = "{}") -> str:
    """A Player's entry that runs a script as `python -c` would, and ends with it."""
    return (
        f"import sys\nsys.argv = ['-c', {facts!r}]\n"
        f"try:\n    exec(compile({script!r}, '<script>', 'exec'), {{'__name__': '__main__'}})\n"
        "except SystemExit: raise\n"
        "except BaseException:\n    import traceback; traceback.print_exc(); sys.stderr.flush()\n"
        "    import os; sys.stdout.flush(); os._exit(1)\n"
        "import os; sys.stdout.flush(); os._exit(0)\n"
    )
