"""Installs, updates, rolls back and removes extensions; a crash at any instant leaves old or new."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from symphony import __version__
from symphony.errors import BadInput, InvalidManifest, NotFound, PermissionDenied
from symphony.kit import agreements
from symphony.kit.bundled import bundled_folder, find_extensions
from symphony.kit.definitions import PREFIX, agreement, changed_definitions
from symphony.kit.package import SUFFIX, Package, load
from symphony.kit.registry import Entry, Registry
from symphony.kit.resolver import HOST, Candidate, Requirement, resolve
from symphony.kit.state import ExtensionRecord, InstallState, VersionRecord
from symphony.kit.unpacking import remove_strangers, unpack
from symphony.sdk.mcp.definitions import PINS
from symphony.stage.budgets import GENERAL, Allowance
from symphony.stage.manifest import Manifest, load_manifest
from symphony.stage.permissions import Grants, parse_grant
from symphony.types.versions import VersionRange, version

log = logging.getLogger(__name__)
Made = TypeVar("Made")

VERSIONS_KEPT = 3
"""Versions of an extension that stay on disk, for rollback."""


class ExtensionFolder(Protocol):
    """What has a folder for extensions: `symphony.config.Home`."""

    @property
    def extensions(self) -> Path:
        """The folder."""
        ...


@dataclass(frozen=True, slots=True)
class Installed:
    """An extension that is there. `granted` is what the user agreed to."""

    name: str
    version: str
    dir: Path
    manifest: Manifest
    enabled: bool
    bundled: bool
    granted: tuple[str, ...]
    is_held: bool = False
    previous: str | None = None
    """The version that a rollback would bring back."""
    allowance: Allowance = GENERAL
    """The limits that the user has set for it alone."""

    @property
    def refused(self) -> tuple[str, ...]:
        """What it asks for and is not granted any more."""
        return tuple(grant for grant in self.manifest.grants() if grant not in self.granted)


class Installer:
    """Extensions of one home. Calls may come from any thread; the host's lock keeps other processes away."""

    def __init__(
        self,
        home: ExtensionFolder,
        *,
        registry: Registry | Callable[[], Registry],
        bundled: Path | None = None,
        spared: Callable[[], set[str]] = set,
    ) -> None:
        """`registry` may be a function that is called when the registry is needed. `spared` names folders of versions
        that are not installed any more and may come back: their files stay.
        """
        self._root = home.extensions
        self._spared = spared
        self._open_registry = registry if callable(registry) else lambda: registry
        self._bundled_folder = bundled if bundled is not None else bundled_folder()
        self._lock = threading.RLock()
        self._manifests: dict[Path, Manifest] = {}
        self.damaged: dict[str, str] = {}
        """Installed extensions whose files cannot be read, and why. They count as not installed."""

    @property
    def _registry(self) -> Registry:
        return self._open_registry()

    def recover(self) -> list[str]:
        """Removes what a crash left half done; answers with the folders removed."""
        with self._lock:
            if not self._root.is_dir():
                return []
            state = InstallState.read(self._root)
            return self._remove_strangers(state)

    def close(self) -> None:
        """Forgets what was read."""
        self._manifests.clear()

    # --- reading ---------------------------------------------------------------------------------
    def list(self) -> Listing:
        """Bundled extensions first, then installed ones, each by name."""
        with self._lock:
            state = InstallState.read(self._root)
            found = [*self._bundled(state), *self._installed(state)]
        return sorted(found, key=lambda i: (not i.bundled, i.name))

    def find(self, name: str) -> Installed:
        """The extension of that name. Raises NotFound."""
        for installed in self.list():
            if installed.name == name:
                return installed
        raise NotFound(f"The extension {name} is not installed", remedy="`symphony ext list` shows what is")

    def updates(self) -> Listing:
        """Installed extensions that have a newer version on offer and are not held."""
        found = []
        for installed in self.list():
            newest = (
                None
                if installed.bundled or installed.is_held
                else self._registry.newest_entry(installed.name)
            )
            if newest is not None and version(newest.version) > version(installed.version):
                found.append(installed)
        return found

    # --- changing --------------------------------------------------------------------------------
    def install(self, source: str, agreed: Sequence[str] | None = None) -> Installed:
        """Installs an extension of the registry by `name` or `name@range`, or a package file, with its dependencies.

        Raises PermissionDenied with code `consent_needed` when `agreed` does not cover what they want,
        SignatureInvalid, NotFound, BadInput or StorageFull; then nothing has changed.
        """
        with self._lock:
            package = load(Path(source)) if source.endswith(SUFFIX) else None
            if package is not None:
                package.verify(self._registry.trusted)
                manifest = package.manifest
                needed = Requirement(manifest.name, VersionRange.parse(f"={manifest.version}"))
            else:
                name, _, text = source.partition("@")
                needed = Requirement(name if "/" in name else f"local/{name}", _range(text or "*"))
            self._refuse_bundled(needed.name)
            state = InstallState.read(self._root)
            is_there = any(installed.name == needed.name for installed in self._installed(state))
            if package is None and is_there and not source.partition("@")[2]:
                return self.find(needed.name)
            return self._bring_in(state, needed, package, agreed, is_first=True)

    def update(self, name: str, agreed: Sequence[str] | None = None) -> Installed:
        """Brings the newest version, also to one that is held; asks only for what it wants more, and whether tools
        of an MCP server may be others than those that were agreed to.

        Errors as for `install`.
        """
        with self._lock:
            self._refuse_bundled(name)
            installed = self.find(name)
            newest = self._registry.newest_entry(name)
            if newest is None or version(newest.version) <= version(installed.version):
                return installed
            needed = Requirement(name, VersionRange.parse(f"={newest.version}"))
            return self._bring_in(InstallState.read(self._root), needed, None, agreed, is_first=False)

    def rollback(self, name: str) -> Installed:
        """Goes back to the version before with the grants it had, and holds it there.

        Raises NotFound when there is none.
        """
        with self._lock:
            self._refuse_bundled(name)
            state = InstallState.read(self._root)
            record = self._record(state, name)
            if len(record.versions) < 2:
                raise NotFound(
                    f"{name} has no version before {record.active.version}", remedy="nothing was changed"
                )
            undone = record.versions.pop()
            record.is_held = True
            self._check_dependents(state, name, record.active.version)
            state.write(self._root)
            self._sweep(state, [undone.folder])
            return self.find(name)

    def remove(self, name: str) -> None:
        """Removes the extension with its files and grants. Raises BadInput when another needs it."""
        with self._lock:
            self._refuse_bundled(name)
            state = InstallState.read(self._root)
            record = self._record(state, name)
            self._check_dependents(state, name, None)
            del state.extensions[name]
            state.allowances.pop(name, None)
            state.write(self._root)
            self._sweep(state, [v.folder for v in record.versions])

    def enable(self, name: str) -> None:
        """Lets its Players be used."""
        self._switch(name, True)

    def disable(self, name: str) -> None:
        """Keeps it, unused."""
        self._switch(name, False)

    def revoke(self, name: str, grant: str) -> None:
        """Takes one grant back, also of a bundled extension; the next update of another asks for it again.

        Raises NotFound when it is not granted.
        """
        if grant.startswith(PREFIX):
            self._with_active(name, lambda active: agreements.take_back(active, grant))
            return
        with self._lock:
            found = self.find(name)
            if grant not in found.granted:
                raise NotFound(
                    f"{name} is not granted {grant}", remedy="`symphony ext permissions` shows what is"
                )
            self._set_grants(name, [other for other in found.granted if other != grant])

    def allow(self, name: str, grant: str) -> None:
        """Gives a grant again that was taken back, or agrees to what `ask_about_tool` asked. Raises NotFound for one
        that the extension does not ask for."""
        if grant.startswith(PREFIX):
            self._with_active(name, lambda active: agreements.agree(active, grant))
            return
        with self._lock:
            found = self.find(name)
            if grant not in found.refused:
                raise NotFound(
                    f"{name} has no permission {grant} that was taken back",
                    remedy="`symphony ext permissions` shows those that were",
                )
            given = {*found.granted, grant}
            self._set_grants(name, [other for other in found.manifest.grants() if other in given])

    def ask_about_tool(self, name: str, tool: object) -> agreements.Question | None:
        """What a user has to agree to before this tool of an MCP server may be called; None when to nothing."""
        return self._with_active(
            name, lambda active: agreements.ask(active, self._root / active.folder, tool)
        )

    def set_allowance(self, name: str, allowance: Allowance) -> None:
        """Sets the limits of one extension; an empty allowance goes back to the general settings."""
        with self._lock:
            self.find(name)
            state = InstallState.read(self._root)
            state.allowances.pop(name, None)
            if allowance != GENERAL:
                state.allowances[name] = allowance
            self._write(state)

    # --- going back ------------------------------------------------------------------------------
    def state(self) -> InstallState:
        """What is installed, with all that was agreed to."""
        with self._lock:
            return InstallState.read(self._root)

    def restore(self, state: InstallState) -> None:
        """Makes this what is installed. Raises NotFound when files of it are gone, BadInput when an extension would
        lack one that it needs; then nothing has changed.
        """
        with self._lock:
            before = InstallState.read(self._root)
            for folder in folders_of(state) - folders_of(before):
                if not (self._root / folder).is_dir():
                    raise NotFound(
                        f"The files of {folder} are not kept any more", remedy="install the extension again"
                    )
            for name in before.extensions.keys() | state.extensions.keys():
                old, new = before.extensions.get(name), state.extensions.get(name)
                if old is not None and (new is None or new.active.version != old.active.version):
                    self._check_dependents(state, name, new.active.version if new else None)
            self._write(state)
            self._sweep(state, list(folders_of(before) - folders_of(state)))

    # --- within ----------------------------------------------------------------------------------
    def _with_active(self, name: str, work: Callable[[VersionRecord], Made]) -> Made:
        """What `work` makes of the version that plays; what it changed of it is kept."""
        with self._lock:
            state = InstallState.read(self._root)
            record = state.extensions.get(name)
            if record is None:
                raise NotFound(
                    f"The extension {name} is not installed", remedy="`symphony ext list` shows what is"
                )
            before = record.active.model_copy(deep=True)
            made = work(record.active)
            if record.active != before:
                self._write(state)
            return made

    def _bring_in(
        self,
        state: InstallState,
        needed: Requirement,
        package: Package | None,
        agreed: Sequence[str] | None,
        *,
        is_first: bool,
    ) -> Installed:
        chosen = resolve(
            [needed, *self._kept(state, needed.name)],
            self._offered(state, needed, package),
            host_version=__version__,
        )
        packages = []
        for candidate in chosen:
            if candidate.is_installed:
                continue
            if package is not None and candidate.name == package.manifest.name:
                packages.append(package)
            else:
                packages.append(self._registry.package(self._entry(candidate)))
        self._check_consent(state, packages, agreed, is_first=is_first)
        for each in packages:
            unpack(each, self._root, _folder(each))
        superseded: list[str] = []
        for each in packages:
            superseded += _enter(state, each)
        state.write(self._root)
        self._sweep(state, superseded)
        return self.find(needed.name)

    def _kept(self, state: InstallState, but: str) -> Iterator[Requirement]:
        """What the other installed extensions need."""
        for installed in self._installed(state):
            if installed.name == but:
                continue
            for dependency, text in installed.manifest.extension_dependencies().items():
                by = f"{installed.name} {installed.version}"
                yield Requirement(_full(dependency), VersionRange.parse(text), by)

    def _offered(
        self, state: InstallState, needed: Requirement, package: Package | None
    ) -> dict[str, Candidates]:
        """Every version that could be chosen. What is installed and not asked for stays if it can."""
        offered: dict[str, Candidates] = {}
        for name in self._registry.names():
            offered[name] = [_candidate(entry.manifest) for entry in self._registry.versions(name)]
        present = [*self._bundled(state), *self._installed(state)]
        for installed in present:
            if installed.name == needed.name:
                continue
            others = [c for c in offered.get(installed.name, ()) if c.version != installed.version]
            others = [] if installed.bundled or installed.is_held else others
            offered[installed.name] = [*others, _candidate(installed.manifest, is_installed=True)]
        if package is not None:
            offered[needed.name] = [_candidate(package.manifest)]
        return offered

    def _entry(self, candidate: Candidate) -> Entry:
        return next(e for e in self._registry.versions(candidate.name) if e.version == candidate.version)

    def _check_consent(
        self,
        state: InstallState,
        packages: Sequence[Package],
        agreed: Sequence[str] | None,
        *,
        is_first: bool,
    ) -> None:
        given = Grants(grant for grant in agreed or () if not grant.startswith(PREFIX))
        findings: list[dict[str, str]] = []
        for package in packages:
            record = state.extensions.get(package.manifest.name)
            if record is not None:
                findings += self._changed_tools(record, package, agreed or ())
            had = Grants(record.active.granted if record else ())
            for grant in had.widened_by(package.manifest.grants()):
                if given.widened_by([grant]):
                    words = parse_grant(grant).explain()
                    name = package.manifest.name
                    findings.append({"grant": grant, "words": words, "message": words, "extension": name})
        if findings or (agreed is None and is_first):
            name = packages[-1].manifest.name if packages else ""
            if not findings:
                words = "It may do nothing beyond computing"
                findings.append({"words": words, "message": words, "extension": name})
            only_tools = all(finding.get("grant", "").startswith(PREFIX) for finding in findings)
            raise PermissionDenied(
                f"{name} has other tools than those that were agreed to"
                if only_tools
                else f"{name} asks for permissions",
                code="consent_needed",
                remedy="agree to them",
                findings=findings,
            )

    def _changed_tools(self, record: ExtensionRecord, package: Package, agreed: Sequence[str]) -> Findings:
        """What an update changes of the tools of an MCP server, unless the user agreed to just that."""
        new, place = package.files.get(PINS), self._root / record.active.folder / PINS
        if new is None or not place.is_file() or agreement(new.data) in agreed:
            return []
        try:
            said = changed_definitions(place.read_bytes(), new.data)
        except ValueError as error:
            raise BadInput(
                f"{package.manifest.name}: {PINS}: {error}", remedy="report it to its author"
            ) from None
        wanted, name = agreement(new.data), package.manifest.name
        return [{"grant": wanted, "words": words, "message": words, "extension": name} for words in said]

    def _check_dependents(self, state: InstallState, name: str, left: str | None) -> None:
        """Raises BadInput when an installed extension needs `name` otherwise than in version `left`."""
        for requirement in self._kept(state, name):
            if requirement.name == name and (left is None or not requirement.range.contains(left)):
                raise BadInput(
                    f"{requirement.by} needs {name} {requirement.range}",
                    remedy=f"remove {requirement.by.split()[0]} first",
                )

    def _switch(self, name: str, enabled: bool) -> None:
        with self._lock:
            state = InstallState.read(self._root)
            if name in state.extensions:
                state.extensions[name].enabled = enabled
            elif any(b.name == name for b in self._bundled(state)):
                others = [n for n in state.disabled_bundled if n != name]
                state.disabled_bundled = others if enabled else sorted([*others, name])
            else:
                self.find(name)
            self._write(state)

    def _set_grants(self, name: str, granted: Sequence[str]) -> None:
        state = InstallState.read(self._root)
        if name in state.extensions:
            state.extensions[name].active.granted = list(granted)
        else:
            wanted = self.find(name).manifest.grants()
            state.revoked_bundled[name] = [grant for grant in wanted if grant not in granted]
        self._write(state)

    def _write(self, state: InstallState) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        state.write(self._root)

    def _record(self, state: InstallState, name: str) -> ExtensionRecord:
        if name not in state.extensions:
            self.find(name)
        return state.extensions[name]

    def _refuse_bundled(self, name: str) -> None:
        if any(b.name == name for b in self._bundled(InstallState())):
            raise BadInput(f"{name} comes with Symphony", remedy="disable it if you do not want it")

    def _bundled(self, state: InstallState) -> Iterator[Installed]:
        for folder in find_extensions(self._bundled_folder):
            manifest = self._manifest(folder)
            yield Installed(
                name=manifest.name,
                version=manifest.version,
                dir=folder,
                manifest=manifest,
                enabled=manifest.name not in state.disabled_bundled,
                bundled=True,
                granted=tuple(
                    grant
                    for grant in manifest.grants()
                    if grant not in state.revoked_bundled.get(manifest.name, ())
                ),
                allowance=state.allowances.get(manifest.name, GENERAL),
            )

    def _installed(self, state: InstallState) -> Iterator[Installed]:
        for name, record in state.extensions.items():
            folder = self._root / record.active.folder
            try:
                manifest = self._manifest(folder)
            except InvalidManifest as error:  # this one cannot play; the host and all others can
                if self.damaged.get(name) != error.message:
                    log.error("%s is installed and cannot be read: %s", name, error.message)
                self.damaged[name] = error.message
                continue
            self.damaged.pop(name, None)
            yield Installed(
                name=name,
                version=record.active.version,
                dir=folder,
                manifest=manifest,
                enabled=record.enabled,
                bundled=False,
                granted=tuple(record.active.granted),
                is_held=record.is_held,
                previous=record.versions[-2].version if len(record.versions) > 1 else None,
                allowance=state.allowances.get(name, GENERAL),
            )

    def _manifest(self, folder: Path) -> Manifest:
        if folder not in self._manifests:
            try:
                self._manifests[folder] = load_manifest(folder)
            except InvalidManifest as error:
                error.remedy = error.remedy or "install the extension again"
                raise
        return self._manifests[folder]

    def _sweep(self, state: InstallState, superseded: Sequence[str]) -> None:
        """Files of versions that the state no longer names go last, so that a crash only leaves rubbish."""
        if superseded:
            for folder in superseded:
                self._manifests.pop(self._root / folder, None)
            self._remove_strangers(state)

    def _remove_strangers(self, state: InstallState) -> Folders:
        return remove_strangers(self._root, folders_of(state) | self._spared())


