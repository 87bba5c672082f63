"""Methods about Motifs: what they bring to the page, and the components that are open."""

from __future__ import annotations

import asyncio
from typing import Any

from symphony.app.components import value_of
from symphony.app.services import Services
from symphony.errors import BadInput, NotFound, PermissionDenied
from symphony.stage.manifest import Manifest
from symphony.stage.permissions import Grants
from symphony.types.port_types import PROJECT

Json = dict[str, Any]


class MotifMethods:
    """Themes and layouts are data of the manifest; a component is a call that stays open."""

    services: Services

    async def motifs(self, artifact: str | None = None) -> Json:
        """What the enabled Motifs bring; with an artifact, only the components that show it."""
        members = [member.manifest for member in self.services.roster.members()]
        if artifact is not None:
            info = await asyncio.to_thread(self.services.pit.store.info, artifact)
            is_below, kind = self.services.catalogue().lattice.is_below, str(info["type"])
            found = [one for m in members for one in _components(m) if one["artifact"]]
            fitting = [one for one in found if is_below(kind, one["artifact"])]
            return {"themes": [], "layouts": [], "components": fitting}
        return {
            "themes": [_theme(m) for m in members if m.theme],
            "layouts": [{"extension": m.name, **m.layout.model_dump()} for m in members if m.layout],
            "components": [component for m in members for component in _components(m)],
        }

    async def open_component(
        self, player: str, artifact: str | None = None, project: str | None = None
    ) -> Json:
        """Opens a component, with an artifact when it is a view of one."""
        services = self.services
        extension, _, function = player.partition("#")
        member = services.roster.member(extension)
        spec = member.manifest.component(function)
        if spec is None:
            raise NotFound(f"{extension} has no component {function!r}", remedy="see `symphony ext list`")
        if "exec:*" in Grants(member.granted):
            raise PermissionDenied(
                f"{extension} may run any program, and shows nothing by itself", remedy="use it in a Melody"
            )
        place = services.project(project)
        inputs: Json = {}
        for port, kind in spec.inputs.items():
            if kind == PROJECT:
                inputs[port] = str(place) if place else None
            elif artifact is None:
                raise BadInput(
                    f"{player} shows an artifact of type {kind}", remedy="open it from the artifact"
                )
            else:
                inputs[port] = await asyncio.to_thread(self._value, artifact, kind)
        body = {
            "function": function,
            "params": {name: p.default for name, p in spec.params.items() if p.default is not None},
            "inputs": inputs,
            "outputs": dict(spec.outputs),
            "context": {"project": str(place) if place else None, "attempt": 1},
        }
        return {"id": services.components.open(extension, services.roster.key(extension, place), body)}

    async def component(self, component: str) -> Json:
        """What a component shows now."""
        return self.services.components.look(component)

    async def component_event(self, component: str, key: str, name: str, value: Any = None) -> Json:
        """Hands what the user did to a component to its Player."""
        self.services.components.tell(component, {"key": key, "name": name, "value": value})
        return {"id": component}

    async def close_component(self, component: str) -> Json:
        """Ends a component."""
        await self.services.components.close(component)
        return {"id": component}

    def _value(self, artifact: str, kind: str) -> Any:
        store = self.services.pit.store
        info = store.info(artifact)
        lattice = self.services.catalogue().lattice
        if not lattice.is_below(str(info["type"]), kind):
            raise BadInput(
                f"{info['name']} is {info['type']}, and the component shows {kind}", remedy="choose another"
            )
        return value_of(store.get(artifact), str(info["type"]), (info.get("meta") or {}).get("encoding"))


def _theme(manifest: Manifest) -> Json:
    assert manifest.theme is not None
    return {"extension": manifest.name, **manifest.theme.model_dump(exclude_none=True)}


def _components(manifest: Manifest) -> list[Json]:
    found = []
    for component in manifest.components:
        spec = manifest.component(component.function)
        assert spec is not None
        kinds = [kind for kind in spec.inputs.values() if kind != PROJECT]
        found.append(
            {
                "player": f"{manifest.name}#{component.function}",
                "title": component.title,
                "artifact": kinds[0] if kinds else None,
            }
        )
    return found
