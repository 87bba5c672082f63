"""`carets`, as an extension's author uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def _carets(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.prefix) / "bin" / "carets"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("kind", ["operator", "instrument", "motif"])
def test_each_template_passes_its_own_tests_and_packs_to_the_same_bytes(tmp_path: Path, kind: str) -> None:
    made = _carets("new", "ann/hello", "--type", kind, "--out", tmp_path, "--json")
    folder = Path(json.loads(made.stdout)["folder"])
    tested = _carets("test", folder, "--json")
    assert tested.returncode == 0, tested.stderr
    assert json.loads(tested.stdout)["checks"]["tests"].startswith("Ran 1 test")
    packages = []
    for place in (folder, _copy(folder, tmp_path / "elsewhere")):
        out = tmp_path / f"out {len(packages)}"
        packed = json.loads(_carets("pack", place, "--out", out, "--json").stdout)
        packages.append(Path(packed["file"]).read_bytes())
    assert packages[0] == packages[1]


def _copy(folder: Path, to: Path) -> Path:
    """The same files, made in another order and at another time."""
    for file in sorted(folder.rglob("*"), reverse=True):
        if file.is_file():
            target = to / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return to


def test_from_new_to_verified(tmp_path: Path) -> None:
    made = _carets("new", "ann/hello", "--out", tmp_path, "--json")
    folder = Path(json.loads(made.stdout)["folder"])
    assert made.returncode == 0 and (folder / "player.py").exists()
    first = json.loads(_carets("pack", folder, "--out", tmp_path, "--json").stdout)
    package = Path(first["file"])
    unsigned = package.read_bytes()
    assert package.name == "ann-hello-0.1.0.symphony" and not first["signed"]
    assert _carets("verify", package).returncode == 1
    signed = _carets("sign", package, "--key", tmp_path / "key", "--json")
    public = json.loads(signed.stdout)["key"]
    verified = _carets("verify", package, "--key", public, "--json")
    assert json.loads(verified.stdout)["files"] == [
        "Symphony.toml",
        "melody.yaml",
        "player.py",
        "tests/test_player.py",
    ]
    assert _carets("pack", folder, "--out", tmp_path).returncode == 0
    assert package.read_bytes() == unsigned
    data = bytearray(unsigned)
    data[len(data) // 2] ^= 1
    package.write_bytes(data)
    assert _carets("verify", package).returncode in (1, 2)


def test_carets_test_says_what_is_wrong(tmp_path: Path) -> None:
    _carets("new", "ann/hello", "--out", tmp_path)
    folder = tmp_path / "hello"
    player = folder / "player.py"
    source = player.read_text()
    for broken, part in (
        (source.replace("most_common(most)", "items()"), "tests fail"),
        (
            source.replace("def count_words", "def count_word"),
            "declares count_words, the entry has count_word",
        ),
        (source + "\nraise ValueError('no')", "ValueError: no"),
    ):
        player.write_text(broken)
        done = _carets("test", folder)
        assert done.returncode == 1 and part in done.stderr, done.stderr


def test_errors_are_one_line(tmp_path: Path) -> None:
    for arguments, part in (
        (("new", "Bad Name"), "is no extension name"),
        (("pack", tmp_path / "none"), "is no folder"),
        (("test", tmp_path / "none"), "no such manifest"),
        (("verify", tmp_path / "none.symphony"), "no such package"),
    ):
        done = _carets(*arguments)
        assert done.returncode == 2 and part in done.stderr and "Traceback" not in done.stderr
