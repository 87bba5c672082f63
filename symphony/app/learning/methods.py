"""Methods about learning: what is kept of runs, what was promoted, one step back."""

from __future__ import annotations

from typing import Any

from symphony.app.services import Services
from symphony.errors import BadInput

Json = dict[str, Any]

RATINGS = {"good": 1, "bad": -1, "none": 0}
SAID = {"good": "good", "bad": "not good"}


class LearningMethods:
    """What was learnt from runs and from what users say of them."""

    services: Services

    async def rate_run(self, run: str, rating: str) -> Json:
        """Keeps what the user says of a run."""
        if rating not in RATINGS:
            raise BadInput(f"{rating!r} is no rating", remedy=f"say one of {', '.join(RATINGS)}")
        info = self.services.history.get(run).info
        whole = info.id
        said = (
            f"Said of {info.name}: {SAID[rating]}"
            if rating != "none"
            else f"Took back what was said of {info.name}"
        )
        async with self.services.actions.record("rating", whole, said):
            await self.services.learning.rate(whole, RATINGS[rating])
        return {"run": whole, "rating": rating}

    async def learning(self, limit: int = 20) -> Json:
        """All that is known of learning, with the newest runs that are kept."""
        return await self.services.learning.show(limit)

    async def learning_of_run(self, run: str) -> Json:
        """What is kept of one run: its decisions, its outcome and its rating."""
        whole = self.services.history.get(run).info.id
        return {"run": whole, "kept": await self.services.learning.rating(whole)}

    async def export_learning(self) -> Json:
        """Everything that is kept, with the numbers."""
        return {"runs": await self.services.learning.export()}

    async def forget_learning(self, run: str | None = None) -> Json:
        """Drops what is kept of a run, or of all."""
        return {"forgotten": await self.services.learning.forget(run)}

    async def rollback_policy(self, reason: str = "") -> Json:
        """Goes one step back to the policy that decided before."""
        return await self.services.learning.roll_back(reason or "asked for by the user")

    async def train_policy(self) -> Json:
        """Learns from what is kept, now."""
        return await self.services.learning.train()
