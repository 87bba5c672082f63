"""The real adapters of the ports of document 5: the Pit, the Grand Stage and the Conductor of a running host."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony.app.project import look_at, resolve_project
from symphony.app.tiering import AnyTier
from symphony.errors import BadInput, NotFound
from symphony.ports.conductor import ConductorStatus, OrchestrationRequest, OrchestrationResult
from symphony.ports.extension import ExtensionId
from symphony.ports.pit import ArtifactId, ExecutionId, ModelHandle
from symphony.stage.manifest import Manifest, load_manifest
from symphony.stage.roster import CastMember, Roster
from symphony.types.runs import RunInfo

if TYPE_CHECKING:
    from pit_native import PoolHandle, PoolManager
    from symphony.app.host import Host
    from symphony.app.planning import Planner

Json = dict[str, Any]


class HostPit:
    """PitPort on a host. Models are the entries of `models`, a Pool Manager of their own beside the Players'."""

    def __init__(self, host: Host, models: PoolManager, project: Path | None = None) -> None:
        self._host = host
        self._models = models
        self._project = project
        self._held: dict[int, PoolHandle] = {}
        self._numbers = itertools.count(1)

    async def allocate_model(
        self, model: str, priority: int = 5, timeout: float | None = None
    ) -> ModelHandle:
        """See PitPort."""
        held = await asyncio.to_thread(self._models.allocate, model, priority, timeout)
        handle = ModelHandle(model, next(self._numbers))
        self._held[handle.token] = held
        return handle

    async def release_model(self, handle: ModelHandle) -> None:
        """See PitPort."""
        held = self._held.pop(handle.token, None)
        if held is None:
            raise BadInput(f"The handle of {handle.model} was given back before", remedy="allocate it again")
        self._models.release(held)

    async def execute_workflow(self, workflow: Mapping[str, Any]) -> ExecutionId:
        """See PitPort. Who calls it has asked the user for what must be asked."""
        project = str(self._project) if self._project else None
        started = await self._host.execute_melody(dict(workflow), project=project, agreed=True)
        return ExecutionId(started["run"])

    async def execution(self, execution: ExecutionId) -> RunInfo:
        """See PitPort."""
        return self._host.services.history.get(execution).info

    async def wait(self, execution: ExecutionId) -> RunInfo:
        """See PitPort."""
        return (await self._host.services.engine.ended(execution)).info

    async def cancel(self, execution: ExecutionId) -> None:
        """See PitPort."""
        self._host.services.engine.cancel((await self.execution(execution)).id)

    async def store_artifact(self, content: bytes, name: str = "", type: str = "") -> ArtifactId:
        """See PitPort."""
        store = self._host.services.pit.store
        return ArtifactId(
            await asyncio.to_thread(
                lambda: store.put(content, name=name or "unnamed", type=type or "application/octet-stream")
            )
        )

    async def get_artifact(self, artifact: ArtifactId) -> bytes:
        """See PitPort."""
        services = self._host.services
        return await asyncio.to_thread(AnyTier(services.pit.store, services.tiers).get, artifact)


class SandboxedExtensions:
    """ExtensionPort on a roster. `granted` decides what an extension of a folder may do; `call` asks one
    function of a Player: pool entry, body and timeout in seconds to outputs.
    """

    def __init__(
        self,
        roster: Roster,
        call: Callable[[str, Json, float], Awaitable[Json]],
        granted: Callable[[Manifest], Sequence[str]],
        *,
        timeout: float = 300.0,
    ) -> None:
        self._roster = roster
        self._call = call
        self._granted = granted
        self._timeout = timeout
        self._loaded: dict[ExtensionId, CastMember] = {}

    async def load_extension(self, folder: Path) -> ExtensionId:
        """See ExtensionPort."""
        manifest = await asyncio.to_thread(load_manifest, folder)
        member = CastMember(manifest.name, manifest.version, folder, manifest, tuple(self._granted(manifest)))
        extension = ExtensionId(member.name)
        self._loaded[extension] = member
        self._roster.add(member)
        return extension

    async def invoke_extension(
        self,
        extension: ExtensionId,
        function: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any],
        timeout: float | None = None,
    ) -> Json:
        """See ExtensionPort."""
        member = self._member(extension)
        if function not in {spec.function for spec in member.manifest.functions}:
            raise NotFound(f"{extension} has no function {function}", remedy="see its Symphony.toml")
        body = {
            "function": function,
            "params": dict(params),
            "inputs": dict(inputs),
            "context": {"run": "", "node": "", "project": None, "attempt": 1},
        }
        return await self._call(self._roster.key(extension, None), body, timeout or self._timeout)

    async def unload_extension(self, extension: ExtensionId) -> None:
        """See ExtensionPort."""
        self._member(extension)
        del self._loaded[extension]
        self._roster.drop(extension)

    def _member(self, extension: ExtensionId) -> CastMember:
        member = self._loaded.get(extension)
        if member is None:
            raise NotFound(f"The extension {extension} is not loaded", remedy="load its folder first")
        return member


class PlannerConductor:
    """ConductorPort on the host's planner."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    async def orchestrate(self, request: OrchestrationRequest) -> OrchestrationResult:
        """See ConductorPort."""

        def compose() -> OrchestrationResult:
            view = look_at(resolve_project(request.project)) if request.project else None
            made = self._planner.compose(request.prompt, view)
            if not made.possible:
                return OrchestrationResult(
                    False, missing=list(made.missing), extensions=list(made.extensions)
                )
            return OrchestrationResult(
                True,
                made.melody,
                list(made.explanations),
                made.predicted_seconds,
                list(made.missing),
                list(made.extensions),
            )

        return await asyncio.to_thread(compose)

    async def get_status(self) -> ConductorStatus:
        """See ConductorPort."""
        health = await self._planner.health_check()
        return ConductorStatus(self._planner.is_loaded, self._planner.players, health.detail)
