"""The host learns from its own runs: decisions are logged, ends and ratings join them, another policy decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor.core import WEIGHTS
from conductor.learning.gate import FEWEST_LEVELS, judge
from conductor.learning.versions import Versions
from conductor.policy import Policy, expected_shapes, save
from symphony.app import doctor
from symphony.app import host as host_module
from symphony.app.host import Host
from symphony.app.learning import learner, service
from symphony.app.paths import encoder_files
from symphony.app.planning import ConductorFiles
from symphony.config.home import Home
from symphony.errors import BadInput, EnvironmentLacks, NotFound

from ..hosting import hosted

PROMPT = "count the lines of each file"
GOOD = judge(np.ones(FEWEST_LEVELS), np.ones(FEWEST_LEVELS), np.ones(FEWEST_LEVELS))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_text("print(1)\n")
    return folder


async def played(host: Host, prompt: str = PROMPT) -> str:
    answer = await host.submit_prompt(prompt)
    run = (await host.execute_melody(answer["draft"]))["run"]
    await host.services.engine.ended(run)
    return str(run)


def another(folder: Path, version: str) -> None:
    """The shipped weights under another name, where learnt ones lie."""
    shipped = Policy.load(WEIGHTS)
    arrays = {name: shipped.array(name) for name in expected_shapes()}
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / f"{version}.npz", arrays, {**shipped.facts, "version": version})


async def test_every_decision_is_logged_and_the_end_of_the_run_joins_it(
    tmp_path: Path, project: Path
) -> None:
    async with hosted(tmp_path / "home", project=project) as host:
        run = await played(host)
        kept = (await host.learning_of_run(run))["kept"]
        assert kept["prompt"] == PROMPT and kept["status"] == "succeeded" and 0.5 < kept["reward"] <= 1.0
        assert kept["policy"] == Policy.load(WEIGHTS).version and kept["encoder"]
        for decision in kept["decisions"]:
            assert decision["action"] in decision["allowed"] and 0 < decision["probability"] <= 1
        assert kept["decisions"][-1]["action"] == "stop"
        chosen = {d["action"] for d in kept["decisions"][:-1]}
        assert chosen and chosen <= set(kept["composed"])
        counts = (await host.learning())["replay"]
        assert counts["runs"] == counts["ended"] == 1 and counts["decisions"] == len(kept["decisions"])
        await host.rate_run(run[:8], "bad")
        assert (await host.learning())["runs"][0]["rating"] == -1
        await host.rate_run(run, "good")
        assert (await host.list_actions(1))["actions"][0]["said"].endswith(": good")
        for turn, said in ((host.undo_action, -1), (host.undo_action, 0), (host.redo_action, -1)):
            await turn()
            assert (await host.learning_of_run(run))["kept"]["rating"] == said
        with pytest.raises(BadInput, match="rating"):
            await host.rate_run(run, "splendid")
        assert len((await host.export_learning())["runs"][0]["decisions"][0]["state"]) > 1000
        assert (await host.forget_learning(run))["forgotten"] == 1
        with pytest.raises(NotFound):
            await host.forget_learning(run)
        assert (await host.learning_of_run(run))["kept"] is None


async def test_a_melody_keeps_its_mark_when_it_is_saved_and_a_second_prompt_corrects_it(
    tmp_path: Path, project: Path
) -> None:
    async with hosted(tmp_path / "home", project=project) as host:
        answer = await host.submit_prompt("list the files and draw a chart of their sizes")
        await host.save_melody(answer["draft"], "sizes")
        run = (await host.execute_melody("sizes"))["run"]
        await host.services.engine.ended(run)
        revised = await host.revise_melody(answer["draft"], "without the chart")
        marks = [a["melody"]["metadata"][service.MARK] for a in (answer, revised)]
        assert marks[0] != marks[1]
        kept = (await host.learning_of_run(run))["kept"]
        assert set(kept["corrected"]) < set(kept["composed"])
        assert (await host.learning())["replay"]["labelled"] == 1


async def test_what_was_served_is_remembered_and_forgotten_with_its_run(
    tmp_path: Path, project: Path
) -> None:
    async with hosted(tmp_path / "home", project=project) as host:
        learning = host.services.learning
        before, shipped = learning.past()
        assert not shipped and learning.past()[1] is shipped, "it is read once"
        run = await played(host)
        await learning.settled()
        after, past = learning.past()
        assert after != before and len(past) == len(shipped) + 1
        kept = (await host.learning_of_run(run))["kept"]
        assert (past[0].prompt, list(past[0].players)) == (kept["prompt"], kept["players"])
        await host.rate_run(run, "bad")
        assert list(learning.past()[1]) == list(shipped)
        await host.rate_run(run, "good")
        assert len(learning.past()[1]) == len(shipped) + 1
        await learning.forget(run)
        assert list(learning.past()[1]) == list(shipped)


async def test_changes_that_were_taken_back_count_against_their_run(tmp_path: Path, project: Path) -> None:
    async with hosted(tmp_path / "home", project=project) as host:
        run = await played(host)
        host.services.learning.follow({"event": "changes", "run": run, "state": "undone"})
        assert (await host.learning_of_run(run))["kept"]["undone"]


async def test_what_is_switched_off_keeps_nothing(tmp_path: Path, project: Path) -> None:
    off = "[conductor.learning]\nlog = false\n"
    async with hosted(tmp_path / "home", off, project=project) as host:
        run = await played(host)
        assert (await host.learning_of_run(run))["kept"] is None
        with pytest.raises(NotFound):
            await host.rate_run(run, "good")
        shown = await host.learning()
        assert not shown["logging"] and shown["replay"]["compositions"] == 0


async def test_a_promoted_policy_decides_without_a_restart_and_one_step_back_does_so_too(
    tmp_path: Path, project: Path
) -> None:
    async with hosted(tmp_path / "home", project=project) as host:
        first = (await host.learning_of_run(await played(host)))["kept"]["policy"]
        learning = host.services.learning
        another(Home(tmp_path / "home").learning / "policies", "online-1")
        learning.versions.judged("online-1", GOOD)
        await learning._changed()
        assert (await host.learning_of_run(await played(host)))["kept"]["policy"] == "online-1"
        shown = await host.learning()
        assert shown["policy"]["deciding"] == "online-1" and shown["events"][0]["kind"] == "promoted"
        assert (await host.rollback_policy("slower"))["current"] == "shipped"
        assert (await host.learning_of_run(await played(host)))["kept"]["policy"] == first
        assert (await host.learning())["events"][0]["reason"] == "slower"
        with pytest.raises(BadInput, match="decides already"):
            await host.rollback_policy()


async def test_damaged_weights_give_way_and_the_health_says_so(tmp_path: Path, project: Path) -> None:
    policies = Home(tmp_path / "home").learning / "policies"
    async with hosted(tmp_path / "home", project=project) as host:
        for name in ("online-1", "online-2"):
            another(policies, name)
            host.services.learning.versions.judged(name, GOOD)
    (policies / "online-2.npz").write_bytes(b"not any more")
    async with hosted(tmp_path / "home", project=project) as host:
        assert (await host.learning_of_run(await played(host)))["kept"]["policy"] == "online-1"
        row = next(c for c in (await host.health())["components"] if c["name"] == "learning")
        assert (
            row["status"] == "degraded"
            and "online-2" in row["detail"]
            and "online-1 decides" in row["detail"]
        )
        assert "rollback" in row["remedy"]
    assert "online-1 decides" in doctor._learning(Home(tmp_path / "home"))[0].detail
    (policies / "online-1.npz").unlink()
    async with hosted(tmp_path / "home", project=project) as host:
        assert (await host.learning_of_run(await played(host)))["kept"]["policy"] == Policy.load(
            WEIGHTS
        ).version
    (policies / "record.json").write_text("{")
    async with hosted(tmp_path / "home", project=project) as host:
        row = next(c for c in (await host.health())["components"] if c["name"] == "learning")
        assert row["status"] == "degraded" and "record.json" in row["detail"]


async def test_when_no_weights_can_be_read_the_planner_decides(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, damaged = Home(tmp_path / "home"), tmp_path / "policy.npz"
    damaged.write_bytes(b"not any more")
    another(home.learning / "policies", "online-1")
    Versions(home.learning / "policies", WEIGHTS).judged("online-1", GOOD)
    (home.learning / "policies" / "online-1.npz").write_bytes(b"nor this")
    files = ConductorFiles(encoder_files(), damaged, home.cache)
    monkeypatch.setattr(host_module, "conductor_files", lambda *_: files)
    async with hosted(tmp_path / "home", project=project) as host:
        assert (await host.learning_of_run(await played(host)))["kept"]["policy"] == "planner"
        row = next(c for c in (await host.health())["components"] if c["name"] == "learning")
        assert row["status"] == "degraded" and "typed planner decides" in row["detail"]


async def test_a_damaged_replay_is_no_trouble_of_a_composition(tmp_path: Path, project: Path) -> None:
    home = Home(tmp_path / "home")
    home.learning.mkdir(parents=True)
    (home.learning / "replay.sqlite").write_bytes(b"damaged " * 1000)
    async with hosted(tmp_path / "home", project=project) as host:
        await played(host)
        with pytest.raises(EnvironmentLacks, match=r"replay\.sqlite"):
            await host.learning()


async def test_without_torch_the_learner_says_what_to_do(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "torch_is_there", lambda: False)
    async with hosted(tmp_path / "home", project=project) as host:
        await played(host)
        with pytest.raises(EnvironmentLacks, match="torch") as failed:
            await host.train_policy()
        assert "make learn" in failed.value.remedy
        assert (await host.learning())["learner"]["state"] == "missing"


async def test_without_runs_there_is_nothing_to_learn_from(tmp_path: Path, project: Path) -> None:
    async with hosted(tmp_path / "home", project=project) as host:
        if learner.torch_is_there():
            with pytest.raises(BadInput, match="nothing to learn from"):
                await host.train_policy()


def test_the_terminal_shows_rates_exports_and_forgets(
    symphony: Callable[..., Any], project: Path, tmp_path: Path
) -> None:
    done = symphony("run", PROMPT, "--project", project, "--yes", "--json")
    assert done.code == 0, done.err
    run = json.loads(done.out)["run"]["id"]
    assert symphony("runs", "rate", run[:8], "good").code == 0
    shown = symphony("learning")
    assert shown.code == 0 and "good" in shown.out and "1 runs are kept" in shown.out
    assert json.loads(symphony("learning", "show", "--run", run, "--json").out)["kept"]["rating"] == 1
    assert symphony("learning", "export", "--out", tmp_path / "kept.jsonl").code == 0
    assert run in (tmp_path / "kept.jsonl").read_text()
    assert symphony("learning", "forget").code == 2
    assert symphony("learning", "forget", "--all", "--yes").code == 0
    assert json.loads(symphony("learning", "--json").out)["replay"]["runs"] == 0
    refused = symphony("learning", "rollback")
    assert refused.code == 2 and len(refused.err.splitlines()) == 1
    assert symphony("runs", "rate", run, "good").code != 0
