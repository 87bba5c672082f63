"""What a killed process leaves in the home beside its files, and its removal at the next start."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from symphony.config.home import Home

_HALF_WRITTEN = re.compile(r"\..+\.[a-z0-9_]{8}")
"""As `write_atomically` calls what is to replace a file."""


def stages_of(home: Home) -> Path:
    """The folder of all rehearsals; each has one of its own, named by its process."""
    return home.cache / "rehearsals"


def sweep(home: Home) -> None:
    """Removes stages of rehearsals whose process has ended, and files that were to replace others and never did. Only
    for the host, before any part of it writes.
    """
    sweep_rehearsals(home)
    for folder in (
        home.path,
        home.extensions,
        home.cache,
        *home.path.glob("*-key"),
        *home.path.glob("learning"),
    ):
        with contextlib.suppress(OSError):
            for file in folder.iterdir():
                if _HALF_WRITTEN.fullmatch(file.name) and file.is_file():
                    file.unlink()


def sweep_rehearsals(home: Home) -> None:
    """Removes stages of rehearsals whose process has ended."""
    for stage in stages_of(home).glob("*-*"):
        if not Path(f"/proc/{stage.name.partition('-')[0]}").exists():
            shutil.rmtree(stage, ignore_errors=True)
