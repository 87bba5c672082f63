"""The workflow model: building, validating, reading, writing and keeping melodies."""

from symphony.melody.builder import WorkflowBuilder
from symphony.melody.control import CONTROL_PLAYERS
from symphony.melody.model import FORMAT, Edge, Melody, Node, Resources, Retry

__all__ = ["CONTROL_PLAYERS", "FORMAT", "Edge", "Melody", "Node", "Resources", "Retry", "WorkflowBuilder"]
