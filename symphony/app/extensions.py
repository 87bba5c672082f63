"""Extensions as the host sees them: bundled and installed ones, and what the registry offers."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from typing import Any

from symphony.app.action_log import ActionLog
from symphony.app.catalogue import Catalogue, build_catalogue
from symphony.app.development import Development
from symphony.app.paths import registry_files
from symphony.app.states import ExtensionStates
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.kit.bundled import bundled_folder
from symphony.kit.installer import Installed, Installer
from symphony.kit.registry import Registry
from symphony.ports.component import Status
from symphony.stage.manifest import Manifest
from symphony.stage.permissions import Grants
from symphony.stage.roster import CastMember
from symphony.types.versions import version

Json = dict[str, Any]


class Extensions:
    """Joins installer and registry, and keeps the catalogue until something changes."""

    def __init__(self, home: Home, configuration: Configuration) -> None:
        self._configuration = configuration
        self.development = Development(home.cache / "development")
        self.actions = ActionLog(home.actions)
        """What was done; what an extension was before is spared as long as it can come back."""
        self.installer = Installer(
            home,
            registry=lambda: self.registry,
            bundled=bundled_folder(),
            spared=lambda: self.states.spared(),
        )
        self.states = ExtensionStates(self.installer, self.actions)
        self._lock = threading.Lock()
        self._catalogue: Catalogue | None = None

    @cached_property
    def registry(self) -> Registry:
        """What is on offer. Opened when it is first asked for: a page is shown before its signature is checked.

        Raises SignatureInvalid.
        """
        get = self._configuration.get
        trusted = get("registry.trusted")
        if not get("registry.enabled"):
            return Registry(None, trusted=trusted)
        return Registry.open(get("registry.folder") or registry_files(), trusted=trusted)

    def reopen_registry(self) -> None:
        """Takes another registry, or its new content, from now on."""
        self.__dict__.pop("registry", None)

    def open(self) -> None:
        """Finishes or undoes what a killed host left."""
        self.installer.recover()
        self.development.clear()

    def look(self) -> tuple[Status, str, str]:
        """Degraded when an installed extension cannot be read."""
        self.installer.list()
        damaged = dict(self.installer.damaged)
        if not damaged:
            return "ok", "", ""
        name = next(iter(damaged))
        return "degraded", "; ".join(damaged.values()), f"run `symphony ext install {name}` or remove it"

    def close(self) -> None:
        """Closes the installer's state."""
        self.installer.close()
        self.actions.close()

    def changed(self) -> None:
        """Forgets the catalogue after an installation or a removal."""
        with self._lock:
            self._catalogue = None

    def catalogue(self) -> Catalogue:
        """The Players of the enabled extensions, and those on offer."""
        with self._lock:
            if self._catalogue is None:
                installed = self.installer.list()
                developed = self.development.members
                installed = [i for i in installed if i.name not in developed]
                enabled = [i.manifest for i in installed if i.enabled]
                enabled += [member.manifest for member in developed.values()]
                names = {manifest.name for manifest in enabled}
                others = [m for m in self.registry.newest() if m.name not in names]
                # What is installed and switched off is known, too: the Conductor can say so.
                disabled = [i.manifest for i in installed if not i.enabled]
                offered = {m.name: m for m in (*others, *disabled)}
                get = self._configuration.get
                self._catalogue = build_catalogue(
                    enabled,
                    offered.values(),
                    disabled=[m.name for m in disabled],
                    cpu=get("pit.arbitration.cpu"),
                    memory=get("pit.arbitration.memory"),
                )
            return self._catalogue

    def cast(self) -> list[CastMember]:
        """The enabled extensions with their grants and configuration, for the roster."""
        developed = self.development.members
        installed = [
            CastMember(
                name=i.name,
                version=i.version,
                directory=i.dir,
                manifest=i.manifest,
                granted=tuple(i.granted),
                configuration=self._configured(i.manifest),
                allowance=i.allowance,
            )
            for i in self.installer.list()
            if i.enabled and i.name not in developed
        ]
        return [
            *installed,
            *(replace(m, configuration=self._configured(m.manifest)) for m in developed.values()),
        ]

    def secrets(self) -> list[str]:
        """The keys of settings that the manifests of installed extensions call secret."""
        return [
            f"extensions.{i.name}.{name}"
            for i in self.installer.list()
            for name, field in i.manifest.configuration.items()
            if field.secret
        ]

    def rows(self, query: str, *, offered: int) -> tuple[list[Json], int]:
        """One row an extension, installed ones first, then the first `offered` that match of those on offer; and how
        many of these there are.
        """
        installed = {i.name: i for i in self.installer.list()}
        found = self.registry.find(query)
        words = query.lower().split()
        matching = [n for n, i in installed.items() if all(w in _text(i.manifest) for w in words)]
        also = [entry.name for entry in found if entry.name in installed] if words else []
        shown = dict.fromkeys([*matching, *also]) if words else sorted(installed)
        rows = [_installed_row(installed[name], self._newer(installed[name])) for name in shown]
        others = [entry for entry in found if entry.name not in installed]
        rows += [_offered_row(entry.manifest) for entry in others[:offered]]
        return rows, len(others)

    def _newer(self, installed: Installed) -> str | None:
        """The version on offer that is above the installed one."""
        entry = self.registry.newest_entry(installed.name)
        is_newer = entry is not None and version(entry.version) > version(installed.version)
        return entry.version if entry is not None and is_newer else None

    def _configured(self, manifest: Manifest) -> Json:
        """Configuration values of an extension, without secrets, which stay with the host."""
        given = self._configuration.get("extensions").get(manifest.name, {})
        return {
            name: given.get(name, field.default)
            for name, field in manifest.configuration.items()
            if not field.secret
        }


