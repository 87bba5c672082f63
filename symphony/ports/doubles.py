"""The ports in memory: for tests and for trying things without processes, disk or models."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from symphony.errors import BadInput, InvalidManifest, InvalidMelody, NotFound, PlayerError
from symphony.ports.conductor import ConductorStatus, OrchestrationRequest, OrchestrationResult
from symphony.ports.extension import ExtensionId
from symphony.ports.pit import ArtifactId, ExecutionId, ModelHandle
from symphony.ports.text_editing import BufferId, TextEdit
from symphony.types.runs import NodeRun, RunInfo

MAX_PROMPT = 20_000
"""Longest prompt in characters."""

Function = Callable[[Mapping[str, Any], Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""(params, inputs) → outputs."""


class InMemoryTextEditing:
    """A text engine over a dictionary of files."""

    def __init__(self, files: dict[Path, str]) -> None:
        self.files = files
        self._buffers: dict[BufferId, tuple[Path, str]] = {}
        self._numbers = itertools.count(1)

    async def open_file(self, path: Path) -> BufferId:
        """See TextEditingPort."""
        if path not in self.files:
            raise NotFound(f"There is no file {path}", remedy="check the path")
        buffer = BufferId(f"buffer-{next(self._numbers)}")
        self._buffers[buffer] = (path, self.files[path])
        return buffer

    async def edit_text(self, buffer: BufferId, edit: TextEdit) -> None:
        """See TextEditingPort."""
        path, text = self._buffer(buffer)
        if not 0 <= edit.start <= edit.end <= len(text):
            raise BadInput(
                f"The range {edit.start}–{edit.end} lies outside of {path}", remedy="read it again"
            )
        self._buffers[buffer] = (path, text[: edit.start] + edit.text + text[edit.end :])

    async def get_buffer_content(self, buffer: BufferId) -> str:
        """See TextEditingPort."""
        return self._buffer(buffer)[1]

    async def save(self, buffer: BufferId) -> None:
        """See TextEditingPort."""
        path, text = self._buffer(buffer)
        self.files[path] = text

    async def close(self, buffer: BufferId) -> None:
        """See TextEditingPort."""
        self._buffer(buffer)
        del self._buffers[buffer]

    def _buffer(self, buffer: BufferId) -> tuple[Path, str]:
        if buffer not in self._buffers:
            raise NotFound(f"There is no buffer {buffer}", remedy="open the file again")
        return self._buffers[buffer]


