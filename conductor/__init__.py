"""The Conductor: a prompt and its context in, a valid Melody out."""

import os

from conductor.context import ComposeContext, Composition, ProjectFacts
from conductor.core import Conductor

# ONNX Runtime sends what it runs to its maker, and writes outside of the home, unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["ComposeContext", "Composition", "Conductor", "ProjectFacts"]
