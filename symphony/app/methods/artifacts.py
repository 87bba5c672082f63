"""Methods about artifacts."""

from __future__ import annotations

import asyncio
from typing import Any

from pit_native import ArtifactStore
from symphony.app.differences import LIMIT, difference, text_of
from symphony.app.services import Services
from symphony.engine.nesting import path_of, root_of
from symphony.errors import NotFound

Json = dict[str, Any]
_FIELDS = ("id", "name", "type", "bytes", "quality", "created", "run", "node", "version")


class ArtifactMethods:
    """What the runs made, from the Artifact Store."""

    services: Services

    async def list_artifacts(self, query: str = "", run: str | None = None, limit: int = 100) -> Json:
        """The best matches, or the newest."""
        store = self.services.pit.store
        record = self.services.history.get(run) if run else None
        whole = record.info.id if record else None

        def look() -> list[Json]:
            if query.strip():
                hits = store.search(query, limit=limit)
                found = [{**store.info(hit["id"]), "snippet": hit.get("snippet", "")} for hit in hits]
                return [a for a in found if whole is None or root_of(a.get("run") or "") == whole]
            listed = list(store.list(limit=limit, run=whole))
            if record is not None:
                known = {a["id"] for a in listed}
                made = (a for node in record.info.nodes for a in node.artifacts)
                nested = [a for a in dict.fromkeys(made) if a not in known]
                listed += [_info(store, a) for a in nested[: limit - len(listed)]]
            return [a for a in listed if a]

        return {"artifacts": [_shown(a) for a in await asyncio.to_thread(look)]}

    async def get_artifact(
        self, artifact: str, limit: int | None = None, offset: int = 0
    ) -> tuple[Json, bytes]:
        """One artifact with its content, checked against its hash, or a part of it, checked too."""
        store = self.services.pit.store

        def look() -> tuple[Json, bytes]:
            identity = self._identity(artifact)
            content = b"" if limit == 0 else store.get(identity, offset, limit)
            return _shown(store.info(identity)), content

        return await asyncio.to_thread(look)

    async def artifact_versions(self, name: str) -> Json:
        """The versions of a name, newest first."""
        versions = await asyncio.to_thread(self.services.pit.store.versions, name)
        return {"versions": [_shown(v) for v in reversed(versions)]}

    async def diff_artifacts(self, old: str, new: str | None = None) -> Json:
        """What changed between two texts; with one only, between the version before it and it."""

        def compare() -> Json:
            a, b = self._pair(old, new)
            store = self.services.pit.store
            before, after = (text_of(store.get(one["id"], 0, LIMIT + 1), one["name"]) for one in (a, b))
            names = [f"{one['name']}@{one['version']}" for one in (a, b)]
            diff, added, removed = difference(before, after, names[0], names[1])
            return {"old": _shown(a), "new": _shown(b), "diff": diff, "added": added, "removed": removed}

        return await asyncio.to_thread(compare)

    def _pair(self, old: str, new: str | None) -> tuple[Json, Json]:
        if new is not None:
            return self._entry(old), self._entry(new)
        entry = self._entry(old)
        before = [
            v for v in self.services.pit.store.versions(entry["name"]) if v["version"] < entry["version"]
        ]
        if not before:
            raise NotFound(
                f"{entry['name']} has no version before {entry['version']}",
                remedy=f"`symphony artifacts versions {entry['name']}` shows them",
            )
        return before[-1], entry

    def _entry(self, artifact: str) -> Json:
        """The version that `name@version` or a name says, or the newest entry of an id."""
        store = self.services.pit.store
        versions = store.versions(artifact)
        if versions:
            return versions[-1]
        name, _, number = artifact.rpartition("@")
        for version in store.versions(name) if number.isdecimal() else []:
            if version["version"] == int(number):
                return version
        return store.info(self._identity(artifact))

    async def verify_artifacts(self) -> Json:
        """Reads every stored byte."""
        findings = await asyncio.to_thread(self.services.pit.store.verify)
        return {"findings": list(findings)}

    def _identity(self, artifact: str) -> str:
        store = self.services.pit.store
        if artifact.startswith("sha256:") and len(artifact) == 71:
            return artifact
        versions = store.versions(artifact)
        if versions:
            return str(versions[-1]["id"])
        name, _, number = artifact.rpartition("@")
        for version in store.versions(name) if number.isdecimal() else []:
            if version["version"] == int(number):
                return str(version["id"])
        prefix = artifact if artifact.startswith("sha256:") else f"sha256:{artifact}"
        matches = {a["id"] for a in store.list(limit=100_000) if a["id"].startswith(prefix)}
        if len(prefix) > 10 and len(matches) == 1:
            return str(matches.pop())
        raise NotFound(f"There is no artifact {artifact}", remedy="`symphony artifacts list` shows them")


def _info(store: ArtifactStore, artifact: str) -> Json:
    """What is known of an artifact; nothing once it was collected."""
    try:
        return dict(store.info(artifact))
    except NotFound:
        return {}


def _shown(artifact: Json) -> Json:
    shown = {key: artifact[key] for key in _FIELDS if key in artifact}
    run = shown.get("run") or ""
    if "/" in run:  # made in a nested run
        shown["run"], shown["node"] = root_of(run), path_of(run, shown.get("node") or "")
    if artifact.get("snippet"):
        shown["snippet"] = artifact["snippet"]
    return shown
