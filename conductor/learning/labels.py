"""What a correction says of the decisions before it: which choice would have been right in each state. Pure."""

from __future__ import annotations

from collections.abc import Sequence

STOP = "stop"


def right_actions(choices: Sequence[tuple[Sequence[str], str]], wanted: Sequence[str]) -> list[str | None]:
    """For each decision the action that leads to the Players that the user wanted, or None where none could.

    Args:
        choices: what the masks allowed and what was chosen, in order.
        wanted: the Players of the Melody as the user left it.

    A choice that the user kept was right. One that the user took out stands for the first wanted Player that
    could be added and was not yet there; when there is none, stopping was right.
    """
    found: list[str | None] = []
    there: set[str] = set()
    for allowed, action in choices:
        missing = [name for name in allowed if name in wanted and name not in there and name != STOP]
        if action in wanted and action not in there:
            right: str | None = action
        elif missing:
            right = missing[0]
        else:
            right = STOP if STOP in allowed else None
        found.append(right)
        there.add(action)
    return found
