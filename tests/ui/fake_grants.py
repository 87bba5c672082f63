"""Permissions and limits of the host in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


class FakeGrants:
    """What is changed stands in the rows of the extensions."""

    extensions: list[Json]

    async def revoke_permission(self, name: str, grant: str) -> Json:
        (row,) = (row for row in self.extensions if row["name"] == name)
        row["granted"].remove(grant)
        row.setdefault("refused", []).append(grant)
        return {"name": name, "granted": list(row["granted"]), "words": [], "refused": list(row["refused"])}

    async def allow_permission(self, name: str, grant: str) -> Json:
        (row,) = (row for row in self.extensions if row["name"] == name)
        row["refused"].remove(grant)
        row["granted"].append(grant)
        return {"name": name, "granted": list(row["granted"]), "words": [], "refused": list(row["refused"])}

    async def set_budget(self, name: str, limits: Mapping[str, Any]) -> Json:
        (row,) = (row for row in self.extensions if row["name"] == name)
        row["allowance"] = dict(limits)
        return {"name": name, "limits": dict(limits)}
