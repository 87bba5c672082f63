"""Settings do what their descriptions say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from symphony.app.component_settings import NEEDED, SECTIONS, check_enabled, start_policy
from symphony.app.extensions import Extensions
from symphony.app.limits import findings_of, play_limits
from symphony.app.meters import Meters
from symphony.app.pit import Pit
from symphony.config import Configuration
from symphony.config.catalogue import catalogue
from symphony.config.home import Home
from symphony.engine.plan import PLACES
from symphony.errors import InvalidConfig
from symphony.melody.formats import from_document
from symphony.stage.roster import PlayerLimits, Roster

Json = dict[str, Any]
Run = Callable[..., Any]


def configured(home: Path, **flags: Any) -> Configuration:
    values = {key.replace("__", "."): value for key, value in flags.items()}
    return Configuration.load(home=Home(home), env={}, flags=values)


def test_each_component_starts_as_its_section_says(home: Path) -> None:
    configuration = configured(
        home,
        pit__store__timeout="7s",
        pit__store__retry_policy__attempts=5,
        pit__store__retry_policy__delay="2s",
        pit__store__retry_policy__backoff="fixed",
    )
    policy = start_policy(configuration, "artifact store")
    assert (policy.timeout, policy.attempts, policy.delay, policy.backoff) == (7.0, 5, 2.0, "fixed")
    assert start_policy(configuration, "conductor").attempts == 3


def test_every_component_has_a_section() -> None:
    for section in SECTIONS.values():
        assert f"{section}.timeout" in catalogue()


@pytest.mark.parametrize("section", NEEDED)
def test_what_is_needed_cannot_be_switched_off(home: Path, section: str) -> None:
    with pytest.raises(InvalidConfig, match=f"{section}.enabled is false"):
        check_enabled(configured(home, **{f"{section}.enabled": False}))


def test_a_host_without_what_it_needs_says_so(symphony: Run) -> None:
    done = symphony("runs", "list", SYMPHONY_ENGINE__ENABLED="false")
    assert done.code == 2
    assert "engine.enabled" in done.err and "Traceback" not in done.err


def test_a_conductor_that_is_switched_off(symphony: Run, tmp_path: Path) -> None:
    done = symphony("run", "list files", "--project", tmp_path, "--yes", SYMPHONY_CONDUCTOR__ENABLED="false")
    assert done.code == 1
    assert "conductor.enabled" in done.err


def test_a_registry_that_is_switched_off_offers_nothing(home: Path) -> None:
    for enabled in (True, False):
        extensions = Extensions(Home(home), configured(home, registry__enabled=enabled))
        offered = extensions.registry.names()
        extensions.close()
        assert bool(offered) == enabled or not enabled
    assert offered == []


def test_max_parallel_becomes_places_of_the_arbiter(home: Path) -> None:
    for most in (0, 3):
        pit = Pit(Home(home), configured(home, engine__max_parallel=most), Path("unused"))
        pit._open_arbiter()
        resources = pit.arbiter.fairness()["resources"]
        assert pit.counts_nodes == bool(most)
        assert resources.get(PLACES, {}).get("capacity", 0) == most


def test_the_strategy_and_the_gpus_reach_the_arbiter(home: Path) -> None:
    flags = {"pit.arbitration.strategy": "shortest", "pit.arbitration.gpu": 2}
    pit = Pit(Home(home), configured(home, **flags), Path("unused"))
    pit._open_arbiter()
    assert pit.arbiter.strategy == "shortest"
    assert pit.arbiter.fairness()["resources"]["gpu"]["capacity"] == 2
    assert play_limits(configured(home, **flags), []).gpu == 2
    with pytest.raises(InvalidConfig, match="strategy"):
        configured(home, **{"pit.arbitration.strategy": "best"})
    held = pit.arbiter.request("run", {"gpu": 2}, label="train")
    assert pit.arbiter.request("run", {"gpu": 1}, label="draw") is None and held is not None
    _, words, _ = pit._arbiter_health()
    assert words.endswith("1 waiting; draw waits for 1 GPU held by train")


def test_the_pool_s_memory_is_its_limit_and_what_it_learns_stays_in_the_home(home: Path) -> None:
    flags = {"pit.pool.memory": 64 << 20, "pit.pool.capacity": 7, "pit.pool.predict": False}
    for life in range(2):
        pit = Pit(Home(home), configured(home, **flags), Path("unused"))
        home.mkdir(exist_ok=True)
        for open_part in (pit._open_store, pit._open_arbiter, pit._open_stale):
            open_part()
        pit._open_runtime()
        figures = pit.pool_figures()
        assert (figures["memory_limit"], figures["capacity"]) == (64 << 20, 7)
        assert figures["warm_share"] is None and figures["predicted_share"] is None
        assert pit._pool_health()[0] == ("degraded" if life else "ok")
        pit._close_runtime()
        pit._close_store()
        habits = home / "habits"
        habits.write_bytes(habits.read_bytes()[:-1])


def test_the_metrics_tell_how_often_a_player_was_warm_and_how_often_it_was_foreseen(home: Path) -> None:
    pit = Pit(Home(home), configured(home), Path("unused"))
    counts = {"allocations": 8, "waits": 2, "predicted_hits": 3, "predicted_misses": 1}
    pit.runtime = cast(Any, SimpleNamespace(stats=lambda: {"players": counts}))
    figures = pit.pool_figures()
    assert (figures["warm_share"], figures["predicted_share"]) == (0.75, 0.75)


class Registrar:
    """Takes what the roster registers."""

    def __init__(self) -> None:
        self.launches: list[Json] = []

    def register_player(self, key: str, launch: Json) -> None:
        self.launches.append(launch)

    def unregister_player(self, key: str) -> None:
        """Nothing to do."""


def test_player_memory_is_a_ceiling(home: Path) -> None:
    extensions = Extensions(Home(home), configured(home))
    members = extensions.cast()
    extensions.close()
    shell = next(m for m in members if m.name == "symphony/shell")
    for ceiling, expected in ((64 << 20, 64 << 20), (1 << 40, shell.manifest.resources.memory)):
        registrar = Registrar()
        roster = Roster(registrar, lambda most=ceiling: PlayerLimits(memory=most))  # type: ignore[misc]
        roster.cast([shell])
        roster.key(shell.name, None)
        assert registrar.launches[0]["memory"] == expected
        assert registrar.launches[0]["spec"]["limits"]["memory"] == expected


def document(**node: Any) -> Json:
    body = {"id": "a", "kind": "operator", "player": "symphony/git#log", **node}
    return {"format": "symphony.melody/1", "name": "x", "nodes": [body], "edges": []}


def found(home: Path, melody: Json, **flags: Any) -> list[Json]:
    configuration = configured(home, **flags)
    extensions = Extensions(Home(home), configuration)
    try:
        limits = play_limits(configuration, extensions.cast())
        return findings_of(from_document(melody), extensions.catalogue(), limits)
    finally:
        extensions.close()


def test_validation_knows_versions_and_resources(home: Path) -> None:
    assert found(home, document()) == []
    assert [f["code"] for f in found(home, document(player="symphony/git#log@>=99.0.0"))] == ["version"]
    greedy = document(resources={"cpu": 3, "memory": "1GiB"})
    codes = [
        f["code"] for f in found(home, greedy, pit__arbitration__cpu=2.0, pit__arbitration__memory="2GiB")
    ]
    assert codes == ["infeasible_resources"]
    assert [f["code"] for f in found(home, document(resources={"gpu": 1}))] == ["infeasible_resources"]


def test_a_player_that_would_like_more_than_there_is_plays_with_less(home: Path) -> None:
    shell = document(player="symphony/shell#run", params={"command": ["true"]})
    assert found(home, shell, pit__arbitration__cpu=0.5, pit__arbitration__memory="64MiB") == []


def test_a_disabled_extension_is_named(home: Path) -> None:
    extensions = Extensions(Home(home), configured(home))
    extensions.installer.disable("symphony/git")
    extensions.close()
    findings = found(home, document())
    assert [f["code"] for f in findings] == ["unknown_player"]
    assert "symphony/git is disabled" in findings[0]["message"] and "enable" in findings[0]["remedy"]


def test_missing_permissions_are_findings(home: Path) -> None:
    configuration = configured(home)
    extensions = Extensions(Home(home), configuration)
    members = [replace(m, granted=()) for m in extensions.cast()]
    limits = play_limits(configuration, members)
    findings = findings_of(from_document(document()), extensions.catalogue(), limits)
    extensions.close()
    assert "missing_permission" in {f["code"] for f in findings}


def test_trusted_keys_are_accepted(home: Path, tmp_path: Path) -> None:
    key = "ab" * 32
    extensions = Extensions(Home(home), configured(home, registry__trusted=[key]))
    assert key in extensions.registry.trusted
    extensions.close()


SECRETIVE = """
[extension]
name = "test/secretive"
version = "1.0.0"
type = "operator"
description = "Has a key"
license = "MIT"
runtime = "python"
entry = "player.py"

