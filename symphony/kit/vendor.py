"""Fills `vendor/` of extensions from their `requirements.lock`: `python -m symphony.kit.vendor EXT_DIR...`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from symphony.errors import EnvironmentLacks, SymphonyError

LOCK = "requirements.lock"
FOLDER = "vendor"
STAMP = ".stamp"


def vendor(extension: Path) -> bool:
    """Brings `vendor/` up to date; answers whether there was something to do.

    Packages come with the hashes of the lock, without dependencies of their own, for the lock names
    all. Raises EnvironmentLacks when that fails; then the old folder is still there.
    """
    lock = extension / LOCK
    target = extension / FOLDER
    if not lock.is_file():
        return False
    wanted = stamp(lock)
    try:
        if (target / STAMP).read_text("ascii") == wanted:
            return False
    except OSError:
        pass  # never filled, or broken off: fill it
    fresh = extension / f".{FOLDER}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    command = [
        *(_uv(), "pip", "install", "--quiet", "--python", sys.executable),
        *("--target", str(fresh), "--require-hashes", "--no-deps", "--link-mode", "copy"),
        # A Player cannot write bytecode: its folder is read-only.
        *("--compile-bytecode", "-r", str(lock)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        cause = (done.stderr.strip() or "uv failed").splitlines()[-1]
        raise EnvironmentLacks(f"{lock}: {cause}", remedy="check the connection to the package index")
    fresh.mkdir(exist_ok=True)
    (fresh / STAMP).write_text(wanted, "ascii")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return True


def stamp(lock: Path) -> str:
    """What `vendor/` depends on: the lock and the interpreter's version."""
    digest = hashlib.sha256(lock.read_bytes())
    digest.update(f"{sys.implementation.cache_tag} {sys.platform}".encode())
    return digest.hexdigest()


def _uv() -> str:
    beside = Path(sys.prefix) / "bin" / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise EnvironmentLacks("uv is not installed", remedy="install requirements/build.lock into .venv")
    return found


def main(arguments: Sequence[str]) -> int:
    """The command; a folder of extensions stands for all of them."""
    for argument in arguments:
        folder = Path(argument)
        locks = [folder / LOCK] if (folder / LOCK).exists() else sorted(folder.glob(f"*/{LOCK}"))
        for lock in locks:
            try:
                if vendor(lock.parent):
                    print(f"{lock.parent / FOLDER}: filled")
            except SymphonyError as error:
                print(error, file=sys.stderr)
                return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
