"""The simulated month in its short form: the learner, the gate, and somebody who rewards what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from conductor.evaluate.month import DRAWS, power

pytest.importorskip("torch")

SHORT = ("--runs", "120", "--every", "60", "--levels", "60", "--worlds", "2", "--prompts", "16")


@pytest.fixture(scope="module")
def month() -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "conductor.evaluate", "month", *SHORT],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_no_promoted_policy_loses_more_than_a_point(month: Any) -> None:
    gated = month["gated"]
    assert gated["within_a_point"] and gated["worst_promoted"] >= -0.01
    assert gated["promoted"] + gated["refused"] == len(gated["lessons"]) == 2
    assert any(lesson["malicious"] for lesson in gated["lessons"])
    for lesson in gated["lessons"]:
        assert lesson["promoted"] or "may lose" in lesson["reason"]


def test_without_the_gate_everything_decides(month: Any) -> None:
    """What comes of that in a whole month stands in docs/function-quest.md."""
    ungated = month["ungated"]
    assert ungated["refused"] == 0 and ungated["promoted"] == 2
    assert any("may lose" in lesson["reason"] for lesson in ungated["lessons"] if lesson["promoted"])
    assert month["shown"]["without_the_gate_the_malicious_get_through"] == (ungated["worst_promoted"] < -0.01)


def test_the_gate_tells_worse_from_better_over_200_draws(month: Any) -> None:
    assert month["gate"]["draws"] == DRAWS == 200
    dice = np.random.default_rng(0)
    for rate in (0.3, 0.5, 0.8):
        found = power((dice.random(4_000) < rate).astype(np.float32), 3)
        assert found["worse_by_3_refused"] >= 0.95 and found["better_by_2_promoted"] >= 0.90


def test_a_month_without_a_lesson_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conductor.evaluate", "month", "--runs", "5", "--every", "10"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
