"""Methods about extensions: the marketplace, consent, and calling one function alone."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from symphony.app.actions import Doing
from symphony.app.player_changes import PlayerChanges
from symphony.app.services import Services
from symphony.errors import BadInput, NotFound, PermissionDenied
from symphony.kit.installer import Installed
from symphony.ports.host import LISTED
from symphony.stage.budgets import Allowance
from symphony.stage.permissions import Grants
from symphony.types.port_types import PROJECT

Json = dict[str, Any]


class ExtensionMethods:
    """Every change reaches the roster at once: what was removed cannot be called any more."""

    services: Services
    _player_changes: PlayerChanges

    async def list_extensions(
        self, query: str = "", installed_only: bool = False, limit: int = LISTED
    ) -> Json:
        """Installed and offered extensions."""
        offered = 0 if installed_only else max(0, limit)
        rows, on_offer = await asyncio.to_thread(self.services.extensions.rows, query, offered=offered)
        held = self._memory_held()
        supervision = self.services.supervision
        return {
            "extensions": [
                {
                    **row,
                    **_with_memory(supervision.about(row["name"]), held.get(row["name"])),
                    "enabled": row["enabled"] and not supervision.is_barred(row["name"]),
                }
                for row in rows
            ],
            "more": 0 if installed_only else max(0, on_offer - offered),
        }

    async def install_extension(self, source: str, agreed: Sequence[str] | None = None) -> Json:
        """Installs a package file or a name of the registry, with what it depends on."""
        installer = self.services.extensions.installer
        async with self._recorded(source, f"Installed {source}") as doing:
            answer = await self._change(installer.install, source, agreed)
            doing.subject, doing.said = answer["name"], f"Installed {answer['name']} {answer['version']}"
        return answer

    async def update_extension(self, name: str, agreed: Sequence[str] | None = None) -> Json:
        """Installs the newest version; what it wants more is asked for."""
        async with self._recorded(name, f"Updated {name}") as doing:
            answer = await self._change(self.services.extensions.installer.update, name, agreed)
            doing.said = f"Updated {name} to {answer['version']}"
        return answer

    async def rollback_extension(self, name: str) -> Json:
        """Goes back one version."""
        async with self._recorded(name, f"Took {name} a version back") as doing:
            answer = await self._change(self.services.extensions.installer.rollback, name)
            doing.said = f"Took {name} back to {answer['version']}"
        return answer

    async def remove_extension(self, name: str) -> Json:
        """Removes an extension; bundled ones can only be disabled."""
        async with self._recorded(name, f"Removed {name}"):
            await asyncio.to_thread(self.services.extensions.installer.remove, name)
            self._changed()
        return {"name": name}

    async def develop_extension(self, folder: str, agreed: Sequence[str] | None = None) -> Json:
        """Plays an extension from its author's folder, as it is now; calls that run end with what they began with."""
        services = self.services
        development = services.extensions.development
        member = await asyncio.to_thread(development.take, Path(folder), agreed)
        self._changed()
        return {"name": member.name, "version": member.version}

    async def end_development(self, name: str) -> Json:
        """Goes back to the installed extension of that name, or to none."""
        await asyncio.to_thread(self.services.extensions.development.drop, name)
        self._changed()
        return {"name": name}

    async def enable_extension(self, name: str, enabled: bool) -> Json:
        """Switches an extension on or off."""
        installer = self.services.extensions.installer
        async with self._recorded(name, f"Switched {name} {'on' if enabled else 'off'}"):
            await asyncio.to_thread(installer.enable if enabled else installer.disable, name)
            if enabled:
                self.services.supervision.enabled(name)
            self._changed()
        return {"name": name, "enabled": enabled}

    async def extension_permissions(self, name: str) -> Json:
        """What an installed extension may do."""
        for installed in await asyncio.to_thread(self.services.extensions.installer.list):
            if installed.name == name:
                return permissions_of(installed)
        raise NotFound(f"The extension {name} is not installed", remedy="`symphony ext list` shows what is")

    async def audit(self, name: str | None = None, limit: int = 200) -> Json:
        """Uses of capabilities, newest first."""
        entries = await asyncio.to_thread(self.services.audit.entries, name, limit)
        return {"entries": entries, "tampered": await asyncio.to_thread(self.services.audit.verify)}

    async def call_function(
        self,
        player: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        project: str | None = None,
        agreed: bool = False,
    ) -> Json:
        """Calls one function of a Player, with the same checks as in a Melody."""
        services = self.services
        extension, _, function = player.partition("#")
        spec = services.catalogue().players.get(player)
        member = services.roster.member(extension)
        if spec is None:
            known = ", ".join(f.function for f in member.manifest.functions)
            raise BadInput(
                f"{extension} has no function {function or '(none given)'}", remedy=f"it has {known}"
            )
        if "exec:*" in Grants(member.granted) and not agreed:
            raise PermissionDenied(
                f"{extension} runs programs of your choice in the sandbox",
                code="consent_needed",
                remedy="add --yes to agree",
            )
        place = services.project(project)
        given = dict(inputs or {})
        for port, kind in spec.inputs.items():
            if kind == PROJECT:
                given[port] = str(place) if place else None
            elif port not in given and port not in spec.optional:
                raise BadInput(
                    f"{player} needs the input {port} ({kind})", remedy="play it in a Melody that feeds it"
                )
        call = f"call-{uuid.uuid4().hex[:12]}"
        values = {name: p.default for name, p in spec.params.items() if p.default is not None}
        values.update(params)
        body = {
            "function": function,
            "params": values,
            "inputs": given,
            "outputs": dict(spec.outputs),
            "context": {"run": "", "node": call, "project": str(place) if place else None, "attempt": 1},
        }
        timeout = services.configuration.get("engine.node_timeout")
        succeeded = False
        try:
            outputs = await services.engine.call(services.roster.key(extension, place), body, timeout)
            succeeded = True
        finally:
            await self._player_changes.called(extension, place, call, succeeded=succeeded)
        return {"outputs": outputs, "changes": await services.changes.of_call(call)}

    async def set_budget(self, name: str, limits: Mapping[str, Any]) -> Json:
        """Sets the limits of one extension; what is missing or None follows the general settings."""
        try:
            allowance = Allowance.model_validate(dict(limits))
        except ValidationError as error:
            first = error.errors()[0]
            what = ".".join(str(part) for part in first["loc"])
            raise BadInput(
                f"The limit {what} cannot be {first.get('input')!r}: {first['msg']}",
                remedy="there are calls, tokens, cost, memory, cpu and activation",
            ) from None
        async with self._recorded(name, f"Changed the limits of {name}"):
            await asyncio.to_thread(self.services.extensions.installer.set_allowance, name, allowance)
            self._changed()
        return {"name": name, "limits": allowance.model_dump(exclude_none=True)}

    def _recorded(self, name: str, said: str) -> AbstractAsyncContextManager[Doing]:
        return self.services.actions.record("extension", name, said)

    def _memory_held(self) -> dict[str, int]:
        """Bytes that the Players of each extension hold now, programs that they started not counted."""
        held: dict[str, int] = {}
        for state in self.services.pit.player_states().values():
            name = str(state["extension"])
            held[name] = held.get(name, 0) + int(state.get("memory") or 0)
        return held

    async def _change(self, change: Any, *arguments: Any) -> Json:
        installed = await asyncio.to_thread(change, *arguments)
        self._changed()
        return {"name": installed.name, "version": installed.version}

    def _changed(self) -> None:
        """Others may play from now on. What plays with a former version ends with it; then that is unloaded."""
        services = self.services
        services.extensions.changed()
        services.recast()
        former = services.roster.retired()
        if not former:
            return

        async def unload() -> None:
            # A run that plays was planned with the former version.
            for run in services.engine.playing():
                await services.engine.ended(run)
            services.roster.unload_retired(former)

        tasks = services.extensions.development.tasks
        task = asyncio.create_task(unload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def permissions_of(installed: Installed) -> Json:
    """What an extension may do, in plain words, and what was taken back."""
    grants = Grants(installed.granted)
    return {
        "name": installed.name,
        "granted": list(grants),
        "words": grants.explain(),
        "refused": list(installed.refused),
    }


def _with_memory(about: Json, held: int | None) -> Json:
    about["usage"]["memory"] = held
    return about
