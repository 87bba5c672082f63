"""The first file that a Player process runs: it prepares the import path and runs the entry as `__main__`."""

from __future__ import annotations

import gc
import os
import sys
from _frozen_importlib_external import SourceFileLoader  # `importlib.machinery` imports more

TYPE_CHECKING = False


def _library() -> str:
    """The folder that holds the SDK and its one dependency."""
    return __file__.rsplit(os.sep, 3)[0]


def prepare_path(entry: str) -> None:
    """Puts the SDK, then the extension's vendored packages, then the extension itself on the path."""
    # The host names the entry by an absolute path; `os.path` would cost a copied Player dozens of pages.
    extension = entry.rpartition(os.sep)[0] or "."
    sys.path[:0] = [_library(), f"{extension}{os.sep}vendor", extension]


def run_entry(entry: str) -> BaseException | None:
    """Runs the entry file as `__main__`; gives what it raised. Does not return when the entry served."""
    module = type(sys)("__main__")
    module.__file__ = entry
    sys.modules["__main__"] = module
    sys.argv = [entry]
    try:
        # As an import would: compiled code that was shipped beside the entry, and is not older, is used.
        code = SourceFileLoader("__main__", entry).get_code("__main__")
        exec(code, module.__dict__)  # type: ignore[arg-type]
    except BaseException as error:
        return error
    return None


def main() -> None:
    """Runs the entry; serves for it when it did not, also when it failed, so that the host hears why."""
    native = os.environ.get("SYMPHONY_TEMPLATE")
    if native:
        sys.path.insert(0, _library())
        from symphony.sdk.template import become_player

        del sys.path[0]
        become_player(native)
    entry = os.environ.get("SYMPHONY_ENTRY")
    if not entry:
        sys.exit("SYMPHONY_ENTRY is not set: this file is started by the host")
    prepare_path(entry)
    # Nothing of what follows becomes garbage: looking for it would take a twentieth of the start.
    gc.disable()
    from symphony.sdk.player import player
    from symphony.sdk.service import serve

    gc.freeze()
    gc.enable()
    serve(player, run_entry(entry))


if __name__ == "__main__":
    main()
