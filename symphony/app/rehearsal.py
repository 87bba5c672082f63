"""The rehearsal: starts each enabled Player once in its sandbox, as a run would, and says what went wrong."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

from pit_native import ArbitrationEngine, ArtifactStore, Runtime, StaleManager
from symphony.app.extensions import Extensions
from symphony.app.leftovers import stages_of, sweep_rehearsals
from symphony.app.limits import player_limits
from symphony.app.paths import launcher
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.stage.roster import CastMember, PlayerLimits, Roster

START_SECONDS = 20.0
BELIEVED = 60.0
"""Seconds for which a rehearsal that went well is believed: every visit of the settings asks for one."""

_alone = threading.Lock()
_went_well: dict[tuple[str, ...], float] = {}
"""Which cast started without trouble, and when (monotonic)."""


def rehearse(home: Home) -> dict[str, str]:
    """Extension → what kept its Player from starting, "" when it did. Uses a stage of its own, so that it
    works beside a running host.
    """
    configuration = Configuration.load(home=home)
    # Read only: the host of this home may be changing its extensions just now, and alone may tidy them.
    extensions = Extensions(home, configuration)
    try:
        members = [member for member in extensions.cast() if member.manifest.extension.runtime != "motif"]
    finally:
        extensions.close()
    limits = player_limits(configuration)
    cast = (
        str(home.path),
        str(limits),
        *(f"{member.name} {member.version} {member.directory}" for member in members),
    )
    with _alone:
        if time.monotonic() - _went_well.get(cast, -BELIEVED) < BELIEVED:
            return {member.name: "" for member in members}
        answers = _start_all(home, limits, members)
        _went_well.clear()
        if not any(answers.values()):
            _went_well[cast] = time.monotonic()
    return answers


def _start_all(home: Home, limits: PlayerLimits, members: list[CastMember]) -> dict[str, str]:
    sweep_rehearsals(home)
    stages = stages_of(home)
    stages.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=stages) as folder:
        place = Path(folder)
        store = ArtifactStore(str(place / "store"))
        runtime = Runtime(
            store,
            StaleManager({}),
            ArbitrationEngine({"cpu": 8.0, "memory": float(64 << 30)}),
            launcher=str(launcher()),
            sockets=str(place),
        )
        try:
            roster = Roster(runtime, lambda: limits)
            roster.cast(members)
            keys = {roster.key(member.name, None): member.name for member in members}
            runtime.prewarm(list(keys))
            return {keys[key]: trouble for key, trouble in _await_all(runtime, list(keys)).items()}
        finally:
            runtime.stop(5.0)
            store.close()


def _await_all(runtime: Runtime, keys: list[str]) -> dict[str, str]:
    """Follows the Players' events until each is ready or has failed."""
    import select

    open_keys, answers = set(keys), {}
    deadline = time.monotonic() + START_SECONDS
    while open_keys and time.monotonic() < deadline:
        select.select([runtime.fileno()], [], [], deadline - time.monotonic())
        for event in runtime.drain(1024):
            if event["event"] == "player" and event["key"] in open_keys:
                if event["state"] == "ready":
                    answers[event["key"]] = ""
                elif event.get("reason"):
                    answers[event["key"]] = str(event["reason"])
                open_keys -= answers.keys()
    answers.update(dict.fromkeys(open_keys, f"it did not start within {START_SECONDS:g} s"))
    return answers
