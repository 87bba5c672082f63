"""The catalogue: every Player that can play now, and those that an extension of the registry would bring."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from symphony.melody.control import CONTROL_PLAYERS
from symphony.stage.manifest import Manifest
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`players` maps `publisher/extension#function` to what can play; `offered` is not installed or disabled."""

    players: dict[str, FunctionSpec]
    offered: list[FunctionSpec]
    lattice: TypeLattice
    disabled: frozenset[str] = field(default_factory=frozenset)
    """Extensions that are installed and switched off."""

    def composable(self) -> list[FunctionSpec]:
        """What the Conductor chooses from; control Players come from its own rules, not from retrieval."""
        return [spec for spec in self.players.values() if spec.kind != "control"]


def build_catalogue(
    enabled: Iterable[Manifest],
    others: Iterable[Manifest],
    *,
    disabled: Iterable[str] = (),
    cpu: float = math.inf,
    memory: float = math.inf,
) -> Catalogue:
    """Joins the manifests of enabled extensions with those that are only offered.

    `cpu` and `memory` are what the machine has: a Player that would like more gets all of it.
    """
    lattice = TypeLattice()
    players: dict[str, FunctionSpec] = dict(CONTROL_PLAYERS)
    for manifest in enabled:
        lattice.declare(manifest.types)
        for spec in manifest.functions:
            fitting = replace(spec, cpu=min(spec.cpu, cpu), memory=int(min(spec.memory, memory)))
            players[spec.player] = fitting
    offered: list[FunctionSpec] = []
    for manifest in others:
        lattice.declare(manifest.types)
        offered.extend(replace(spec, available=False) for spec in manifest.functions)
    rest = [spec for spec in offered if spec.player not in players]
    return Catalogue(players, rest, lattice, frozenset(disabled))
