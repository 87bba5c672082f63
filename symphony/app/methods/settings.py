"""Methods about settings and health."""

from __future__ import annotations

import asyncio
from typing import Any

from symphony.app.services import Services
from symphony.app.states import subject_of
from symphony.config.catalogue import catalogue
from symphony.config.configuration import HIDDEN

Json = dict[str, Any]


def row_of(rows: list[Json], key: str) -> Json:
    """The row of a setting; of one that has been removed, one that says so."""
    return next((row for row in rows if row["key"] == key), {"key": key, "value": None, "source": "default"})


def said_of_setting(key: str, value: Any) -> str:
    """What was done, in words."""
    return f"Set {key} to {value}" if value is not None else f"Set {key} back to its default"


class SettingMethods:
    """The merged configuration, and how everything is."""

    services: Services

    async def settings(self) -> Json:
        """Every setting with its value and where it came from; secrets are not shown."""
        return {"settings": await asyncio.to_thread(self._rows)}

    async def set_setting(self, key: str, value: Any, scope: str = "user") -> Json:
        """Changes a setting and answers with its row."""
        services, configuration = self.services, self.services.configuration
        if self._is_secret(key):  # the history is to hold no secret
            services.reconfiguration.changed(await asyncio.to_thread(configuration.set, key, value, scope))
            services.actions.note("setting", key, said_of_setting(key, None if value is None else HIDDEN))
        else:
            place = subject_of(configuration, key, scope)
            async with services.actions.record("setting", place, said_of_setting(key, value)):
                services.reconfiguration.changed(
                    await asyncio.to_thread(configuration.set, key, value, scope)
                )
        return row_of(await asyncio.to_thread(self._rows), key)

    def _is_secret(self, key: str) -> bool:
        spec = catalogue().get(key)
        return (spec is not None and spec.is_secret) or key in self.services.extensions.secrets()

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