def open_catalogue(home: Home, configuration: Configuration) -> Catalogue:
    """The catalogue for a command that is no host."""
    extensions = Extensions(home, configuration)
    try:
        return extensions.catalogue()
    finally:
        extensions.close()


def _text(manifest: Manifest) -> str:
    functions = " ".join(f"{f.player} {f.description}" for f in manifest.functions)
    return f"{manifest.name} {manifest.extension.description} {functions}".lower()


def _row(manifest: Manifest, granted: list[str]) -> Json:
    return {
        "name": manifest.name,
        "version": manifest.version,
        "type": manifest.extension.type,
        "description": manifest.extension.description,
        "license": manifest.extension.license,
        "brings": _brings(manifest),
        "functions": [
            {
                "name": f.function,
                "description": f.description,
                "inputs": dict(f.inputs),
                "outputs": dict(f.outputs),
                "params": {
                    name: {"type": p.type, "description": p.description, "default": p.default}
                    for name, p in f.params.items()
                },
            }
            for f in manifest.functions
        ],
        "capabilities": manifest.capabilities.model_dump(),
        "permissions": Grants(granted).explain(),
    }


def _brings(manifest: Manifest) -> list[str]:
    """What a Motif adds to the page, in words; nothing for other extensions."""
    looks = [("colours", manifest.theme), ("a layout", manifest.layout)]
    return [*(word for word, table in looks if table), *(c.title for c in manifest.components)]


def _installed_row(installed: Installed, update: str | None) -> Json:
    return {
        **_row(installed.manifest, list(installed.granted)),
        "granted": list(installed.granted),
        "refused": list(installed.refused),
        "allowance": installed.allowance.model_dump(exclude_none=True),
        "installed": True,
        "enabled": installed.enabled,
        "bundled": installed.bundled,
        "update": update,
        "state": "activated" if installed.enabled else "installed",
    }


def _offered_row(manifest: Manifest) -> Json:
    return {
        **_row(manifest, manifest.grants()),
        "granted": [],
        "refused": [],
        "allowance": {},
        "installed": False,
        "enabled": False,
        "bundled": False,
        "update": None,
        "state": "available",
    }
