"""Counts what succeeded, layer by layer, beside what the document promises of each."""

from __future__ import annotations

from collections import Counter
from typing import Any

PROMISED = {"Conductor": 99.9, "Pit": 99.99, "bus": 99.95, "Players": 99.5, "Virtual DOM": 99.9}
"""Per cent of a layer's operations. What an injected kill ended counts apart."""
KEPT_FAILURES = 20


class Tally:
    """Operations by layer: well, failed, or ended by a kill of ours."""

    def __init__(self) -> None:
        self.well: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        """Every operation by what it was, whatever became of it."""
        self.failures: list[str] = []

    def note(self, layer: str, kind: str, failure: str = "", *, injected: bool = False) -> None:
        """Counts an operation. `injected` says that a kill fell into it, which excuses a failure."""
        assert layer in PROMISED, layer
        self.kinds[f"{layer}: {kind}"] += 1
        if not failure:
            self.well[layer] += 1
        elif injected:
            self.injected[layer] += 1
        else:
            self.failed[layer] += 1
            if len(self.failures) < KEPT_FAILURES:
                self.failures.append(f"{layer}: {kind}: {failure}")

    def share(self, layer: str) -> float:
        """Per cent that succeeded of what no kill of ours ended."""
        judged = self.well[layer] + self.failed[layer]
        return 100.0 * self.well[layer] / judged if judged else 100.0

    def broken(self) -> list[str]:
        """The promises that were not kept. A layer of which nothing was seen promises nothing that was shown."""
        found = []
        for layer, promised in PROMISED.items():
            if not self.well[layer]:
                found.append(f"{layer}: no operation succeeded")
            elif self.share(layer) < promised:
                found.append(
                    f"{layer}: {self.share(layer):.3f} % of "
                    f"{self.well[layer] + self.failed[layer]} operations, promised are {promised} %"
                )
        return found

    def to_json(self) -> dict[str, Any]:
        """The shares with their counts, the kinds, and the first failures."""
        layers = {
            layer: {
                "promised": promised,
                "share": round(self.share(layer), 4),
                "well": self.well[layer],
                "failed": self.failed[layer],
                "ended_by_a_kill": self.injected[layer],
            }
            for layer, promised in PROMISED.items()
        }
        return {"layers": layers, "kinds": dict(sorted(self.kinds.items())), "failures": self.failures}
