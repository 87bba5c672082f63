"""Methods about settings and health."""

from __future__ import annotations

import asyncio
from typing import Any

from symphony.app.services import Services

Json = dict[str, Any]


def row_of(rows: list[Json], key: str) -> Json:
    """The row of a setting; of one that has been removed, one that says so."""
    return next((row for row in rows if row["key"] == key), {"key": key, "value": None, "source": "default"})


class SettingMethods:
    """The merged configuration, and how everything is."""

    services: Services

    async def settings(self) -> Json:
        """Every setting with its value and where it came from; secrets are not shown."""
        return {"settings": await asyncio.to_thread(self._rows)}

    async def set_setting(self, key: str, value: Any, scope: str = "user") -> Json:
        """Changes a setting and answers with its row."""
        configuration = self.services.configuration
        self.services.reconfiguration.changed(await asyncio.to_thread(configuration.set, key, value, scope))
        return row_of(await asyncio.to_thread(self._rows), key)

    def _rows(self) -> list[Json]:
        """The settings; secret are, too, those that an extension's manifest calls secret."""
        secrets = self.services.extensions.secrets()
        return self.services.configuration.show(secrets)

    async def health(self) -> Json:
        """The `doctor --json` answer of a running host."""
        from symphony.app.doctor import examine, report

        checks = await asyncio.to_thread(examine, self.services.home)
        own = await self.services.health()
        known = {status.name for status in own}  # what the host says of itself is nearer to the matter
        return report([*own, *(check for check in checks if check.name not in known)])
