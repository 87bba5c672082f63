"""The Pit and its company: native modules that run in the host's process. `pit_native.pyi` is their manual."""

from pit_native.pit_native import *  # noqa: F403
from pit_native.pit_native import __all__ as __all__
