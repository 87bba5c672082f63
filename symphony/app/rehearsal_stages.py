"""Where rehearsals take place, and what those leave whose process was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

from symphony.config.home import Home


def stages_of(home: Home) -> Path:
    """The folder of all rehearsals; each has one of its own, named by its process."""
    return home.cache / "rehearsals"


def sweep(home: Home) -> None:
    """Removes what is left of rehearsals whose process has ended."""
    for stage in stages_of(home).glob("*-*"):
        if not Path(f"/proc/{stage.name.partition('-')[0]}").exists():
            shutil.rmtree(stage, ignore_errors=True)
