"""The Conductor: a prompt and its context in, a valid Melody out."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conductor.context import ComposeContext, Composition, ProjectFacts
    from conductor.core import Conductor

# ONNX Runtime sends what it runs to its maker, and writes outside of the home, unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["ComposeContext", "Composition", "Conductor", "ProjectFacts"]


def __getattr__(name: str) -> Any:
    """The names above, loaded when they are first asked for: numpy must not stand before the first page."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from conductor import context, core

    found = core.Conductor if name == "Conductor" else getattr(context, name)
    globals()[name] = found
    return found
