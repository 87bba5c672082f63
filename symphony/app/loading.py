"""The host's modules, loaded at one go: what they make stays for the life of the process."""

from __future__ import annotations

import gc
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.app.host import Host


def load_host(*, page: bool = False) -> type[Host]:
    """The class of the host; with `page` the page's server is loaded with it.

    Six hundred modules make ninety thousand objects of which none becomes garbage, and the collector would look
    through all of them again and again: it rests while they are loaded and leaves them out from then on.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        from symphony.app.host import Host

        if page:
            importlib.import_module("symphony.app.server")
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
    return Host
