"""Methods about artifacts."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pit_native import ArtifactStore
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

    async def get_artifact(self, artifact: str, limit: int | None = None) -> tuple[Json, bytes]:
        """One artifact with its content, checked against its hash. Its name or the start of its id will do."""
        store = self.services.pit.store

        def look() -> tuple[Json, bytes]:
            identity = self._identity(artifact)
            content = store.get(identity)
            return _shown(store.info(identity)), bytes(content if limit is None else content[:limit])

        return await asyncio.to_thread(look)

    async def artifact_versions(self, name: str) -> Json:
        """The versions of a name, newest first."""
        versions = await asyncio.to_thread(self.services.pit.store.versions, name)
        return {"versions": [_shown(v) for v in versions]}

    async def verify_artifacts(self) -> Json:
        """Reads every stored byte."""
        findings = await asyncio.to_thread(self.services.pit.store.verify)
        return {"findings": list(findings)}

    async def collect_artifacts(self, dry_run: bool = False) -> Json:
        """Removes what the Stale Manager's plan would delete."""
        pit = self.services.pit

        def collect() -> Json:
            doomed = [a["id"] for a in pit.stale.plan(time.time()) if a["action"] == "delete"]
            size = sum(pit.store.info(identity)["bytes"] for identity in doomed)
            if not dry_run:
                for identity in doomed:
                    pit.store.remove(identity)
                    pit.stale.forget(identity)
            return {"removed": len(doomed), "bytes": size}

        answer = await asyncio.to_thread(collect)
        if not dry_run and answer["removed"]:
            self.services.hub.emit({"event": "artifacts"})
        return answer

    def _identity(self, artifact: str) -> str:
        store = self.services.pit.store
        if artifact.startswith("sha256:") and len(artifact) == 71:
            return artifact
        versions = store.versions(artifact)
        if versions:
            return str(versions[0]["id"])
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
