"""Symphony as an ordinary user: the same checkout, an account without any right of the superuser."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[2]


def private_ancestor(path: Path) -> Path | None:
    """The outermost folder above `path` that other users cannot enter."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def opened(path: Path, spare: Path) -> list[str]:
    """Commands that make `path` reachable for everybody, in a mount namespace of its own."""
    closed = private_ancestor(path)
    if closed is None:
        return []
    spare.mkdir(exist_ok=True)
    here, away, inside = shlex.quote(str(path)), shlex.quote(str(spare)), shlex.quote(str(closed))
    return [
        f"mount --bind {here} {away}",
        f"mount -t tmpfs -o mode=755 tmpfs {inside}",
        f"mkdir -p {here}",
        f"mount --bind {away} {here}",
    ]


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user; without it every test is one"
)
def test_a_melody_plays_for_an_ordinary_user() -> None:
    for tool in ("unshare", "setpriv", "mount"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    place = Path(f"/var/tmp/symphony-user-{os.getpid()}")
    project = place / "project"
    project.mkdir(parents=True)
    try:
        (project / "a.txt").write_text("a")
        (project / "melody.yaml").write_text(
            "format: symphony.melody/1\nname: listing\nnodes:\n"
            "  - {id: files, kind: operator, player: symphony/files#list}\nedges: []\n"
        )
        for path in (place, project, *project.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        symphony = Path(sys.prefix) / "bin" / "symphony"
        if private_ancestor(ROOT) is not None:
            pytest.skip("the checkout lies in a folder that other users cannot enter")
        play = [symphony, "play", project / "melody.yaml", "--project", project, "--json"]
        user = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --inh-caps=-all"
        env = {"PATH": os.environ["PATH"], "HOME": str(place), "SYMPHONY_HOME": str(place / "home")}
        script = " && ".join(
            [
                "mount --make-rprivate /",
                *opened(Path(sys.base_prefix), Path(f"{place}-spare")),
                f"exec {user} {shlex.join(map(str, play))}",
            ]
        )
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            env=env,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if "unshare" in done.stderr or "mount:" in done.stderr:
            pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
        assert done.returncode == 0, (done.stdout, done.stderr)
        answer = json.loads(done.stdout)
        assert answer["run"]["status"] == "succeeded"
        assert answer["artifacts"]
        assert {p.stat().st_uid for p in (place / "home").rglob("*")} == {NOBODY}
    finally:
        shutil.rmtree(place)
        shutil.rmtree(f"{place}-spare", ignore_errors=True)
