"""Starts the components in phases, retries what failed for a passing reason, and rolls back in reverse order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from symphony.errors import EnvironmentLacks, SymphonyError
from symphony.ports.component import AsyncComponent, HealthStatus

log = logging.getLogger(__name__)

PASSING = (ConnectionError, TimeoutError, BlockingIOError)
"""Failures that may be gone at the next try."""


@dataclass(frozen=True, slots=True)
class StartPolicy:
    """How long one start may take and how long is waited before the second try (seconds), and how often it
    is tried.
    """

    timeout: float = 30.0
    attempts: int = 3
    delay: float = 0.1
    backoff: Literal["none", "fixed", "exponential"] = "exponential"

    def wait(self, attempt: int) -> float:
        """Seconds to wait after this attempt has failed."""
        if self.backoff == "none":
            return 0.0
        return float(self.delay * (2 ** (attempt - 1) if self.backoff == "exponential" else 1))


@dataclass(frozen=True, slots=True)
class Phase:
    """Components that start together; all of them are up before the next phase begins."""

    name: str
    components: Sequence[AsyncComponent]


@dataclass(slots=True)
class Bootstrap:
    """The phase manager. `policy` answers the start policy of a component by its name."""

    policy: Callable[[str], StartPolicy]
    _started: list[AsyncComponent] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each component took to start."""
    phases: dict[str, str] = field(default_factory=dict)
    """The phase of each component."""

    async def start(self, phases: Sequence[Phase]) -> None:
        """Starts phase after phase. When a component cannot start, the others of its phase are given up, those
        that did start are stopped in reverse order, and the error names the phase and the component.
        """
        for phase in phases:
            began = time.perf_counter()
            tasks = {asyncio.create_task(self._start_one(c, phase)): c for c in phase.components}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                failed = [t for t in tasks if t.done() and t.exception() is not None]
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if failed:
                await self.stop()
                error = failed[0].exception()
                assert error is not None
                raise _explained(phase, tasks[failed[0]], error) from error
            log.info(
                "phase %s is up after %.3f s: %s",
                phase.name,
                time.perf_counter() - began,
                ", ".join(f"{c.name} ({self.seconds[c.name]:.3f} s)" for c in phase.components),
                extra={"component": "bootstrap"},
            )

    async def stop(self) -> None:
        """Stops all that was started, last first. One that fails to stop does not keep the others up."""
        while self._started:
            component = self._started.pop()
            try:
                await component.stop()
            except Exception:
                log.exception("%s did not stop in order", component.name)

    async def health(self) -> list[HealthStatus]:
        """The health of every started component."""
        found = await asyncio.gather(*(_checked(c.name, c.health_check) for c in self._started))
        return [self._placed(status) for status in found]

    def _placed(self, status: HealthStatus) -> HealthStatus:
        """With the phase in which the component started."""
        phase = f"phase {self.phases[status.name]}, up in {self.seconds[status.name]:.3f} s"
        return replace(status, detail=f"{status.detail} ({phase})" if status.detail else phase)

    async def _start_one(self, component: AsyncComponent, phase: Phase) -> None:
        policy = self.policy(component.name)
        began = time.perf_counter()
        for attempt in range(1, policy.attempts + 1):
            try:
                await asyncio.wait_for(component.start(), policy.timeout)
                break
            except PASSING as error:
                if attempt == policy.attempts:
                    raise
                log.warning(
                    "%s did not start (%s), trying again", component.name, error or type(error).__name__
                )
                await asyncio.sleep(policy.wait(attempt))
        self.phases[component.name] = phase.name
        self.seconds[component.name] = time.perf_counter() - began
        self._started.append(component)


async def _checked(name: str, check: Callable[[], Awaitable[HealthStatus]]) -> HealthStatus:
    try:
        return await asyncio.wait_for(check(), 5)
    except Exception as error:
        return HealthStatus(name, "failed", str(error) or type(error).__name__, "see `symphony logs`")


def _explained(phase: Phase, component: AsyncComponent, error: BaseException) -> SymphonyError:
    if isinstance(error, SymphonyError):
        error.message = f"{component.name} did not start ({phase.name}): {error.message}"
        return error
    if isinstance(error, TimeoutError):
        return EnvironmentLacks(
            f"{component.name} did not start in time ({phase.name})", remedy="see `symphony logs`"
        )
    return EnvironmentLacks(
        f"{component.name} did not start ({phase.name}): {error}",
        remedy="see `symphony logs` and `symphony doctor`",
    )
