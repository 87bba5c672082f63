"""What the host's methods work with: the components that the bootstrap started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.app.catalogue import Catalogue
from symphony.app.hub import Hub
from symphony.app.meters import Meters
from symphony.app.planning import Planner
from symphony.app.project import ProjectView
from symphony.config import Configuration
from symphony.config.home import Home

if TYPE_CHECKING:
    from symphony.app.actions import Actions
    from symphony.app.changes import Changes
    from symphony.app.components import Components
    from symphony.app.extensions import Extensions
    from symphony.app.learning.service import Learning
    from symphony.app.pit import Pit
    from symphony.app.reconfiguration import Reconfiguration
    from symphony.app.repertoire import Repertoire
    from symphony.app.run_trees import RunTrees
    from symphony.app.supervision import Supervision
    from symphony.app.tiering import Tiers
    from symphony.engine.engine import Engine
    from symphony.engine.history import History
    from symphony.melody.store import PolyphonyStore
    from symphony.ports.component import HealthStatus
    from symphony.stage.audit import AuditLog
    from symphony.stage.roster import Roster


@dataclass(slots=True)
class Services:
    """Filled by `symphony.app.host` in the order of the phases."""

    home: Home
    configuration: Configuration
    reconfiguration: Reconfiguration
    hub: Hub
    actions: Actions
    extensions: Extensions
    planner: Planner
    pit: Pit
    history: History
    melodies: PolyphonyStore
    repertoire: Repertoire
    audit: AuditLog
    roster: Roster
    engine: Engine
    components: Components
    meters: Meters
    tiers: Tiers
    changes: Changes
    trees: RunTrees
    supervision: Supervision
    learning: Learning
    recast: Callable[[], None]
    """Tells roster and planner that the set of extensions has changed."""

    health: Callable[[], Awaitable[list[HealthStatus]]]
    """How every started component is."""
    view: ProjectView | None = None
    """The open project."""

    def catalogue(self) -> Catalogue:
        """The Players of the enabled extensions, and those on offer."""
        return self.extensions.catalogue()

    def project(self, given: str | None) -> Path | None:
        """The folder a call names, else the open project."""
        from symphony.app.project import resolve_project

        if given:
            return resolve_project(given)
        return self.view.path if self.view else None
