"""Methods about where artifacts are kept; reading one works wherever its bytes are."""

from __future__ import annotations

import asyncio
from typing import Any

from symphony.app.methods.artifacts import ArtifactMethods
from symphony.app.methods.runs import RunMethods
from symphony.app.tiering import KEY_NAME, KEY_REASON
from symphony.errors import BadInput

Json = dict[str, Any]


class TierMethods(ArtifactMethods, RunMethods):
    """What ArtifactMethods and RunMethods answer, with the tiers beside the store taken into account."""

    async def list_artifacts(self, query: str = "", run: str | None = None, limit: int = 100) -> Json:
        """As ArtifactMethods; each entry says in which `tier` it is."""
        answer = await super().list_artifacts(query, run, limit)
        listed = [one for one in answer["artifacts"] if one["name"] != KEY_NAME]
        places = await asyncio.to_thread(self.services.tiers.places, [one["id"] for one in listed])
        return {"artifacts": [{**one, "tier": places[one["id"]]} for one in listed]}

    async def get_artifact(
        self, artifact: str, limit: int | None = None, offset: int = 0
    ) -> tuple[Json, bytes]:
        """As ArtifactMethods; what is in another tier is brought back first."""
        identity = await self._brought_back(artifact)
        return await super().get_artifact(identity, limit, offset)

    async def diff_artifacts(self, old: str, new: str | None = None) -> Json:
        """As ArtifactMethods; what is in another tier is brought back first."""
        pair = await asyncio.to_thread(self._pair, old, new)
        for one in pair:
            await asyncio.to_thread(self.services.tiers.bring_back, one["id"])
        return await super().diff_artifacts(old, new)

    async def collect_artifacts(self, dry_run: bool = False) -> Json:
        """Removes what the retention plan would delete, wherever it is."""
        actions = [a for a in await asyncio.to_thread(self.services.tiers.plan) if a.kind == "delete"]
        answer = {"removed": len(actions), "bytes": sum(action.bytes for action in actions)}
        if dry_run:
            return answer
        done = await self.services.tiers.execute(actions)
        self.services.actions.note_removed(done.pop("deleted"), by="you")
        if done["done"]:
            self.services.hub.emit({"event": "artifacts"})
        return {"removed": done["done"], "bytes": done["bytes"]}

    async def artifact_tiers(self) -> Json:
        """Each tier with what it holds."""
        return {"tiers": await asyncio.to_thread(self.services.tiers.look)}

    async def tier_artifacts(
        self, dry_run: bool = False, artifacts: list[str] | None = None, target: str = ""
    ) -> Json:
        """Executes the retention plan, or brings some artifacts to a tier."""
        tiers = self.services.tiers
        if artifacts:
            actions = [await asyncio.to_thread(self._wanted, name, target) for name in artifacts]
        else:
            actions = await asyncio.to_thread(tiers.plan)
        answer: Json = {"actions": [action.to_json() for action in actions]}
        if dry_run:
            return {**answer, "done": 0, "bytes": 0, "failures": []}
        done = await tiers.execute(actions)
        self.services.actions.note_removed(done.pop("deleted"), by="you")
        if done["done"]:
            self.services.hub.emit({"event": "artifacts"})
        return {**answer, **done}

    async def pin_artifact(self, artifact: str, pinned: bool = True) -> Json:
        """Keeps an artifact where it is, or lets the policy decide again."""
        identity = await asyncio.to_thread(self._identity, artifact)
        await asyncio.to_thread(self.services.tiers.retention.pin, identity, pinned)
        return {"id": identity, "pinned": pinned}

    async def hold_artifact(self, artifact: str, reason: str | None) -> Json:
        """Forbids to delete an artifact, for a reason, or lifts that (None)."""
        identity = await asyncio.to_thread(self._movable, artifact)
        store, stale = self.services.pit.store, self.services.pit.stale
        if reason is not None and (not reason.strip() or reason == KEY_REASON):
            raise BadInput("A hold needs a reason", remedy="say why, such as `--reason 'case 7'`")

        def change() -> None:
            if reason is None:
                store.lift_hold(identity)
            else:
                store.hold(identity, reason)
            if stale.item(identity) is not None:
                stale.set_hold(identity, reason is not None)

        await asyncio.to_thread(change)
        return {"id": identity, "held": reason}

    async def _brought_back(self, artifact: str) -> str:
        def bring() -> str:
            identity = self._identity(artifact)
            self.services.tiers.bring_back(identity)
            return identity

        return await asyncio.to_thread(bring)

    def _movable(self, artifact: str) -> str:
        identity = self._identity(artifact)
        if self.services.tiers.is_key(identity):
            raise BadInput(f"{artifact} is the key of what has left the store; it stays there, held")
        return identity

    def _wanted(self, artifact: str, target: str) -> Any:
        from symphony.tiers.retention import Action

        identity = self._movable(artifact)
        info = self.services.pit.store.info(identity)
        place = self.services.tiers.places([identity])[identity]
        if target not in ("active", "archive", "cloud"):
            raise BadInput(f"There is no tier {target!r}", remedy="active, archive or cloud")
        return Action(target, identity, info["name"], place, info["bytes"], "asked for")
