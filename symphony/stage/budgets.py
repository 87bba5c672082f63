"""Budgets: what an extension may ask of the host in one day, and what it has used of that."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from symphony.config.files import write_atomically
from symphony.errors import PlayerError

_DAY = 86_400.0
_PAUSE = 5.0
"""Seconds between two writings of counts that cost nobody money; models' are written at once."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A day's limits for one extension; 0 means none. Cost is in the currency of the prices."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0


class Allowance(BaseModel):
    """What a user has set for one extension in the place of the general settings; None leaves these."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    calls: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    memory: int | None = Field(default=None, ge=16 << 20, description="bytes of all its processes together")
    cpu: float | None = Field(default=None, ge=0.01, le=1024)
    activation: float | None = Field(default=None, gt=0, le=3600, description="seconds")

    def over(self, budget: Budget) -> Budget:
        """The budget of a day, with what is set here in its place."""
        own = {name: getattr(self, name) for name in ("calls", "tokens", "cost")}
        return replace(budget, **{name: value for name, value in own.items() if value is not None})


GENERAL = Allowance.model_construct()
"""Nothing of its own: the settings hold."""


@dataclass(slots=True)
class Used:
    """What an extension has used since midnight, UTC."""

    calls: int = 0
    tokens: int = 0
    cost: float = 0.0


class BudgetSpent(PlayerError):
    """A day's budget has come to its end."""

    code = "budget"


class Ledger:
    """Counts per extension and day, kept in one small file so that a restart gives nobody a new budget."""

    def __init__(
        self, path: Path, budget: Callable[[str], Budget], now: Callable[[], float] = time.time
    ) -> None:
        """`budget` answers that of an extension."""
        self._path = path
        self._budget = budget
        self._now = now
        self._lock = threading.Lock()
        self._written = 0.0
        self._day, self._used = self._read()

    def check(self, extension: str, *, model: bool = False) -> None:
        """Raises BudgetSpent when the extension may ask for nothing more, or with `model` for no model."""
        with self._lock:
            used, budget = self._of(extension), self._budget(extension)
        spent: list[tuple[str, float, float]] = [("calls", used.calls, budget.calls)]
        if model:
            spent += [("tokens", used.tokens, budget.tokens), ("cost", used.cost, budget.cost)]
        for what, amount, limit in spent:
            if limit and amount >= limit:
                raise BudgetSpent(
                    f"{extension} has used its {what} of today: {amount:g} of {limit:g}",
                    remedy=f"raise stage.budget.{what} or `symphony ext budget {extension}`, or wait until "
                    "tomorrow (UTC)",
                )

    def is_limited(self, extension: str) -> bool:
        """Whether models cost it something that ends."""
        budget = self._budget(extension)
        return bool(budget.tokens or budget.cost)

    def longest_answer(self, extension: str, question: int, price: tuple[float, float]) -> int | None:
        """How many tokens a model's answer may have, after a question of so many, at the prices of a million tokens
        of question and answer; None for any number.

        Raises BudgetSpent when the day is spent, or nothing is left for an answer once the question is paid.
        """
        self.check(extension, model=True)
        budget = self._budget(extension)
        with self._lock:
            used = self._of(extension)
            tokens, cost = budget.tokens - used.tokens, budget.cost - used.cost
        left: list[int] = []
        if budget.tokens:
            left.append(tokens - question)
        if budget.cost:
            rest = cost - question * price[0] / 1e6
            if price[1]:
                left.append(int(rest * 1e6 / price[1]))
            elif rest < 0:
                left.append(0)
        if left and min(left) < 1:
            raise BudgetSpent(
                f"What {extension} may spend on models today does not pay for this question of about {question} "
                "tokens and an answer",
                remedy=f"ask for less, raise stage.budget or `symphony ext budget {extension}`, or wait until "
                "tomorrow (UTC)",
            )
        return min(left, default=None)

    def charge(self, extension: str, *, calls: int = 0, tokens: int = 0, cost: float = 0.0) -> None:
        """Counts what was used."""
        with self._lock:
            used = self._of(extension)
            used.calls += calls
            used.tokens += tokens
            used.cost += cost
            now = self._now()
            if tokens or cost or now - self._written >= _PAUSE:
                self._write(now)

    def about(self, extension: str) -> dict[str, Any]:
        """`{"calls", "tokens", "cost", "limits": {"calls", "tokens", "cost"}}`."""
        with self._lock:
            return {**asdict(self._of(extension)), "limits": asdict(self._budget(extension))}

    def close(self) -> None:
        """Writes what is not written yet."""
        with self._lock:
            if self._used:
                self._write(self._now())

    def _of(self, extension: str) -> Used:
        today = int(self._now() // _DAY)
        if today != self._day:
            self._day, self._used = today, {}
        return self._used.setdefault(extension, Used())

    def _read(self) -> tuple[int, dict[str, Used]]:
        try:
            body = json.loads(self._path.read_bytes())
            return int(body["day"]), {name: Used(**used) for name, used in body["used"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return 0, {}  # not there yet, or nothing that could be believed

    def _write(self, now: float) -> None:
        self._written = now
        body = {"day": self._day, "used": {name: asdict(used) for name, used in self._used.items()}}
        write_atomically(self._path, json.dumps(body).encode())
