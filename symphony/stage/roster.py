"""The roster: which extensions can be called, and how the Pool Manager starts each as a sandboxed Player."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from symphony.errors import NotFound
from symphony.stage.budgets import GENERAL, Allowance
from symphony.stage.manifest import Manifest
from symphony.stage.permissions import Grants
from symphony.stage.runtimes import launch_spec

_WHOLE = frozenset({"read:project/**", "write:project/**"})
"""The grants with which a Player is shown the whole project."""


class PlayerRuntime(Protocol):
    """What the roster needs of `pit_native.Runtime`."""

    def register_player(self, key: str, launch: dict[str, Any]) -> None: ...

    def unregister_player(self, key: str) -> object: ...


@dataclass(frozen=True, slots=True)
class CastMember:
    """An extension that may play: where its files are and what the user has granted it."""

    name: str
    version: str
    directory: Path
    manifest: Manifest
    granted: tuple[str, ...]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    is_developed: bool = False
    """Whether it is a state of an extension that its author works on: the next one takes over without haste."""
    allowance: Allowance = GENERAL
    """What the user has set for it alone; its own word counts no further than the general settings."""

    def memory(self, ceiling: int) -> int:
        """Bytes that all processes of one of its sandboxes may use together."""
        return self.allowance.memory or min(self.manifest.resources.memory, ceiling)

    def cpu(self, ceiling: float) -> float:
        """Cores that one of its sandboxes may keep busy."""
        return self.allowance.cpu or min(self.manifest.resources.cpu, ceiling)


@dataclass(frozen=True, slots=True)
class PlayerLimits:
    """Settings that hold for every Player. Seconds; bytes; the layers that the user gave up by name.

    `memory` and `cpu` are ceilings: a manifest may ask for less, and gets no more.
    """

    start_timeout: float = 10.0
    idle: float = 120.0
    allow_missing: tuple[str, ...] = ()
    memory: int = 4 << 30
    cpu: float = 2.0


class Roster:
    """Keeps one pool entry an extension, version and project, and tells the broker whose it is."""

    def __init__(
        self,
        runtime: PlayerRuntime,
        limits: Callable[[], PlayerLimits],
        template: Callable[[], object] = lambda: None,
    ) -> None:
        """`template` gives the `pit_native.PlayerTemplate` from which Players may be copied, if there is one."""
        self._runtime = runtime
        self._template = template
        self._limits = limits
        self._members: dict[str, CastMember] = {}
        self._added: dict[str, CastMember] = {}
        self._keys: dict[str, tuple[CastMember, Path | None]] = {}
        self._retired: set[str] = set()
        self._of_runs: dict[str, dict[str, tuple[str, ...]]] = {}

    def cast(self, members: Sequence[CastMember]) -> None:
        """Sets who may play. Entries of extensions that went, or may do less, are unloaded; those of one that has
        another version retire: what plays goes on with them until `unload_retired`.
        """
        wanted = {**{member.name: member for member in members}, **self._added}
        for key, (member, _) in list(self._keys.items()):
            new = wanted.get(member.name)
            if new == member:
                continue
            if new is not None and _may_go_on(member, new):
                self._retired.add(key)
                continue
            del self._keys[key]
            self._retired.discard(key)
            self._runtime.unregister_player(key)
        self._members = wanted

    def retired(self) -> frozenset[str]:
        """The entries of former versions, and of former states of extensions under development."""
        return frozenset(self._retired)

    def unload_retired(self, keys: Iterable[str]) -> None:
        """Unloads entries that are retired still: a call that holds one keeps it, and its rights, to its end."""
        for key in self._retired.intersection(keys):
            self._runtime.unregister_player(key)

    def add(self, member: CastMember) -> None:
        """Lets one more play, which no installation knows of, until it is dropped."""
        self._added[member.name] = member
        self.cast(list(self._members.values()))

    def drop(self, extension: str) -> None:
        """Ends what `add` began; its Players are unloaded."""
        self._added.pop(extension, None)
        self.cast([member for name, member in self._members.items() if name != extension])

    def member(self, extension: str) -> CastMember:
        """Raises NotFound when the extension is not installed or not enabled."""
        found = self._members.get(extension)
        if found is None:
            raise NotFound(
                f"The extension {extension} is not installed or not enabled",
                remedy=f"run `symphony ext install {extension}` or enable it in the Marketplace",
            )
        return found

    def find(self, extension: str) -> CastMember | None:
        """As `member`, None when it may not play."""
        return self._members.get(extension)

    def members(self) -> list[CastMember]:
        """All that may play, by name."""
        return [self._members[name] for name in sorted(self._members)]

    def versions(self) -> dict[str, str]:
        """Extension to version, of all that may play."""
        return {name: member.version for name, member in self._members.items()}

    def granted_to(self, extension: str) -> tuple[str, ...]:
        """What `extension` was granted."""
        return self.member(extension).granted

    def key(self, extension: str, project: Path | None, run: str = "", layers: tuple[str, ...] = ()) -> str:
        """The pool entry for `extension` on `project`; registers it on first use.

        With `run` it is of that run alone where the whole project is shown to the Player: it sees what steps of
        the run have changed, at first `layers`, later what `show` says, until `release`.
        """
        member = self.member(extension)
        place = hashlib.sha256(str(project).encode()).hexdigest()[:12] if project else "none"
        key = f"{member.name}@{member.version}/{place}"
        is_of_run = bool(run) and project is not None and not _WHOLE.isdisjoint(member.granted)
        if is_of_run:
            key = f"{key}/{run}"
        if key not in self._keys or key in self._retired:
            self._retired.discard(key)
            self._runtime.register_player(key, self._launch(member, project, layers))
            self._keys[key] = (member, project)
        if is_of_run:
            self._of_runs.setdefault(run, {}).setdefault(key, layers)
        return key

    def of_run(self, run: str) -> dict[str, tuple[str, ...]]:
        """The entries of a run, with the folders that each shows over the project."""
        known = self._of_runs.get(run, {})
        return {key: layers for key, layers in known.items() if key in self._keys}

    def show(self, run: str, key: str, layers: tuple[str, ...]) -> None:
        """The entry's next Player sees `layers` over the project; one that plays goes on with what it sees. Blocks
        for a moment."""
        member, project = self._keys[key]
        self._of_runs[run][key] = layers
        self._runtime.register_player(key, self._launch(member, project, layers))

    def release(self, run: str) -> None:
        """The run has ended: its Players are unloaded. Blocks for a moment."""
        for key in self._of_runs.pop(run, {}):
            if self._keys.pop(key, None) is not None:
                self._retired.discard(key)
                self._runtime.unregister_player(key)

    def renew(self) -> None:
        """The next Player of every entry starts under the limits of now; what plays ends under those of before. Blocks
        for a moment."""
        for key, (member, project) in list(self._keys.items()):
            if key not in self._retired:
                layers = next((known[key] for known in self._of_runs.values() if key in known), ())
                self._runtime.register_player(key, self._launch(member, project, layers))

    def knows(self, key: str) -> bool:
        """Whether a pool entry is one that may play."""
        return key in self._keys

    def who(self, key: str) -> tuple[CastMember, Path | None]:
        """The extension and project behind a pool entry."""
        return self._keys[key]

    def grants(self, key: str) -> Grants:
        """What the Player behind a pool entry may do."""
        return Grants(list(self._keys[key][0].granted))

    def _launch(self, member: CastMember, project: Path | None, layers: tuple[str, ...]) -> dict[str, Any]:
        limits = self._limits()
        memory = member.memory(limits.memory)
        spec = launch_spec(
            member.manifest,
            member.granted,
            extension_dir=member.directory,
            project=project,
            memory=memory,
            cpu=member.cpu(limits.cpu),
            allow_missing=limits.allow_missing,
        )
        show_layers(spec, project, layers)
        return {
            "extension": member.name,
            "version": member.version,
            "spec": spec,
            "grants": {"capabilities": list(member.granted)},
            "configuration": dict(member.configuration),
            "project": str(project) if project else None,
            "transport": member.manifest.extension.transport,
            "start_timeout": member.allowance.activation or limits.start_timeout,
            "memory": memory,
            "idle": limits.idle,
            "template": None if _is_alone(member.manifest) else self._template(),
        }


def _may_go_on(former: CastMember, new: CastMember) -> bool:
    """Whether what plays with the former version may end with it: nothing that it may do was taken back."""
    if new.version == former.version or (former.is_developed and not new.is_developed):
        return False
    return set(former.granted) <= set(new.granted)


def show_layers(spec: dict[str, Any], project: Path | None, layers: Sequence[str]) -> None:
    """Lets a sandbox's spec show folders over the project, where it shows the project."""
    for mount in spec["mounts"]:
        if layers and project is not None and mount["source"] == mount["target"] == str(project.resolve()):
            mount["layers"] = list(layers)


def _is_alone(manifest: Manifest) -> bool:
    """Whether its Player is no copy of the template: it asks for that, or is no Python entry."""
    return manifest.extension.fresh or manifest.extension.runtime != "python"
