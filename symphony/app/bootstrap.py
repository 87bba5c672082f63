"""Starts the components in phases, retries what failed for a passing reason, and rolls back in reverse order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from symphony.errors import EnvironmentLacks, SymphonyError
from symphony.ports.component import AsyncComponent, HealthStatus

log = logging.getLogger(__name__)

PASSING = (ConnectionError, TimeoutError, BlockingIOError)
"""Failures that may be gone at the next try."""


@dataclass(frozen=True, slots=True)
class StartPolicy:
    """How long one start may take (seconds) and how often it is tried."""

    timeout: float = 30.0
    attempts: int = 3
    delay: float = 0.1


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

    async def start(self, phases: Sequence[Phase]) -> None:
        """Starts phase after phase. When a component cannot start, those that did are stopped in reverse
        order and the error names the phase and the component.
        """
        for phase in phases:
            results = await asyncio.gather(
                *(self._start_one(component) for component in phase.components), return_exceptions=True
            )
            for component, result in zip(phase.components, results, strict=True):
                if isinstance(result, BaseException):
                    await self.stop()
                    raise _explained(phase, component, result) from result

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
        return list(await asyncio.gather(*(_checked(c.name, c.health_check) for c in self._started)))

    async def _start_one(self, component: AsyncComponent) -> None:
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
                await asyncio.sleep(policy.delay * 2 ** (attempt - 1))
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
