"""Methods about settings and health."""

from __future__ import annotations

import asyncio
from typing import Any

from symphony.app.services import Services
from symphony.ports.component import HealthStatus

Json = dict[str, Any]


class SettingMethods:
    """The merged configuration, and how everything is."""

    services: Services

    async def component_health(self) -> list[HealthStatus]:
        raise NotImplementedError  # the Host has it

    async def settings(self) -> Json:
        """Every setting with its value and where it came from; secrets are not shown."""
        return {"settings": self.services.configuration.show()}

    async def set_setting(self, key: str, value: Any, scope: str = "user") -> Json:
        """Changes a setting and answers with its row."""
        configuration = self.services.configuration
        await asyncio.to_thread(configuration.set, key, value, scope)
        self.services.hub.emit({"event": "settings"})
        return next(row for row in configuration.show() if row["key"] == key)

    async def health(self) -> Json:
        """The `doctor --json` answer of a running host."""
        from symphony.app.doctor import examine

        checks = await asyncio.to_thread(examine, self.services.home)
        return report([*await self.component_health(), *checks])


def report(statuses: list[HealthStatus]) -> Json:
    """The shape of the contracts: healthy when nothing has failed."""
    components = [
        {"name": s.name, "status": s.status, "detail": s.detail, "remedy": s.remedy} for s in statuses
    ]
    return {"healthy": not any(c["status"] == "failed" for c in components), "components": components}
