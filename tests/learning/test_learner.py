"""The learner: what runs and corrections teach, how far a lesson may go, and the host's whole round with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conductor.context import Composition
from conductor.core import WEIGHTS
from conductor.learning.seen import Seen
from conductor.learning.store import ReplayStore
from conductor.policy import Policy
from symphony.app.host import Host
from symphony.app.learning import service
from symphony.app.learning.learner import Learner, Lesson
from symphony.app.paths import bundled_extensions, encoder_files
from symphony.errors import BadInput, SymphonyError

from ..hosting import hosted

torch = pytest.importorskip("torch")

from conductor.encoder.memory import Memory  # noqa: E402
from conductor.encoder.runtime import Encoder  # noqa: E402
from conductor.training.compositions import AUDIT, CANARY, Gauge, Pack, bundled  # noqa: E402
from conductor.training.dataset import Decision  # noqa: E402
from conductor.training.improve import (  # noqa: E402
    Settings,
    improve,
    lesson_of,
    networks_of,
    probabilities_now,
)
from conductor.training.rows import Rows  # noqa: E402

NAMES = ("a/a#one", "a/a#two", "a/a#three")


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return Policy.load(WEIGHTS)


@pytest.fixture
def store(tmp_path: Path) -> ReplayStore:
    return ReplayStore(tmp_path / "replay.sqlite")


def seen(chosen: int, seed: int, probability: float = 0.4) -> Seen:
    """One and the same kind of state, a little different each time; faint, so that the policy is in doubt."""
    dice, base = np.random.default_rng(seed), np.random.default_rng(0)
    arrays = [
        (0.05 * base.normal(size=shape) + 0.005 * dice.normal(size=shape)).astype(np.float32)
        for shape in ((512,), (3, 128), (3, 32), (32,))
    ]
    return Seen(NAMES, np.array([True, True, True, False]), chosen, probability, *arrays)


def taught(store: ReplayStore, *, statuses: tuple[str, str, str], runs: int = 60) -> None:
    """Runs in which each of the three Players was chosen in turn, and ended as `statuses` say."""
    for number in range(runs):
        place = number % 3
        made = Composition(
            True, {"nodes": [{"player": NAMES[place]}]}, seen=[seen(place, number)], policy="p"
        )
        name = store.keep("p", made)
        store.begin(f"r{number}", name, made.melody or {})
        store.end(f"r{number}", statuses[place], 1.0, 1.0)


def likely(policy: Policy, store: ReplayStore, player: str) -> float:
    buffer = store.buffer()
    numbers = store.numbers(s.decision.state for s in buffer.samples({}))
    found = probabilities_now(policy, buffer, numbers)
    return float(np.mean([p for (_, action), p in found.items() if action == player]))


def lesson(store: ReplayStore, policy: Policy, **settings: float) -> tuple[Policy, list[dict[str, float]]]:
    buffer = store.buffer()
    numbers = store.numbers(s.decision.state for s in buffer.samples({}))
    arrays, curve = improve(policy, buffer, numbers, [], seed=1, settings=Settings(**settings))  # type: ignore[arg-type]
    return Policy(arrays, {}), curve


FREE = {"epochs": 20, "learning_rate": 3e-4, "anchor": 0.0, "most_divergence": 9.0}


def test_the_networks_in_torch_say_what_the_host_says(shipped: Policy, store: ReplayStore) -> None:
    taught(store, statuses=("succeeded",) * 3, runs=3)
    buffer = store.buffer()
    samples = list(buffer.samples({}))
    numbers = store.numbers(s.decision.state for s in samples)
    rows = Rows()
    rows.add_samples(samples, numbers)
    with torch.no_grad():
        found = rows.batch(range(len(rows))).log_probs(networks_of(shipped)).exp().numpy()
    row = numbers[samples[0].decision.state]
    logits = shipped.logits(row.state, shipped.learned_keys(row.vectors), row.matches, row.stop)
    logits[~row.allowed] = -np.inf
    expected = np.exp(logits - logits.max())
    assert np.allclose(found[0], expected / expected.sum(), atol=1e-4)


def test_what_succeeds_becomes_likelier_and_what_fails_less_so(shipped: Policy, store: ReplayStore) -> None:
    taught(store, statuses=("failed", "succeeded", "failed"))
    before = [likely(shipped, store, name) for name in NAMES]
    after, curve = lesson(store, shipped, **FREE)
    now = [likely(after, store, name) for name in NAMES]
    assert now[1] > before[1] + 0.1 and now[0] + now[2] < before[0] + before[2] - 0.1
    assert {"policy_loss", "value_loss", "kl_divergence", "return"} <= set(curve[-1])
    assert curve[-1]["return"] > curve[0]["return"] and curve[-1]["value_loss"] < curve[0]["value_loss"]


def test_a_rating_is_worth_more_than_many_runs(shipped: Policy, store: ReplayStore) -> None:
    taught(store, statuses=("succeeded", "succeeded", "succeeded"))
    for number in range(0, 60, 3):
        store.rate(f"r{number}", -1)
    for number in range(2, 60, 3):
        store.rate(f"r{number}", 1)
    after, _ = lesson(store, shipped, **FREE)
    assert likely(after, store, NAMES[2]) > likely(shipped, store, NAMES[2]) + 0.1
    assert likely(after, store, NAMES[0]) < max(0.05, likely(shipped, store, NAMES[0]))


def test_a_lesson_stays_near_the_policy_in_use(shipped: Policy, store: ReplayStore) -> None:
    taught(store, statuses=("failed", "succeeded", "failed"))
    held, curve = lesson(store, shipped, epochs=20, learning_rate=3e-4)
    free, _ = lesson(store, shipped, **FREE)
    assert all(row["kl_divergence"] <= Settings().most_divergence for row in curve)
    change = [likely(p, store, NAMES[1]) - likely(shipped, store, NAMES[1]) for p in (held, free)]
    assert 0.0 < change[0] < change[1]


def doubt(dice: np.random.Generator, vectors: np.ndarray) -> Seen:
    """A state like no other, in which three Players are in question; the first was chosen."""
    shapes = ((512,), (3, 32), (32,))
    state, matches, stop = ((0.3 * dice.normal(size=shape)).astype(np.float32) for shape in shapes)
    return Seen(NAMES, np.array([True, True, True, False]), 0, 0.5, state, vectors, matches, stop)


def preferred(policy: Policy, states: list[Seen]) -> list[int]:
    """The place of the Player that the policy takes in each state."""
    found = []
    for one in states:
        assert one.state is not None and one.vectors is not None
        assert one.matches is not None and one.stop is not None
        logits = policy.logits(one.state, policy.learned_keys(one.vectors), one.matches, one.stop)
        found.append(int(np.argmax(logits[:-1])))
    return found


def test_corrections_hold_in_states_that_nobody_met_and_leave_other_players_alone(
    shipped: Policy, store: ReplayStore
) -> None:
    """Somebody puts the second Player in the place of the first, 60 times, each time in another state."""
    dice = np.random.default_rng(3)
    liked, others = ((0.3 * dice.normal(size=(3, 128))).astype(np.float32) for _ in range(2))
    taught_in, asked, elsewhere, beside = (
        [doubt(dice, vectors) for _ in range(count)]
        for vectors, count in ((liked, 60), (liked, 60), (others, 60), (others, 200))
    )
    for number, one in enumerate(taught_in):
        name = store.keep("p", Composition(True, {"nodes": [{"player": NAMES[0]}]}, seen=[one], policy="p"))
        store.begin(f"r{number}", name, {"nodes": [{"player": NAMES[1]}]})
        store.end(f"r{number}", "succeeded", 1.0, 1.0)
    shown = []
    for one, right in zip(beside, preferred(shipped, beside), strict=True):
        assert one.state is not None and one.matches is not None and one.stop is not None
        marks = np.eye(4, dtype=np.float32)[right]
        shown.append(Decision(one.state, others, one.matches, one.stop, marks))
    buffer = store.buffer()
    numbers = store.numbers(s.decision.state for s in lesson_of(buffer))
    arrays, curve = improve(shipped, buffer, numbers, shown, seed=1)
    after = Policy(arrays, {})
    before_share, share = (float(np.mean(np.equal(preferred(p, asked), 1))) for p in (shipped, after))
    assert before_share < 0.6 and share >= 0.9, (before_share, share)
    assert np.mean(np.equal(preferred(shipped, elsewhere), preferred(after, elsewhere))) >= 0.9
    assert curve[-1]["labels_right"] > 0.9 and curve[-1]["kl_divergence"] <= Settings().most_divergence


def test_refusal_and_directions_are_not_touched(shipped: Policy, store: ReplayStore) -> None:
    taught(store, statuses=("failed", "succeeded", "failed"))
    after, _ = lesson(store, shipped, **FREE)
    for name in ("basis", "centre", "refusal.weight", "refusal.bias"):
        assert np.array_equal(after.array(name), shipped.array(name))


def test_the_packs_are_fixed_and_share_nothing() -> None:
    functions, lattice = bundled(bundled_extensions())
    drawn = [Pack(p.name, 300, p.beside and Pack(p.beside.name, 300)) for p in (CANARY, AUDIT, CANARY)]
    prompts = [
        [level.prompt for _, levels in p.worlds(functions, lattice) for level in levels] for p in drawn
    ]
    assert prompts[0] == prompts[2] and len(set(prompts[0])) == len(set(prompts[1])) == 300
    assert set(prompts[0]).isdisjoint(prompts[1])
    assert CANARY.size >= 4_000 and AUDIT.size >= 4_000 and AUDIT.beside == CANARY


def test_what_was_measured_is_not_measured_again(shipped: Policy, tmp_path: Path) -> None:
    gauge = Gauge(bundled_extensions(), Memory(Encoder(encoder_files())), tmp_path)
    pack = Pack("canary", 12)
    first = gauge.success(pack, [shipped])[0]
    assert 0 < first.mean() < 1 and len(first) == 12
    (kept,) = tmp_path.glob("canary-12-*.npy")
    np.save(kept, np.full(12, 0.25, dtype=np.float32))
    assert gauge.success(pack, [shipped])[0].mean() == 0.25
    kept.write_bytes(b"damaged")
    assert np.array_equal(gauge.success(pack, [shipped])[0], first)


async def played(host: Host, prompt: str) -> str:
    answer = await host.submit_prompt(prompt)
    run = (await host.execute_melody(answer["draft"]))["run"]
    await host.services.engine.ended(run)
    return str(run)


async def test_the_host_starts_the_learner_and_the_gate_has_the_last_word(tmp_path: Path) -> None:
    """A whole lesson in a process of its own; with few levels the gate lets nothing through, and says why."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("# TODO one\n")
    async with hosted(tmp_path / "home", project=project) as host:
        for prompt in ("list the files", "count the TODO comments by file"):
            await played(host, prompt)
        learning = host.services.learning
        learning._learner = Learner(bundled_extensions(), encoder_files(), ("--levels", "12", "--eager"))
        answer = await host.train_policy()
        assert not answer["promoted"] and "too few" in answer["reason"] and answer["curve"]
        shown = await host.learning()
        assert shown["policy"]["deciding"] == "shipped"
        assert shown["events"][0]["kind"] == "refused" and shown["events"][0]["version"] == answer["version"]
        assert shown["lessons"][0]["reason"] == answer["reason"] and shown["learner"]["state"] == "waiting"
        assert Policy.load(learning.versions.weights(answer["version"])).version == answer["version"]


