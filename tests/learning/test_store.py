"""The replay on the disk: what is logged comes back, stays bounded, and can be forgotten."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from conductor.context import Composition
from conductor.learning.labels import right_actions
from conductor.learning.replay import LABEL_WEIGHT
from conductor.learning.seen import Seen
from conductor.learning.store import LEAST_LONGEST, UNPLAYED, ReplayDamaged, ReplayStore

PLAYERS = ("a/a#one", "a/a#two", "a/a#three")


def seen(chosen: int, probability: float = 0.5, seed: int = 0) -> Seen:
    dice = np.random.default_rng(seed)
    arrays = [dice.normal(size=shape).astype(np.float32) for shape in ((512,), (3, 128), (3, 32), (32,))]
    return Seen(PLAYERS, np.array([True, True, True, chosen == 3]), chosen, probability, *arrays)


def composed(*players: str) -> Composition:
    melody = {"nodes": [{"id": f"n{n}", "player": player} for n, player in enumerate(players)]}
    places = [PLAYERS.index(player) for player in players] + [3]
    choices = [seen(place, seed=n) for n, place in enumerate(places)]
    return Composition(True, melody, predicted_seconds=1.0, seen=choices, policy="bc-1", encoder="enc")


@pytest.fixture
def store(tmp_path: Path) -> ReplayStore:
    return ReplayStore(tmp_path / "learning" / "replay.sqlite", capacity=12)


def played(
    store: ReplayStore, run: str, made: Composition, status: str = "succeeded", seconds: float = 6.0
) -> str:
    name = store.keep(f"prompt of {run}", made)
    assert made.melody is not None and store.begin(run, name, made.melody)
    assert store.end(run, status, seconds, 0.5)
    return name


def test_a_decision_comes_back_as_it_was_made(store: ReplayStore) -> None:
    made = composed("a/a#two")
    name = played(store, "r1", made)
    samples = list(store.buffer().samples({}))
    assert [s.decision.action for s in samples] == ["a/a#two", "stop"]
    assert samples[0].decision.candidates == PLAYERS and samples[1].decision.candidates == (*PLAYERS, "stop")
    assert samples[0].decision.policy == "bc-1"
    # success × (1 − latency) × quality
    assert samples[0].reward == pytest.approx((1 - 6.0 / LEAST_LONGEST) * 0.5)
    numbers = store.numbers([f"{name}/0"])[f"{name}/0"]
    first = made.seen[0]
    assert first.state is not None and first.vectors is not None and first.matches is not None
    assert np.allclose(numbers.state, first.state, atol=2e-3) and np.allclose(
        numbers.vectors, first.vectors, atol=2e-3
    )
    assert np.allclose(numbers.matches, first.matches, atol=2e-3) and numbers.allowed.tolist() == [
        True,
        True,
        True,
        False,
    ]
    assert numbers.chosen == 1


def test_a_run_that_was_cancelled_or_cut_off_tells_nothing_but_what_its_user_said(store: ReplayStore) -> None:
    played(store, "r1", composed("a/a#one"), status="cancelled")
    played(store, "r2", composed("a/a#one"), status="interrupted")
    assert list(store.buffer().samples({})) == []
    assert store.rate("r1", 1)
    found = list(store.buffer().samples({}))
    assert all((s.reward, s.weight, s.right) == (1.0, LABEL_WEIGHT, (s.decision.action,)) for s in found)
    assert found


def test_what_was_taken_back_was_bad_whatever_was_said(store: ReplayStore) -> None:
    played(store, "r1", composed("a/a#one"))
    store.rate("r1", 1)
    store.undone("r1", True)
    assert {s.reward for s in store.buffer().samples({})} == {0.0}
    store.undone("r1", False)
    assert {s.reward for s in store.buffer().samples({})} == {1.0}
    assert not store.rate("unknown", 1) and not store.undone("unknown", True)


def test_a_melody_that_its_user_changed_before_playing_is_a_correction(store: ReplayStore) -> None:
    name = store.keep("p", composed("a/a#one"))
    store.begin("r1", name, {"nodes": [{"player": "a/a#three@^1"}]})
    store.end("r1", "succeeded", 1.0, 1.0)
    assert [s.right for s in store.buffer().samples({})] == [("a/a#three",), ("a/a#three",)]


def test_a_second_prompt_that_takes_something_out_corrects_and_one_that_adds_does_not(
    store: ReplayStore,
) -> None:
    first = played(store, "r1", composed("a/a#one"))
    store.keep("also two", composed("a/a#one", "a/a#two"), corrects=first)
    assert not any(s.right for s in store.buffer().samples({}))
    store.keep("two instead of one", composed("a/a#two"), corrects=first)
    assert next(store.buffer().samples({})).right == ("a/a#two",)
    assert store.counts()["labelled"] == 1


def test_what_was_served_is_told_as_it_was_corrected_and_nothing_else_is(store: ReplayStore) -> None:
    made = composed("a/a#two")
    for run, status in (("r1", "succeeded"), ("r2", "failed"), ("r3", "succeeded"), ("r4", "succeeded")):
        played(store, run, made, status)
    store.rate("r3", -1)
    store.undone("r4", True)
    (served,) = store.served(10)
    assert (served.prompt, served.players) == ("prompt of r1", ("a/a#two",))
    name = store.keep("prompt of r5", made)
    assert store.begin("r5", name, composed("a/a#one").melody or {}) and store.end(
        "r5", "succeeded", 1.0, 1.0
    )
    assert {one.prompt: one.players for one in store.served(10)}["prompt of r5"] == ("a/a#one",)
    assert len(store.served(1)) == 1
    store.forget(None)
    assert store.served(10) == []


def test_the_oldest_runs_go_first_and_unplayed_previews_do_not_pile_up(store: ReplayStore) -> None:
    for number in range(9):
        played(store, f"r{number}", composed("a/a#one"))
    counts = store.counts()
    assert counts["decisions"] == 12 and counts["runs"] == 6 and counts["compositions"] == 6
    assert store.run("r2") is None and store.run("r3") is not None
    for _ in range(UNPLAYED + 5):
        store.keep("p", Composition(True, {"nodes": []}))
    assert store.counts()["compositions"] == UNPLAYED + 6


def test_what_is_forgotten_is_nowhere_in_the_folder(store: ReplayStore, tmp_path: Path) -> None:
    secret = "the-merger-with-umbrella"
    for run in ("r1", "r2"):
        name = store.keep(secret if run == "r1" else "harmless", composed("a/a#one"))
        store.begin(run, name, {"nodes": []})
        store.end(run, "succeeded", 1.0, 1.0)
    rows = store.export()
    assert rows[0]["prompt"] == secret and len(base64.b64decode(rows[0]["decisions"][0]["state"])) == 1024
    assert store.forget("r1") == 1 and store.forget("r1") == 0
    files = [file for file in (tmp_path / "learning").rglob("*") if file.is_file()]
    assert files and all(secret.encode() not in file.read_bytes() for file in files)
    assert [row["run"] for row in store.export()] == ["r2"]
    assert store.forget() == 1 and store.counts()["compositions"] == 0


def test_a_run_that_goes_on_keeps_one_end(store: ReplayStore) -> None:
    made = composed("a/a#one")
    name = played(store, "r1", made, status="failed")
    store.begin("r1", name, made.melody or {})
    assert store.counts()["ended"] == 0
    store.end("r1", "succeeded", 3.0, 1.0)
    assert store.counts()["runs"] == 1 and store.ended_since(0.0) == 2 and store.ended_since(4e9) == 0


def test_only_what_the_learner_understands_is_learnt_from(store: ReplayStore) -> None:
    played(store, "r1", composed("a/a#one"))
    assert len(store.buffer(lambda policy: policy == "bc-1")) == 2
    assert len(store.buffer(lambda policy: policy == "bc-2")) == 0


def test_the_planners_choices_are_kept_though_no_network_can_learn_from_them(store: ReplayStore) -> None:
    made = Composition(
        True, {"nodes": []}, seen=[Seen(PLAYERS, np.array([True] * 4), 3, 1.0)], policy="planner"
    )
    name = played(store, "r1", made)
    assert store.numbers([f"{name}/0"]) == {} and store.export()[0]["decisions"][0]["action"] == "stop"


def test_a_file_that_is_no_replay_is_named(tmp_path: Path) -> None:
    file = tmp_path / "replay.sqlite"
    file.write_bytes(b"no database, but long enough to be looked at " * 40)
    with pytest.raises(ReplayDamaged, match=r"replay\.sqlite"):
        ReplayStore(file)


def test_right_is_whatever_leads_to_what_the_user_wanted_in_any_order() -> None:
    choices = [(("a", "b", "c"), "a"), (("b", "c", "stop"), "b"), (("c", "stop"), "stop")]
    assert right_actions(choices, ["a", "c"]) == [("a", "c"), ("c",), ("c",)]
    assert right_actions(choices, ["a", "b"]) == [("a", "b"), ("b",), ("stop",)]
    assert right_actions(choices, ["a"]) == [("a",), ("stop",), ("stop",)]
    assert right_actions([(("a", "b"), "a")], ["z"]) == [()]
