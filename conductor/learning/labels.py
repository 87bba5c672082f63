"""What a correction says of the decisions before it: which choices would have been right in each state. Pure."""

from __future__ import annotations

from collections.abc import Sequence

STOP = "stop"


def right_actions(
    choices: Sequence[tuple[Sequence[str], str]], wanted: Sequence[str]
) -> list[tuple[str, ...]]:
    """For each decision the actions that lead to the Players that the user wanted, none where none could.

    Args:
        choices: what the masks allowed and what was chosen, in order.
        wanted: the Players of the Melody as the user left it.

    Every wanted Player that could be added and was not yet there was right, whichever comes first: whoever is taught
    one order of many unlearns the others. When there is none, stopping was right.
    """
    found: list[tuple[str, ...]] = []
    there: set[str] = set()
    for allowed, action in choices:
        missing = [name for name in allowed if name in wanted and name not in there and name != STOP]
        found.append(tuple(missing) or ((STOP,) if STOP in allowed else ()))
        there.add(action)
    return found