[configuration]
api_key = { type = "string", secret = true }
region = { type = "string", default = "eu" }
"""


def test_secrets_of_extensions_are_hidden(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundled" / "secretive"
    folder.mkdir(parents=True)
    (folder / "Symphony.toml").write_text(SECRETIVE)
    (folder / "player.py").write_text("")
    monkeypatch.setattr("symphony.app.extensions.bundled_folder", lambda: folder.parent)
    configuration = configured(home)
    extensions = Extensions(Home(home), configuration)
    configuration.set("extensions.test/secretive.api_key", "hush")
    configuration.set("extensions.test/secretive.region", "us")
    assert extensions.secrets() == ["extensions.test/secretive.api_key"]
    rows = {row["key"]: row["value"] for row in configuration.show(extensions.secrets())}
    extensions.close()
    assert rows["extensions.test/secretive.region"] == "us"
    assert "hush" not in json.dumps(list(rows.values()))
    assert rows["extensions.test/secretive.api_key"]


def test_a_component_counts_only_while_its_metrics_are_on(home: Path) -> None:
    meters = Meters(configured(home, engine__metrics_enabled=False))
    for section in ("engine", "stage"):
        meters.count(section, "thing")
        meters.observe(section, "work", 0.5)
        with meters.timed(section, "block"):
            pass
        meters.attach(section, lambda section=section: {"of": section})  # type: ignore[misc]
    counted = meters.snapshot()
    assert counted["counters"] == {"stage.thing": 1}
    assert counted["figures"] == {"stage": {"of": "stage"}}
    assert sorted(counted["timings"]) == ["stage.block", "stage.work"]
