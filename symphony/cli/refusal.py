"""What the command line says when the installed Players cannot do what was asked."""

from __future__ import annotations

from typing import Any

from symphony.errors import NotPossible


def refusal(answer: dict[str, Any]) -> NotPossible:
    """The error for a `compose` answer that is not possible: what is missing, and what would help."""
    extensions = answer["extensions"]
    remedy = (
        f"`symphony ext install {extensions[0]}` may help"
        if extensions
        else "`symphony ext list` shows what the installed Players can do"
    )
    return NotPossible(
        f"Not possible with what is installed: {', '.join(answer['missing'])}",
        remedy=remedy,
        findings=[{"message": f"missing: {m}"} for m in answer["missing"][1:]],
    )
