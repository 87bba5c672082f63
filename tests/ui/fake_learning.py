"""What the in-memory host says of learning."""

from __future__ import annotations

import copy
from typing import Any

from symphony.errors import BadInput, EnvironmentLacks
from symphony.ports.host import Json

CURVE = [
    {"step": n, "policy_loss": 0.9 - 0.05 * n, "value_loss": 0.3 - 0.01 * n, "kl_divergence": 0.002 * n,
     "return": 0.6 + 0.02 * n}
    for n in range(1, 13)
]  # fmt: skip

LEARNING: Json = {
    "logging": True,
    "automatic": True,
    "replay": {"compositions": 40, "decisions": 118, "runs": 36, "ended": 33, "labelled": 4, "capacity": 100_000},
    "policy": {"deciding": "online-2", "version": "online-2", "current": "online-2", "previous": "online-1",
               "trouble": ""},
    "learner": {"state": "waiting", "detail": "", "remedy": ""},
    "events": [
        {"at": 1_780_000_300.0, "kind": "promoted", "version": "online-2",
         "reason": "+0.4 points against the policy in use, +0.9 against the shipped"},
        {"at": 1_780_000_200.0, "kind": "refused", "version": "online-x",
         "reason": "it may lose 2.1 points against the policy in use, 1 is allowed"},
        {"at": 1_780_000_100.0, "kind": "promoted", "version": "online-1", "reason": "+0.5 points"},
    ],
    "lessons": [
        {"at": 1_780_000_300.0, "decisions": 118, "version": "online-2", "promoted": True,
         "reason": "+0.4 points against the policy in use, +0.9 against the shipped", "curve": CURVE},
        {"at": 1_780_000_200.0, "decisions": 92, "version": "online-x", "promoted": False,
         "reason": "it may lose 2.1 points against the policy in use, 1 is allowed", "curve": CURVE[:6]},
    ],
    "runs": [
        {"run": f"run-{n}", "created": 1_780_000_000.0 + n, "prompt": prompt, "composed": [], "players": [],
         "corrected": None, "status": status, "seconds": 2.0, "quality": 1.0, "rating": rating, "undone": False,
         "reward": reward, "policy": "online-2", "encoder": "e", "decisions": []}
        for n, (prompt, status, rating, reward) in enumerate(
            [("which files changed most in the last month", "succeeded", 1, 0.93),
             ("summarise the notes", "failed", -1, 0.0), ("count the lines of each file", "cancelled", 0, None)]
        )
    ],
}  # fmt: skip


class FakeLearning:
    """The methods of the port; `learned` is what it knows."""

    calls: list[tuple[str, tuple[Any, ...]]]

    def __init__(self) -> None:
        self.learned = copy.deepcopy(LEARNING)

    async def learning(self, limit: int = 20) -> Json:
        return copy.deepcopy({**self.learned, "runs": self.learned["runs"][:limit]})

    async def learning_of_run(self, run: str) -> Json:
        kept = next((row for row in self.learned["runs"] if row["run"] == run), None)
        return {"run": run, "kept": copy.deepcopy(kept)}

    async def rate_run(self, run: str, rating: str) -> Json:
        self.calls.append(("rate_run", (run, rating)))
        for row in self.learned["runs"]:
            if row["run"] == run:
                row["rating"] = {"good": 1, "bad": -1, "none": 0}[rating]
        return {"run": run, "rating": rating}

    async def export_learning(self) -> Json:
        return {"runs": copy.deepcopy(self.learned["runs"])}

    async def forget_learning(self, run: str | None = None) -> Json:
        self.calls.append(("forget_learning", (run,)))
        before = len(self.learned["runs"])
        self.learned["runs"] = [row for row in self.learned["runs"] if run is not None and row["run"] != run]
        return {"forgotten": before - len(self.learned["runs"])}

    async def rollback_policy(self, reason: str = "") -> Json:
        self.calls.append(("rollback_policy", (reason,)))
        policy = self.learned["policy"]
        if policy["current"] == "shipped":
            raise BadInput("The shipped policy decides already", remedy="there is nothing to take back")
        policy["current"] = policy["deciding"] = policy["version"] = policy["previous"] or "shipped"
        policy["previous"] = None
        return {"current": policy["current"], "previous": None}

    async def train_policy(self) -> Json:
        self.calls.append(("train_policy", ()))
        if self.learned["learner"]["state"] == "missing":
            raise EnvironmentLacks("Learning needs torch, which is not installed", remedy="run `make learn`")
        return dict(self.learned["lessons"][0])
