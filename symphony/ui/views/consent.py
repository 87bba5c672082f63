"""The question before a Melody starts programs: what it wants to run, to be allowed or not."""

from __future__ import annotations

from typing import Any

from symphony.errors import PermissionDenied
from symphony.ui.node import Node, h
from symphony.ui.state import Question


def questions(error: PermissionDenied) -> list[str]:
    """What is asked, in words. Raises `error` again when it is no question but a refusal."""
    if error.code != "consent_needed":
        raise error
    return [str(item.get("message", item)) for item in error.findings] or [error.message]


def dialog(question: Question, element: str, label: str) -> Node:
    """The dialog; `element` is the stem of its keys, `label` what the button that allows says."""
    asked: list[Any] = question.data["questions"]
    return h(
        "Dialog",
        h("Bullets", items=[str(item) for item in asked]),
        h(
            "Line",
            h("Button", key=f"{element}.go", label=label, variant="primary"),
            h("Button", key=f"{element}.cancel", label="Cancel", variant="ghost"),
        ),
        key=f"dialog.{element}",
        title="Permissions",
        text="This Melody asks before it plays:",
    )
