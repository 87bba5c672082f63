"""The requests that Symphony comes with: what was asked, and the Players that served it."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from symphony.kit.bundled import bundled_folder

if TYPE_CHECKING:
    from conductor.past import Request

log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def past_requests() -> tuple[Request, ...]:
    """Read once; none, with a warning, where the file cannot be read: they cost quality, not the Conductor."""
    from conductor.past import shipped_requests

    try:
        return tuple(shipped_requests(bundled_folder()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("The requests that Symphony comes with cannot be read: %s", error)
        return ()
