"""What a failed write to the disk means to the user."""

from __future__ import annotations

import errno
from pathlib import Path

from symphony.errors import EnvironmentLacks, StorageFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def explain(error: OSError, path: Path) -> EnvironmentLacks:
    """The error for a file that could not be written."""
    place = error.filename or path
    if error.errno in _FULL:
        return StorageFull(
            f"There is no space left for {place}", remedy="free some space; nothing that was kept is lost"
        )
    return EnvironmentLacks(
        f"{place} cannot be written: {error.strerror or error}",
        remedy="check the permissions and the disk of SYMPHONY_HOME",
    )
