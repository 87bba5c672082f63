"""Somebody who always puts another maker's twin in the place of a Player: what is learnt from that, and what the
command refuses. What it measures over many stands in docs/conductor.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.evaluate.preference import WEIGHTS, User
from conductor.learning.store import ReplayStore
from conductor.policy import Policy
from conductor.training.compositions import bundled
from conductor.training.improve import improve, lesson_of

ROOT = Path(__file__).parents[2]


def test_a_few_corrections_bring_the_twin_in_phrasings_that_nobody_used(tmp_path: Path) -> None:
    options = argparse.Namespace(seed=1, extensions=ROOT / "extensions", corrections=[24], asked=40)
    shipped = Policy.load(WEIGHTS)
    original = next(spec for spec in bundled(options.extensions)[0] if spec.player == "symphony/files#list")
    user = User(options, Memory(Encoder(ROOT / "build" / "encoder")), original, shipped.project)
    before = user.asked(shipped)
    store = ReplayStore(tmp_path / "replay.sqlite")
    user.use(shipped, store, 24)
    buffer = store.buffer()
    numbers = store.numbers(s.decision.state for s in lesson_of(buffer))
    store.close()
    arrays, curve = improve(shipped, buffer, numbers, [], seed=1)
    after = user.asked(Policy(arrays, {"version": "candidate"}))
    assert curve[-1]["labels_right"] > curve[0]["labels_right"]
    assert after["wanted"] >= before["wanted"] + 0.1


def test_a_user_who_corrects_nothing_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conductor.evaluate", "preference", "--corrections", "0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
