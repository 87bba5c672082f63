"""Requests as developers word them: parts of them to learn from and to be measured by, and as levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from conductor.draft import Typing
from conductor.episode import Role
from conductor.past import Request
from conductor.training.levels import Level, World
from symphony.types.players import FunctionSpec

HELD = 7
"""Every so many-th request is held out when what is learnt is measured."""


def parted(requests: Sequence[Request]) -> tuple[list[Request], list[Request]]:
    """The requests to learn from, and those held out."""
    train = [one for place, one in enumerate(requests) if place % HELD]
    return train, list(requests[::HELD])


def folds(requests: Sequence[Request], count: int) -> Iterator[tuple[list[Request], list[Request]]]:
    """The requests in so many parts, each with all others."""
    for fold in range(count):
        yield list(requests[fold::count]), [o for place, o in enumerate(requests) if place % count != fold]


def levels_of(requests: Sequence[Request], world: World) -> list[Level]:
    """The requests that this world's Players serve, as levels: sources before what works on their results."""
    typing = Typing(world.lattice)
    known = {spec.player: spec for spec in world.functions}
    roles = {player: Role(spec, typing) for player, spec in known.items()}
    return [
        Level(one.prompt, _in_order(one.players, known, roles, typing))
        for one in requests
        if one.players and not one.missing and all(player in known for player in one.players)
    ]


def _in_order(
    players: Sequence[str], known: Mapping[str, FunctionSpec], roles: Mapping[str, Role], typing: Typing
) -> dict[str, tuple[str, ...]]:
    """For each Player those that must stand before: what feeds it, of those that are named before it."""
    targets: dict[str, tuple[str, ...]] = {}
    for place, player in enumerate(players):
        spec, role = known[player], roles[player]
        wanted = [spec.inputs[port] for port in role.required or role.optional]
        before = [
            other
            for other in players[:place]
            if any(typing.feeds(made, t) for made in known[other].outputs.values() for t in wanted)
        ]
        # What joins two results may be chosen first: the steps before it come by themselves.
        targets[player] = () if role.is_merger and not role.generic else tuple(before)
    return targets
