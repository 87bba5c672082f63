"""Parts of the host that are put together from several others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from symphony.app.actions import Actions, Restorable
from symphony.app.changes import Changes
from symphony.app.extensions import Extensions
from symphony.app.hub import Hub
from symphony.app.learning.learner import Learner
from symphony.app.learning.service import Learning
from symphony.app.local_models import LocalModels
from symphony.app.orchestration import Orchestration, Rules
from symphony.app.paths import bundled_extensions
from symphony.app.pit import Pit
from symphony.app.planning import ConductorFiles, Planner
from symphony.app.reconfiguration import Reconfiguration
from symphony.app.states import ChangeStates, MelodyStates, RatingStates, SettingStates
from symphony.app.tiering import Tiers
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.engine.engine import Engine
from symphony.engine.figures import Figures
from symphony.engine.history import History
from symphony.errors import NotFound
from symphony.melody.store import PolyphonyStore
from symphony.stage.roster import Roster


def orchestration_of(
    home: Home, configuration: Configuration, pit: Pit, history: History, figures: Callable[[], Figures]
) -> Orchestration:
    """The decisions while Melodies play, with the documents that they are made from."""
    get = configuration.get

    def room() -> int:
        return int(get("pit.pool.capacity")) // 2 if get("pit.pool.predict") else 0

    rules, tries = Rules(home, configuration), home.path / "tries.json"
    return Orchestration(rules, tries, lambda: pit.arbiter.fairness(), figures, history, room)


def planner_of(
    files: ConductorFiles,
    extensions: Extensions,
    models: LocalModels,
    learning: Learning,
    orchestration: Orchestration,
    configuration: Configuration,
) -> Planner:
    """What composes, with all that it may count on."""
    means, templates = orchestration.means, orchestration.rules.templates
    return Planner(
        files,
        extensions.catalogue,
        configuration.is_set,
        models.encoder,
        learning.weights,
        means,
        templates,
        learning.past,
    )


def learning_of(
    home: Home,
    configuration: Configuration,
    files: ConductorFiles,
    history: History,
    hub: Hub,
    engine: Engine,
) -> Learning:
    """What learns from decisions while nothing plays."""
    return Learning(
        home.learning,
        files.weights,
        configuration,
        history,
        hub.emit,
        Learner(bundled_extensions(), files.encoder),
        lambda: bool(engine.playing()),
    )


def actions_of(
    extensions: Extensions,
    configuration: Configuration,
    reconfiguration: Reconfiguration,
    melodies: PolyphonyStore,
    changes: Changes,
    learning: Learning,
    history: History,
    hub: Hub,
) -> Actions:
    """The history of actions, with all that can be undone."""
    kinds: dict[str, Restorable] = {
        "setting": SettingStates(configuration, reconfiguration.changed),
        "melody": MelodyStates(melodies, lambda: hub.emit({"event": "melodies"})),
        "extension": extensions.states,
        "changes": ChangeStates(changes),
        "rating": RatingStates(learning),
    }

    def status_of(run: str) -> str:
        try:
            return history.get(run).info.status
        except NotFound:
            return ""

    return Actions(extensions.actions, kinds, hub.emit, status_of)


def what_makes_settings_hold(
    configuration: Configuration, pit: Pit, roster: Roster, tiers: Tiers
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Beginning of keys → what makes a new value hold where it was read at the start."""

    async def choose() -> None:
        pit.choose(configuration.get("pit.arbitration.strategy"))

    return {
        "pit.arbitration.strategy": choose,
        "stage.player.": lambda: asyncio.to_thread(roster.renew),
        "pit.stale.": tiers.reread,
    }


def casting(
    extensions: Extensions, roster: Roster, pit: Pit, hub: Hub, is_barred: Callable[[str], bool]
) -> tuple[Callable[[], None], Callable[[str], None]]:
    """Tells roster and Pit who may play now; and switches an extension off, which tells them, too."""

    def recast() -> None:
        members = [m for m in extensions.cast() if not is_barred(m.name)]
        roster.cast(members)
        pit.declare_types(member.manifest.types for member in members)
        hub.emit({"event": "extensions"})

    def disable(extension: str) -> None:
        try:
            extensions.installer.disable(extension)
        finally:
            extensions.changed()
            recast()

    return recast, disable


def told_of_changes(hub: Hub, learning: Learning) -> Callable[[dict[str, Any]], None]:
    """Tells watchers and the learner what became of changes to a project."""

    def changed(event: dict[str, Any]) -> None:
        hub.emit(event)
        learning.follow(event)

    return changed
