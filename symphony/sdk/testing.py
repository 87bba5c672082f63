"""Runs a Player's functions in the test's own process, without host and sandbox.

    harness = Harness("extensions/git/player.py", project=repository)
    outputs = harness.call("log", params={"since": "90d"})

What a function asks of the host is served by `LocalHost`: real files and real programs in the
project, dicts or functions for everything else. What the manifest does not grant is refused, as the
host would; values go through the wire format, so that what cannot travel fails here too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgpack

from symphony.sdk import player as player_module_instance
from symphony.sdk import service
from symphony.sdk.context import Call, Context
from symphony.sdk.local_host import LocalHost
from symphony.sdk.manifest import Manifest
from symphony.sdk.player import Player
from symphony.sdk.values import Artifact

__all__ = ["Harness", "LocalHost"]


class Harness:
    """One extension, loaded for tests.

    `host` serves the capabilities; without it a `LocalHost` with the manifest's grants does, and
    `capabilities` overrides single methods: `{"model.embed": lambda body: {"vectors": …}}`.
    After a call, `artifacts` has name and type of outputs that are artifacts, and `host.events` what
    the function reported.
    """

    def __init__(
        self,
        entry: str | Path,
        project: str | Path | None = None,
        vendor: str | Path | None = None,
        *,
        capabilities: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] | None = None,
        configuration: Mapping[str, Any] | None = None,
        host: LocalHost | None = None,
    ) -> None:
        self.entry = Path(entry).resolve()
        self.project = Path(project).resolve() if project is not None else None
        self._declared = Manifest(str(self.entry))
        self.manifest = self._declared.content
        self.host = host or LocalHost(self.project, self.manifest, capabilities or {})
        self.artifacts: dict[str, dict[str, str]] = {}
        self._configuration = dict(configuration or {})
        folder = self.entry.parent
        self._path = [str(Path(vendor).resolve() if vendor else folder / "vendor"), str(folder)]
        self._modules: dict[str, ModuleType] = {}
        self.player = self._load()
        with self._inside():
            self.player.activate(self._configuration)

    @property
    def functions(self) -> list[str]:
        """The registered functions."""
        return self.player.functions

    def call(
        self,
        function: str,
        params: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        attempt: int = 1,
        cancelled: bool = False,
    ) -> dict[str, Any]:
        """Calls a function and gives its outputs by port.

        Raises what the function raises: `PlayerFailure`, `Cancelled`, or its own exception.
        """
        about = {
            "run": "harness",
            "node": function,
            "project": str(self.project) if self.project is not None else None,
            "attempt": attempt,
        }
        call = Call(b"\0" * 16)
        call.cancelled = cancelled
        context = Context(self.host, call, about, self._configuration)
        with self._inside():
            outputs, self.artifacts = self.player.invoke(
                function,
                context,
                _travel(inputs or {}),
                _travel(params or {}),
                lambda: self._declared.outputs(function),
            )
        result: dict[str, Any] = _travel(outputs)
        return result

    def artifact(self, port: str, outputs: Mapping[str, Any]) -> Artifact:
        """The output of a port with its name and type, as the host would store it."""
        about = self.artifacts.get(port, {})
        return Artifact(outputs[port], name=about.get("name", ""), type=about.get("type", ""))

    def _load(self) -> Player:
        """Runs the entry with a `Player` of its own in the place of the process's only one."""
        fresh = Player()
        shared = vars(player_module_instance).copy()
        vars(player_module_instance).update(vars(fresh))
        service.hold(True)
        module = ModuleType("__main__")
        module.__file__ = str(self.entry)
        try:
            with self._inside():
                exec(
                    compile(self.entry.read_bytes(), str(self.entry), "exec", dont_inherit=True), vars(module)
                )
            vars(fresh).update(vars(player_module_instance))
        finally:
            service.hold(False)
            vars(player_module_instance).update(shared)
        return fresh

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """The extension's own modules and import path, and nobody else's."""
        path = sys.path.copy()
        sys.path[:0] = self._path
        sys.modules.update(self._modules)
        before = set(sys.modules) - set(self._modules)
        try:
            yield
        finally:
            sys.path[:] = path
            for name in set(sys.modules) - before:
                if self._is_own(sys.modules[name]):
                    self._modules[name] = sys.modules.pop(name)

    def _is_own(self, module: ModuleType) -> bool:
        """Whether a module is the extension's; vendored packages stay, for native ones load only once."""
        file = getattr(module, "__file__", None)
        return (
            file is not None and Path(file).parent.is_relative_to(self.entry.parent) and "vendor" not in file
        )


def _travel(value: Any) -> Any:
    """The value as it is at the other end of the wire."""
    return msgpack.unpackb(msgpack.packb(value, use_bin_type=True), raw=False, strict_map_key=True)
