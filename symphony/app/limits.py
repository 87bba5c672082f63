"""What a melody is held against before it plays, and a Player while it does: this machine's resources, the settings,
and what is installed and granted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pit_native import graphics_processors
from symphony.app.catalogue import Catalogue
from symphony.config import Configuration
from symphony.melody.findings import Limits
from symphony.melody.model import Melody
from symphony.melody.validation import validate
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember, PlayerLimits


def play_limits(configuration: Configuration, members: Iterable[CastMember]) -> Limits:
    """The limits of the settings, and version and missing grants of every extension that may play."""
    get = configuration.get
    versions, missing = {}, {}
    for member in members:
        versions[member.name] = member.version
        lacking = Grants(list(member.granted)).widened_by(member.manifest.grants())
        if lacking:
            missing[member.name] = lacking
    return Limits(
        max_nodes=get("engine.max_nodes"),
        max_edges=get("engine.max_edges"),
        cpu=get("pit.arbitration.cpu"),
        memory=get("pit.arbitration.memory"),
        gpu=graphics_share(configuration),
        versions=versions,
        missing_permissions=missing,
    )


def player_limits(configuration: Configuration) -> PlayerLimits:
    """The settings that hold for every Player."""
    return PlayerLimits(
        start_timeout=configuration.get("stage.player.start_timeout"),
        idle=configuration.get("stage.player.idle"),
        allow_missing=tuple(configuration.get("stage.sandbox.allow_missing")),
        memory=configuration.get("stage.player.memory"),
        cpu=configuration.get("stage.player.cpu"),
    )


def graphics_share(configuration: Configuration) -> float:
    """How many GPUs all nodes share: what is set, else all that there are."""
    wanted = configuration.get("pit.arbitration.gpu")
    return float(graphics_processors()["devices"] if wanted == "all" else wanted)


def findings_of(melody: Melody, catalogue: Catalogue, limits: Limits) -> list[dict[str, Any]]:
    """Every finding; one about an extension that is there but switched off says so."""
    disabled = set(catalogue.disabled)
    by_id = {node.id: node.extension for node in melody.nodes}
    found = []
    for finding in validate(melody, catalogue.players, catalogue.lattice, limits=limits):
        extension = by_id.get(finding.node or "", "")
        if finding.code == "unknown_player" and extension in disabled:
            finding = replace(
                finding,
                message=f"{extension} is disabled",
                remedy=f"run `symphony ext enable {extension}` or enable it in the Marketplace",
            )
        found.append(finding.to_json())
    return found
