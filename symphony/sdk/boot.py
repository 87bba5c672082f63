"""The first file that a Player process runs: it prepares the import path and runs the entry as `__main__`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False


def _library() -> str:
    """The folder that holds the SDK and its one dependency."""
    return os.path.abspath(__file__).rsplit(os.sep, 3)[0]  # noqa: PTH100


def prepare_path(entry: str) -> None:
    """Puts the SDK, then the extension's vendored packages, then the extension itself on the path."""
    extension = os.path.dirname(os.path.abspath(entry))  # noqa: PTH100, PTH120
    sys.path[:0] = [_library(), os.path.join(extension, "vendor"), extension]  # noqa: PTH118


def run_entry(entry: str) -> BaseException | None:
    """Runs the entry file as `__main__`; gives what it raised. Does not return when the entry served."""
    module = type(sys)("__main__")
    module.__file__ = entry
    sys.modules["__main__"] = module
    sys.argv = [entry]
    try:
        with open(entry, "rb") as file:  # noqa: PTH123
            code = compile(file.read(), entry, "exec", dont_inherit=True)
        exec(code, module.__dict__)
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
    broken = run_entry(entry)
    from symphony.sdk.player import player
    from symphony.sdk.service import serve

    serve(player, broken)


if __name__ == "__main__":
    main()
