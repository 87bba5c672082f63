"""The host: all components, started in phases, behind the methods of the HostPort."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony.app.assembly import (
    actions_of,
    casting,
    learning_of,
    orchestration_of,
    planner_of,
    told_of_changes,
    what_makes_settings_hold,
)
from symphony.app.audit_keys import audit_source
from symphony.app.bootstrap import Bootstrap, Phase, StartPolicy
from symphony.app.broker import build_broker
from symphony.app.changes import Changes
from symphony.app.component_settings import SECTIONS, check_enabled, start_policy
from symphony.app.components import Components, nodes_that_play
from symphony.app.extensions import Extensions
from symphony.app.hub import Hub
from symphony.app.learning.methods import LearningMethods
from symphony.app.leftovers import sweep
from symphony.app.limits import player_limits
from symphony.app.local_models import LocalModels
from symphony.app.lock import HomeLock
from symphony.app.memory import give_back_what_is_free
from symphony.app.meters import Meters
from symphony.app.methods.actions import ActionMethods
from symphony.app.methods.changes import ChangeMethods
from symphony.app.methods.extensions import ExtensionMethods
from symphony.app.methods.grants import GrantMethods
from symphony.app.methods.melodies import MelodyMethods
from symphony.app.methods.motifs import MotifMethods
from symphony.app.methods.projects import ProjectMethods
from symphony.app.methods.settings import SettingMethods
from symphony.app.methods.tiers import TierMethods
from symphony.app.parts import LoopPart, Part
from symphony.app.paths import (
    conductor_files,
    launcher,
    page_files,
    template_library,
)
from symphony.app.pit import Pit
from symphony.app.player_changes import PlayerChanges
from symphony.app.player_template import WarmTemplate
from symphony.app.project import look_at
from symphony.app.reconfiguration import Reconfiguration
from symphony.app.repertoire import Repertoire
from symphony.app.run_trees import RunTrees
from symphony.app.scoring import Scoring
from symphony.app.services import Services
from symphony.app.supervision import Supervision
from symphony.app.tiering import AnyTier, Tiers
from symphony.app.waits import Waits
from symphony.app.wire import WireServer
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.engine.disk import explain
from symphony.engine.engine import Engine
from symphony.engine.history import History
from symphony.errors import SymphonyError
from symphony.melody.store import PolyphonyStore
from symphony.ports.component import AsyncComponent, Status
from symphony.stage.audit import AuditLog
from symphony.stage.roster import Roster
from symphony.telemetry import setup_logging

if TYPE_CHECKING:
    from symphony.app.server import PageServer
    from symphony.ui.page import Pages

log = logging.getLogger(__name__)

FIRST_PAGE = 2.0
"""Seconds for which the Conductor waits for a page to be shown, before it is loaded anyway."""


class Host(
    ProjectMethods,
    MelodyMethods,
    TierMethods,
    ChangeMethods,
    GrantMethods,
    LearningMethods,
    ExtensionMethods,
    MotifMethods,
    SettingMethods,
    ActionMethods,
):
    """One host on one home. `page` is the address to serve the page on; None serves commands only."""

    def __init__(
        self,
        home: Home,
        *,
        lock: HomeLock,
        page: tuple[str, int] | None = None,
        project: Path | None = None,
    ) -> None:
        self._home = home
        self._lock = lock
        self._page_at = page
        self._project = project
        self._page: PageServer | None = None
        self._pages: Pages | None = None
        self._planning: asyncio.Task[None] | None = None
        self._bootstrap = Bootstrap(self._policy)
        self._configuration: Configuration | None = None
        self._followers: list[Callable[[dict[str, Any]], None]] = []
        self.services: Services

    @property
    def address(self) -> str:
        """Where the page is, with its token."""
        assert self._page is not None
        return self._page.address

    async def start(self) -> None:
        """Starts everything; on failure all that was started is stopped and the lock given back."""
        give_back_what_is_free()
        try:
            await self._start()
        except OSError as error:
            await self._bootstrap.stop()
            self._lock.release()
            raise explain(error, self._home.path) from error
        except BaseException:
            await self._bootstrap.stop()
            self._lock.release()
            raise

    async def _start(self) -> None:
        home = self._home
        home.create()
        home.write_address(None)  # a killed host leaves that of its page
        await asyncio.to_thread(sweep, home)
        project = self._project or (home.last_project() if self._page_at else None)
        configuration = self._configure(project)
        extensions = Extensions(home, configuration)
        pit = Pit(home, configuration, launcher())
        await self._bootstrap.start(
            [
                Phase(
                    "foundation",
                    [
                        Part("configuration", looking=lambda: _read_again(home, configuration.project)),
                        Part("extensions", extensions.open, extensions.close, extensions.look),
                    ],
                ),
                Phase("bus", [pit.bus]),
                Phase("the Pit", pit.modules),
            ]
        )
        self.services = services = self._assemble(configuration, extensions, pit)
        services.recast()
        if project is not None and project.is_dir():
            services.view = await asyncio.to_thread(look_at, project)
            # A Player that is known to the pool is warmed when it is expected.
            for extension in pit.expected_extensions():
                if extension in services.roster.versions():
                    services.roster.key(extension, project)
        await self._bootstrap.start(self._upper_phases(services))
        for component, seconds in self._bootstrap.seconds.items():
            services.meters.observe(SECTIONS[component], f"start.{component}", seconds)
        pit_registration = asyncio.to_thread(pit.register_artifacts)
        self._registering = asyncio.create_task(pit_registration)
        if self._page is not None:
            home.write_address(self._page.address)
            if configuration.get("conductor.enabled"):
                self._planning = asyncio.create_task(self._begin_planning())

    def _configure(self, project: Path | None) -> Configuration:
        home = self._home
        self._configuration = configuration = Configuration.load(home=home, project=project)
        setup_logging(
            home,
            "host",
            configuration.get("logging.level"),
            max_bytes=configuration.get("logging.max_bytes"),
            backups=configuration.get("logging.backups"),
        )
        check_enabled(configuration)
        return configuration

    def _assemble(self, configuration: Configuration, extensions: Extensions, pit: Pit) -> Services:
        """What works on top of the Pit. Nothing of it has started yet."""
        home, hub, meters = self._home, Hub(), Meters(configuration)
        meters.attach("pit.pool", pit.pool_figures)
        history, melodies = History(home.runs), PolyphonyStore(home.state)
        audit = AuditLog(home.audit, audit_source(configuration.get("pit.store.encryption")))
        files = conductor_files(home, configuration.get("conductor.encoder"))
        idle = configuration.get("pit.pool.model_idle")
        models = LocalModels(pit.runtime, idle, lambda: orchestration.rules.local_models())
        self._template = WarmTemplate(configuration, launcher(), template_library())
        roster = Roster(pit.runtime, lambda: player_limits(configuration), self._template.native)
        scoring = Scoring(lambda: pit.store, hub.emit)
        waits = Waits(lambda limit: pit.arbiter.explain(limit), history.get, self._tell)
        recast, disable = casting(extensions, roster, pit, hub, lambda name: supervision.is_barred(name))

        def gives_up(extension: str) -> None:
            disable(extension)
            actions.note("extension", extension, f"Switched {extension} off: it kept crashing", by="Symphony")

        supervision = Supervision(home.path, configuration, gives_up, roster.knows, hub.emit, roster.find)
        orchestration = orchestration_of(home, configuration, pit, history, lambda: engine.figures)
        engine = Engine(
            pit.runtime,
            history,
            pool_key=lambda *asked: services.trees.pool_key(*asked),
            versions=roster.versions,
            emit=self._tell,
            on_request=lambda event: self._broker.handle(event),
            on_withdrawn=lambda request: self._broker.withdraw(request),
            on_ui=lambda event: services.components.shown(event),
            on_step=lambda step: self._player_changes.step(step),
            node_timeout=lambda: configuration.get("engine.node_timeout"),
            find_melody=lambda name, version: asyncio.to_thread(melodies.show, name, version),
            bring_back=lambda id: tiers.bring_back(id),
            counts_nodes=pit.counts_nodes,
            grants=roster.granted_to,
            decisions=orchestration,
        )
        tiers = Tiers(home, configuration, pit, history, engine)
        learning = learning_of(home, configuration, files, history, hub, engine)
        changes = Changes(home.runs, AnyTier(pit.store, tiers), told_of_changes(hub, learning), configuration)
        holds = what_makes_settings_hold(configuration, pit, roster, tiers)
        reconfiguration = Reconfiguration(configuration, extensions, recast, hub.emit, holds)
        kept = (melodies, changes, learning, history)
        actions = actions_of(extensions, configuration, reconfiguration, *kept, hub)
        tiers.removed = actions.note_removed
        trees = RunTrees(lambda: pit.runtime, roster, changes, history, engine.has_finished)
        services = Services(
            home=home,
            configuration=configuration,
            reconfiguration=reconfiguration,
            hub=hub,
            actions=actions,
            extensions=extensions,
            planner=planner_of(files, extensions, models, learning, orchestration, configuration),
            pit=pit,
            history=history,
            melodies=melodies,
            repertoire=Repertoire(melodies, configuration, extensions),
            audit=audit,
            roster=roster,
            engine=engine,
            components=Components(engine, hub.emit, nodes_that_play(engine, history)),
            meters=meters,
            tiers=tiers,
            changes=changes,
            trees=trees,
            supervision=supervision,
            learning=learning,
            recast=recast,
            health=self._bootstrap.health,
        )
        learning.adopted = services.planner.adopt
        extensions.states.changed = self.restored
        changes.taking = lambda one: self._take(one, by="Symphony")
        self._player_changes = PlayerChanges(lambda: pit.runtime, roster, changes, trees)
        self._broker = build_broker(services, self._call_other, self._player_changes.capabilities())
        followers = (meters, scoring, services.components, learning, orchestration, waits, supervision, trees)
        self._followers = [hub.emit, *(one.follow for one in followers), self._player_changes.follow]
        return services

    def _tell(self, event: dict[str, Any]) -> None:
        """Hands an event of the engine to everybody who follows what plays."""
        for follow in self._followers:
            follow(event)

    def _upper_phases(self, services: Services) -> list[Phase]:
        """Engine, Conductor, and what others reach the host by."""
        history, audit, get = services.history, services.audit, services.configuration.get
        engine: list[AsyncComponent] = [
            Part("history", history.open, looking=history.look),
            Part("audit log", closing=audit.close, looking=audit.look),
            Part("supervision", closing=services.supervision.close),
            LoopPart("engine", services.engine),
            LoopPart("components", services.components),
            LoopPart("actions", services.actions),
            LoopPart("tiers", services.tiers),
            services.learning,
        ]
        surface: list[AsyncComponent] = [
            self._template,
            LoopPart("broker", self._broker),
            LoopPart("settings", services.reconfiguration),
            LoopPart("socket", WireServer(self, self._home.socket)),
        ]
        if self._page_at is not None:
            surface.append(self._make_page(get("host.port")))
        conductor = [Phase("Conductor", [services.planner])] if get("conductor.enabled") else []
        return [Phase("engine", engine), *conductor, Phase("health and page", surface)]

    async def _begin_planning(self) -> None:
        """Loads the Conductor once a page has its first tree: both at a time would make the page wait for it."""
        assert self._pages is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pages.shown.wait(), FIRST_PAGE)
        self.services.planner.begin()

    async def stop(self) -> None:
        """Ends everything in reverse order and gives the lock back."""
        self._home.write_address(None)
        if self._planning is not None:
            self._planning.cancel()
            await asyncio.gather(self._planning, return_exceptions=True)
        await asyncio.gather(self._registering, return_exceptions=True)
        await self._player_changes.stop()
        await self.services.trees.stop()
        await self._bootstrap.stop()
        self._lock.release()

    async def runs_ended(self) -> None:
        """Waits until nothing plays any more."""
        for run in self.services.engine.playing():
            await self.services.engine.ended(run)

    def _make_page(self, usual_port: int) -> PageServer:
        from symphony.app.page_memory import SqlitePageMemory
        from symphony.app.server import PageServer
        from symphony.ui.page import Pages

        assert self._page_at is not None
        bind, port = self._page_at
        self._pages = Pages(self, SqlitePageMemory(self._home.pages))
        self._page = PageServer(
            self._pages, page_files(), bind=bind, port=port or usual_port, shown=self._template.warm
        )
        return self._page

    def _policy(self, component: str) -> StartPolicy:
        assert self._configuration is not None
        return start_policy(self._configuration, component)

    async def _call_other(
        self, player: str, params: Any, inputs: Any, project: Path | None
    ) -> dict[str, Any]:
        answer = await self.call_function(player, params, inputs, str(project) if project else None)
        outputs = answer["outputs"]
        assert isinstance(outputs, dict)
        return outputs


def _read_again(home: Home, project: Path | None) -> tuple[Status, str, str]:
    """Whether the settings on the disk can still be read."""
    try:
        Configuration.load(home=home, project=project)
    except SymphonyError as error:
        return "degraded", error.message, error.remedy
    return "ok", "", ""