class InMemoryPit:
    """A Pit whose Players are functions, keyed by `publisher/extension#function`, which play in order."""

    def __init__(self, players: Mapping[str, Function], models: frozenset[str] = frozenset()) -> None:
        self._players = players
        self._models = models
        self._held: set[ModelHandle] = set()
        self._numbers = itertools.count(1)
        self._runs: dict[ExecutionId, RunInfo] = {}
        self._tasks: dict[ExecutionId, asyncio.Task[None]] = {}
        self._artifacts: dict[ArtifactId, bytes] = {}

    async def allocate_model(
        self, model: str, priority: int = 5, timeout: float | None = None
    ) -> ModelHandle:
        """See PitPort."""
        if model not in self._models:
            raise NotFound(f"There is no model {model}", remedy="register it first")
        handle = ModelHandle(model, next(self._numbers))
        self._held.add(handle)
        return handle

    async def release_model(self, handle: ModelHandle) -> None:
        """See PitPort."""
        if handle not in self._held:
            raise BadInput(f"The handle of {handle.model} was given back before", remedy="allocate it again")
        self._held.remove(handle)

    async def execute_workflow(self, workflow: Mapping[str, Any]) -> ExecutionId:
        """See PitPort."""
        nodes = self._ordered(workflow)
        execution = ExecutionId(f"run-{next(self._numbers)}")
        runs = [NodeRun(node["id"], node["player"]) for node in nodes]
        run = RunInfo(execution, str(workflow.get("name", "")), "running", 0.0, runs)
        self._runs[execution] = run
        self._tasks[execution] = asyncio.create_task(self._play(run, nodes, list(workflow.get("edges", ()))))
        return execution

    async def execution(self, execution: ExecutionId) -> RunInfo:
        """See PitPort."""
        if execution not in self._runs:
            raise NotFound(f"There is no run {execution}", remedy="start it again")
        return self._runs[execution]

    async def wait(self, execution: ExecutionId) -> RunInfo:
        """See PitPort."""
        run = await self.execution(execution)
        await asyncio.wait([self._tasks[execution]])
        return run

    async def cancel(self, execution: ExecutionId) -> None:
        """See PitPort."""
        run = await self.execution(execution)
        if run.status == "running":
            self._tasks[execution].cancel()
            await asyncio.wait([self._tasks[execution]])
            run.status = "cancelled"
            for node in run.nodes:
                node.status = "cancelled" if node.status in ("pending", "running") else node.status

    async def store_artifact(self, content: bytes, name: str = "", type: str = "") -> ArtifactId:
        """See PitPort."""
        artifact = ArtifactId(f"sha256:{hashlib.sha256(content).hexdigest()}")
        self._artifacts[artifact] = bytes(content)
        return artifact

    async def get_artifact(self, artifact: ArtifactId) -> bytes:
        """See PitPort."""
        if artifact not in self._artifacts:
            raise NotFound(f"There is no artifact {artifact}", remedy="see what is stored")
        return self._artifacts[artifact]

    def _ordered(self, workflow: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        nodes = {node["id"]: node for node in workflow.get("nodes", ())}
        for node in nodes.values():
            if node["player"] not in self._players:
                raise InvalidMelody(f"There is no Player {node['player']}", remedy="install its extension")
        sources: dict[str, set[str]] = {node_id: set() for node_id in nodes}
        for edge in workflow.get("edges", ()):
            sources[edge["to"].partition(".")[0]].add(edge["from"].partition(".")[0])
        ordered: list[str] = []
        while len(ordered) < len(nodes):
            ready = [i for i in nodes if i not in ordered and sources[i] <= set(ordered)]
            if not ready:
                raise InvalidMelody("The nodes wait for each other", remedy="remove an edge")
            ordered += ready
        return [nodes[node_id] for node_id in ordered]

    async def _play(
        self, run: RunInfo, nodes: list[Mapping[str, Any]], edges: list[Mapping[str, Any]]
    ) -> None:
        outputs: dict[str, dict[str, Any]] = {}
        for node, state in zip(nodes, run.nodes, strict=True):
            inputs = {}
            missing = False
            for edge in edges:
                target, _, port = edge["to"].partition(".")
                source, _, source_port = edge["from"].partition(".")
                if target == node["id"]:
                    missing = missing or source not in outputs
                    inputs[port] = outputs.get(source, {}).get(source_port)
            if missing:
                state.status = "skipped"
                continue
            state.status, state.attempts = "running", 1
            try:
                outputs[node["id"]] = await self._players[node["player"]](node.get("params", {}), inputs)
                state.status = "succeeded"
            except PlayerError as error:
                state.status, state.error = "failed", error.to_json()
        run.status = "failed" if any(s.status == "failed" for s in run.nodes) else "succeeded"


class InMemoryExtensions:
    """A stage on which every extension is a table of functions, found by its folder."""

    def __init__(self, extensions: Mapping[Path, Mapping[str, Function]]) -> None:
        self._extensions = extensions
        self._loaded: dict[ExtensionId, Path] = {}

    async def load_extension(self, folder: Path) -> ExtensionId:
        """See ExtensionPort."""
        if folder not in self._extensions:
            raise InvalidManifest(f"{folder}: there is no such manifest", remedy="add a Symphony.toml")
        extension = ExtensionId(str(folder))
        self._loaded[extension] = folder
        return extension

    async def invoke_extension(
        self,
        extension: ExtensionId,
        function: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any],
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """See ExtensionPort."""
        functions = self._extensions[self._folder(extension)]
        if function not in functions:
            raise NotFound(f"{extension} has no function {function}", remedy=f"it has {', '.join(functions)}")
        try:
            return await asyncio.wait_for(functions[function](params, inputs), timeout)
        except TimeoutError:
            raise PlayerError(f"{extension}#{function} took too long", remedy="raise its timeout") from None

    async def unload_extension(self, extension: ExtensionId) -> None:
        """See ExtensionPort."""
        self._folder(extension)
        del self._loaded[extension]

    def _folder(self, extension: ExtensionId) -> Path:
        if extension not in self._loaded:
            raise NotFound(f"The extension {extension} is not loaded", remedy="load it first")
        return self._loaded[extension]


class InMemoryConductor:
    """A Conductor that knows its answers beforehand, by prompt."""

    def __init__(self, answers: Mapping[str, OrchestrationResult]) -> None:
        self._answers = answers

    async def orchestrate(self, request: OrchestrationRequest) -> OrchestrationResult:
        """See ConductorPort."""
        prompt = request.prompt.strip()
        if not prompt:
            raise BadInput("The prompt is empty", remedy="say what should be done")
        if len(prompt) > MAX_PROMPT:
            raise BadInput(f"The prompt has more than {MAX_PROMPT} characters", remedy="shorten it")
        unknown = OrchestrationResult(possible=False, missing=[f"a Player for: {prompt[:60]}"])
        return replace(self._answers.get(prompt, unknown))

    async def get_status(self) -> ConductorStatus:
        """See ConductorPort."""
        return ConductorStatus(ready=True, players=len(self._answers))
