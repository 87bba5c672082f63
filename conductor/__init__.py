"""The Conductor: a prompt and its context in, a valid Melody out."""

from conductor.context import ComposeContext, Composition, ProjectFacts
from conductor.core import Conductor

__all__ = ["ComposeContext", "Composition", "Conductor", "ProjectFacts"]