Listing = list[Installed]
Folders = list[str]
Findings = list[dict[str, str]]
Candidates = list[Candidate]


def folders_of(state: InstallState) -> set[str]:
    """The folders of all versions that a state names."""
    return {version.folder for record in state.extensions.values() for version in record.versions}


def _enter(state: InstallState, package: Package) -> list[str]:
    """Makes the package's version the active one; answers with folders that are no longer needed."""
    manifest = package.manifest
    record = state.extensions.setdefault(manifest.name, ExtensionRecord(versions=[]))
    folder = _folder(package)
    gone = [v.folder for v in record.versions if v.version == manifest.version and v.folder != folder]
    record.versions = [v for v in record.versions if v.version != manifest.version]
    record.versions.append(
        VersionRecord(
            version=manifest.version,
            folder=folder,
            sha256=package.sha256,
            key=package.key,
            granted=manifest.grants(),
            installed=time.time(),
        )
    )
    gone += [v.folder for v in record.versions[:-VERSIONS_KEPT]]
    record.versions = record.versions[-VERSIONS_KEPT:]
    record.is_held = False
    return gone


def _folder(package: Package) -> str:
    return f"{package.manifest.name}/{package.manifest.version}-{package.sha256[:12]}"


def _candidate(manifest: Manifest, *, is_installed: bool = False) -> Candidate:
    dependencies = {_full(name): text for name, text in manifest.extension_dependencies().items()}
    if manifest.host_range:
        dependencies[HOST] = manifest.host_range
    return Candidate(manifest.name, manifest.version, dependencies, is_installed)


def _full(name: str) -> str:
    return name if "/" in name else f"local/{name}"


def _range(text: str) -> VersionRange:
    try:
        return VersionRange.parse(text)
    except ValueError as error:
        raise BadInput(str(error), remedy="write for instance publisher/name@^1.2") from None