async def test_a_learner_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    learner = Learner(bundled_extensions(), encoder_files())
    with pytest.raises(SymphonyError, match="cannot be read"):
        await learner.learn(Lesson(tmp_path, tmp_path / "none.npz", WEIGHTS), lambda: None)


async def test_one_lesson_at_a_time_and_none_outlives_its_host(tmp_path: Path) -> None:
    class Slow(Learner):
        async def learn(self, lesson: Lesson, heard: object) -> dict[str, object]:
            await began.wait()
            raise AssertionError("it was not ended")

    began = asyncio.Event()
    async with hosted(tmp_path / "home") as host:
        learning = host.services.learning
        learning._learner = Slow(bundled_extensions(), encoder_files())
        store = learning.store
        name = store.keep("p", Composition(True, {"nodes": []}, seen=[seen(0, 0)]))
        store.begin("r", name, {})
        store.end("r", "succeeded", 1.0, 1.0)
        first = asyncio.create_task(host.train_policy())
        while learning._lesson is None:
            await asyncio.sleep(0)
        with pytest.raises(BadInput, match="at work already"):
            await host.train_policy()
        assert (await host.learning())["learner"]["state"] == "learning"
    await asyncio.gather(first, return_exceptions=True)
    assert learning._lesson.done()


async def test_it_starts_by_itself_when_nothing_plays_and_enough_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LOOKED", 0.01)
    asked = asyncio.Event()

    class Told(Learner):
        async def learn(self, lesson: Lesson, heard: object) -> dict[str, object]:
            asked.set()
            raise SymphonyError("enough for a test")

    settings = "[conductor.learning]\nidle = 0\nleast = 1\n"
    async with hosted(tmp_path / "home", settings) as host:
        learning = host.services.learning
        learning._learner = Told(bundled_extensions(), encoder_files())
        store = learning.store
        name = store.keep("p", Composition(True, {"nodes": []}, seen=[seen(0, 0)]))
        store.begin("r", name, {})
        store.end("r", "succeeded", 1.0, 1.0)
        await asyncio.wait_for(asked.wait(), 30)


def test_the_learner_has_the_lowest_priority_and_ends_with_its_host(tmp_path: Path) -> None:
    code = (
        "import os, time; from conductor.training.online import step_back; step_back();"
        "print(os.nice(0), flush=True); time.sleep(60)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, cwd=tmp_path) as child:
        assert child.stdin is not None and child.stdout is not None
        assert int(child.stdout.readline()) == 19
        child.stdin.close()
        assert child.wait(timeout=30) == 1
