"""`carets`, as an extension's author uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def _carets(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.prefix) / "bin" / "carets"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


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
    assert json.loads(verified.stdout)["files"] == ["Symphony.toml", "player.py"]
    assert _carets("pack", folder, "--out", tmp_path).returncode == 0
    assert package.read_bytes() == unsigned
    data = bytearray(unsigned)
    data[len(data) // 2] ^= 1
    package.write_bytes(data)
    assert _carets("verify", package).returncode in (1, 2)


def test_errors_are_one_line(tmp_path: Path) -> None:
    for arguments, part in (
        (("new", "Bad Name"), "is no extension name"),
        (("pack", tmp_path / "none"), "is no folder"),
        (("verify", tmp_path / "none.symphony"), "no such package"),
    ):
        done = _carets(*arguments)
        assert done.returncode == 2 and part in done.stderr and "Traceback" not in done.stderr
