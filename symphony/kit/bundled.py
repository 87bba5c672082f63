"""Where the extensions that come with Symphony lie, and how a folder of extensions is read."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

from symphony.stage.manifest import FILE_NAME

VARIABLE = "SYMPHONY_BUNDLED"
"""Environment variable that names another folder of bundled extensions."""


def bundled_folder() -> Path:
    """`extensions/` of the checkout, or of an installed distribution `share/symphony/extensions`."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    checkout = Path(__file__).resolve().parents[2] / "extensions"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "symphony" / "extensions"


@lru_cache(maxsize=16)
def find_extensions(folder: Path) -> tuple[Path, ...]:
    """The folders directly below `folder` that hold a manifest, by name; read once a process."""
    return tuple(sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}")))
