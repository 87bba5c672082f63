"""Joins the broker's capabilities with the host's components."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from symphony.app.limits import player_limits
from symphony.app.paths import launcher
from symphony.app.proposing import endpoint_of
from symphony.app.services import Services
from symphony.app.tiering import AnyTier
from symphony.stage.broker import Broker, Capability
from symphony.stage.capabilities import artifacts, extensions, files, http, models, programs, tools, websocket

CallOther = Callable[[str, Any, Any, Path | None], Awaitable[dict[str, Any]]]


def build_broker(services: Services, call_other: CallOther, more: Mapping[str, Capability]) -> Broker:
    """The broker with every capability that this host offers; `more` are those of parts that nobody else needs."""

    def emit(run: str, node: str, piece: str) -> None:
        if run:
            services.hub.emit({"event": "output", "run": run, "node": node, "piece": piece})

    capabilities = {
        **files.capabilities(services.home.path / "output", services.changes.seen),
        **http.capabilities(),
        **websocket.capabilities(),
        **models.capabilities(
            lambda: endpoint_of(services.configuration),
            services.planner.embed,
            emit,
            services.supervision.ledger,
        ),
        **artifacts.capabilities(AnyTier(services.pit.store, services.tiers)),
        **extensions.capabilities(call_other),
        **programs.capabilities(
            launcher(),
            lambda: player_limits(services.configuration),
            services.changes.keep,
            services.changes.seen,
        ),
        **tools.capabilities(services.extensions.installer.ask_about_tool, services.hub.emit),
        **more,
    }
    runtime = services.pit.runtime
    return Broker(
        services.roster,
        services.audit,
        capabilities,
        runtime.respond,
        runtime.respond_error,
        runtime.charge,
        runtime.respond_piece,
        lambda method: services.meters.count("model" if method.startswith("model.") else "stage", method),
        services.supervision.ledger,
        runtime.listen,
        runtime.announce,
    )
