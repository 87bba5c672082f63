"""A host in memory that behaves as the port says: it composes, plays, keeps artifacts and extensions."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from symphony.errors import BadInput, NotFound, PermissionDenied
from symphony.ports.host import Json
from tests.ui import fake_content
from tests.ui.fake_actions import FakeActions
from tests.ui.fake_changes import FakeChanges
from tests.ui.fake_grants import FakeGrants
from tests.ui.fake_learning import FakeLearning

START = 1_780_000_000.0


class FakeHost(FakeActions, FakeChanges, FakeGrants, FakeLearning):
    """`step` is the seconds that each node of a run takes; `gate`, when set, holds every node until it is set."""

    def __init__(
        self, *, step: float = 0.0, project: str | None = "/projects/orchard", empty: bool = False
    ) -> None:
        super().__init__()
        self.step = step
        self.gate: asyncio.Event | None = None
        self.waits: dict[str, str] = {}
        """What steps wait for, by id, until they run."""
        self.fail_node = ""
        self.asks_to_resume = False
        self.brought: Json = {"themes": [], "layouts": [], "components": []}
        self.components: dict[str, Json] = {}
        self.path = project
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.drafts: dict[str, Json] = {}
        self.melodies: dict[str, Json] = {}
        self.runs: dict[str, Json] = {}
        self.played: dict[str, Json] = {}
        self.artifacts: list[tuple[Json, bytes]] = []
        self.extensions = copy.deepcopy(fake_content.EXTENSIONS)
        self.rows = copy.deepcopy(fake_content.SETTINGS)
        self.questions: dict[str, list[Json]] = {}
        self.changes: list[Json] = []
        self.done: list[Json] = []
        self._watchers: set[asyncio.Queue[Json]] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._clock = START
        if not empty:
            saved = copy.deepcopy(fake_content.MELODY)
            saved.update(
                id="m-1", name="review-risk", version="1.2.0", description="Where the next bug is likely"
            )
            self.melodies["m-1"] = saved

    # --- project -----------------------------------------------------------------------------
    async def project(self) -> Json:
        if self.path is None:
            return {"path": None, "name": "", "is_git": False, "languages": {}, "examples": []}
        return {
            "path": self.path,
            "name": self.path.rpartition("/")[2],
            "is_git": True,
            "languages": {"Python": 120, "Rust": 31},
            "examples": fake_content.EXAMPLES,
        }

    async def open_project(self, path: str) -> Json:
        if not path.startswith("/") or "missing" in path:
            raise BadInput(f"The folder {path!r} does not exist", remedy="give the full path of a folder")
        self.path = path
        return await self.project()

    # --- melodies ----------------------------------------------------------------------------
    async def submit_prompt(
        self, prompt: str, project: str | None = None, answers: Mapping[str, str] | None = None
    ) -> Json:
        self.calls.append(("submit_prompt", (prompt, *([dict(answers)] if answers else []))))
        await asyncio.sleep(self.step)
        if "weather" in prompt or "image" in prompt:
            return {
                "possible": False,
                "missing": ["a Player that makes text/markdown from a place and a date"],
                "extensions": ["acme/weather"],
            }
        melody = copy.deepcopy(fake_content.MELODY)
        draft = f"draft-{len(self.drafts) + 1}"
        self.drafts[draft] = melody
        return {
            "possible": True,
            "melody": melody,
            "explanations": fake_content.EXPLANATIONS,
            "predicted_seconds": 2.4,
            "draft": draft,
            **({"question": fake_content.QUESTION} if "utils.py" in prompt and not answers else {}),
        }

    async def revise_melody(self, melody: str | Json, prompt: str, project: str | None = None) -> Json:
        self.calls.append(("revise_melody", (prompt,)))
        await asyncio.sleep(self.step)
        revised = copy.deepcopy(self._resolve(melody))
        gone = [node["id"] for node in revised["nodes"] if node["id"] in prompt.split()]
        if not gone:
            return {"possible": False, "missing": [f"what “{prompt}” should change"], "extensions": []}
        revised["nodes"] = [node for node in revised["nodes"] if node["id"] not in gone]
        revised["edges"] = [
            edge
            for edge in revised["edges"]
            if not {edge["from"].partition(".")[0], edge["to"].partition(".")[0]} & set(gone)
        ]
        draft = f"draft-{len(self.drafts) + 1}"
        self.drafts[draft] = revised
        why = [{"node": node, "why": f"taken out, as asked: “{node}”", "confidence": 1.0} for node in gone]
        return {
            "possible": True,
            "melody": revised,
            "explanations": why,
            "predicted_seconds": 1.2,
            "draft": draft,
        }

    def _resolve(self, melody: str | Json) -> Json:
        if isinstance(melody, dict):
            return melody
        if melody in self.drafts:
            return self.drafts[melody]
        for known in self.melodies.values():
            if melody in (known["id"], known["name"]):
                return known
        raise NotFound(f"There is no Melody {melody!r}", remedy="list them in the Polyphony Store")

    async def execute_melody(
        self,
        melody: str | Json,
        *,
        project: str | None = None,
        prompt: str = "",
        agreed: bool = False,
        resume: str | None = None,
    ) -> Json:
        document = copy.deepcopy(self._resolve(melody))
        self.calls.append(("execute_melody", (document,)))
        if any("shell#run" in node["player"] for node in document["nodes"]) and not agreed:
            raise PermissionDenied(
                "The Melody runs programs", code="consent_needed", findings=[{"message": "run make test"}]
            )
        run = f"run-{len(self.runs) + 1}"
        self._clock += 60
        self.runs[run] = {
            "id": run,
            "name": document.get("name") or "melody",
            "status": "running",
            "seconds": 0.0,
            "project": self.path or "",
            "prompt": prompt,
            "created": self._clock,
            "error": None,
            "nodes": [node_run(node) for node in document["nodes"]],
        }
        self.played[run] = document
        self._play(run)
        return {"run": run}

    def _play(self, run: str) -> None:
        self._tasks[run] = asyncio.get_running_loop().create_task(self._run(run))

    async def _run(self, run: str) -> None:
        info, melody = self.runs[run], self.played[run]
        info.update(status="running", error=None)
        self.emit({"event": "runs"})
        clock = info["seconds"]
        failed = False
        for node in info["nodes"]:
            if node["id"] in self.waits:
                node.update(status="ready", waits_for=self.waits[node["id"]])
                self.emit({"event": "taskProgress", "run": run, "node": dict(node)})
        for node in info["nodes"]:
            if node["status"] == "succeeded":
                continue
            if failed:
                node.update(status="skipped")
                self.emit({"event": "taskProgress", "run": run, "node": dict(node)})
                continue
            node.update(status="running", started=clock, attempts=node["attempts"] + 1, error=None)
            node["waits_for"] = ""
            self.emit({"event": "taskProgress", "run": run, "node": dict(node)})
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(self.step)
            clock += max(self.step, 0.1)
            if node["id"] == self.fail_node:
                failed = True
                error = {"code": "failed", "message": "ruff is not installed", "remedy": "install it"}
                node.update(status="failed", ended=clock, error=error)
                self.emit({"event": "taskError", "run": run, "node": node["id"], "error": error})
            else:
                stored = self._store_outputs(run, node, melody)
                node.update(status="succeeded", ended=clock, artifacts=stored)
            self.emit({"event": "taskProgress", "run": run, "node": dict(node)})
            self.emit({"event": "metricsUpdate", "run": run, "metrics": await self.metrics(run)})
        info["seconds"] = clock
        info["status"] = "failed" if failed else "succeeded"
        if failed:
            info["error"] = {
                "message": f"{self.fail_node} failed: ruff is not installed",
                "remedy": "install it",
            }
        self.emit({"event": "workflowComplete", "run": copy.deepcopy(info)})
        self.emit({"event": "runs"})
        self.emit({"event": "artifacts"})

    def _store_outputs(self, run: str, node: Json, melody: Json) -> list[str]:
        ids = []
        for name, kind, content in fake_content.OUTPUTS.get(node["player"].partition("@")[0], ()):
            ids.append(self.keep(name, kind, content, run=run, node=node["id"]))
        return ids

    def keep(self, name: str, kind: str, content: bytes, run: str = "", node: str = "") -> str:
        """Stores an artifact as the host would."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        versions = sum(info["name"] == name for info, _ in self.artifacts)
        info = {
            "id": digest,
            "name": name,
            "type": kind,
            "bytes": len(content),
            "quality": 0.93,
            "created": self._clock,
            "run": run,
            "node": node,
            "version": versions + 1,
        }
        if not any(known["id"] == digest and known["name"] == name for known, _ in self.artifacts):
            self.artifacts.append((info, content))
        return digest

    async def validate_melody(self, melody: Json) -> Json:
        known = {node["player"] for node in fake_content.NODES}
        findings = [
            {
                "code": "unknown_player",
                "node": node["id"],
                "edge": None,
                "message": f"There is no Player {node['player']}",
                "remedy": "install its extension",
                "severity": "error",
            }
            for node in melody["nodes"]
            if node["player"].partition("@")[0] not in known
        ]
        targets = {edge["to"] for edge in melody.get("edges", [])}
        specs = {node["player"]: node for node in fake_content.NODES}
        for node in melody["nodes"]:
            for port, kind in specs.get(node["player"], {}).get("inputs", {}).items():
                if kind != "project" and f"{node['id']}.{port}" not in targets:
                    findings.append(
                        {
                            "code": "missing_input",
                            "node": node["id"],
                            "edge": None,
                            "message": f"The input {port} is not connected",
                            "remedy": f"connect something of type {kind}",
                            "severity": "error",
                        }
                    )
        return {"valid": not findings, "findings": findings}

    async def save_melody(self, melody: str | Json, name: str, description: str = "") -> Json:
        document = copy.deepcopy(self._resolve(melody))
        key = next((k for k, m in self.melodies.items() if m["name"] == name), f"m-{len(self.melodies) + 1}")
        document.update(id=key, name=name, description=description, version="1.0.0")
        self.melodies[key] = document
        self.emit({"event": "melodies"})
        return {"id": key, "name": name, "version": "1.0.0"}

    async def list_melodies(self, query: str = "") -> Json:
        return {
            "melodies": [
                {
                    "id": melody["id"],
                    "name": melody["name"],
                    "version": melody["version"],
                    "description": melody["description"],
                    "nodes": len(melody["nodes"]),
                    "updated": START,
                    "tags": ["git"],
                }
                for melody in self.melodies.values()
                if query.lower() in f"{melody['name']} {melody['description']}".lower()
            ]
        }

    async def get_melody(self, melody: str) -> Json:
        return copy.deepcopy(self._resolve(melody))

    async def delete_melody(self, melody: str) -> Json:
        self.melodies.pop(melody)
        self.emit({"event": "melodies"})
        return {"deleted": melody}

    async def available_nodes(self) -> Json:
        return {"nodes": copy.deepcopy(fake_content.NODES)}

    # --- runs --------------------------------------------------------------------------------
    async def list_runs(self, limit: int = 50) -> Json:
        return {"runs": [copy.deepcopy(run) for run in reversed(self.runs.values())][:limit]}

    async def get_run(self, run: str) -> Json:
        if run not in self.runs:
            raise NotFound(f"There is no run {run!r}", remedy="choose one from the history")
        return {
            "run": copy.deepcopy(self.runs[run]),
            "melody": self.played[run],
            "artifacts": [info for info, _ in self.artifacts if info["run"] == run],
            "questions": self.questions.get(run, []),
            "changes": [copy.deepcopy(c) for c in self.changes if c["run"] == run],
        }

    async def cancel_run(self, run: str) -> Json:
        self._tasks[run].cancel()
        info = self.runs[run]
        info["status"] = "cancelled"
        for node in info["nodes"]:
            if node["status"] in ("pending", "running"):
                node["status"] = "cancelled"
                self.emit({"event": "taskProgress", "run": run, "node": dict(node)})
        self.emit({"event": "workflowComplete", "run": copy.deepcopy(info)})
        return {"run": run}

    async def resume_run(self, run: str, *, agreed: bool = False) -> Json:
        if self.asks_to_resume and not agreed:
            raise PermissionDenied(
                "The Melody runs programs", code="consent_needed", findings=[{"message": "run make test"}]
            )
        self.fail_node = ""
        for node in self.runs[run]["nodes"]:
            if node["status"] != "succeeded":
                node.update(status="pending", error=None)
        self._play(run)
        return {"run": run}

    async def answer(self, run: str, node: str, approved: bool, comment: str = "") -> Json:
        self.questions[run] = [q for q in self.questions.get(run, []) if q["node"] != node]
        return {"run": run}

    def emit(self, event: Json) -> None:
        """Sends an event to all who watch."""
        for queue in self._watchers:
            queue.put_nowait(event)

    async def watch(self, run: str | None = None) -> AsyncIterator[Json]:
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    async def task_logs(self, run: str, node: str | None = None, limit: int = 500) -> Json:
        logs = [
            {
                "time": START + number,
                "level": "error" if entry["id"] == self.fail_node else "info",
                "component": "player",
                "run": run,
                "node": entry["id"],
                "message": f"{entry['player']} {entry['status']}",
            }
            for number, entry in enumerate(self.runs[run]["nodes"])
            if node in (None, entry["id"])
        ]
        return {"logs": logs}

    async def metrics(self, run: str | None = None) -> Json:
        return {
            "throughput": 3.1,
            "average": 0.42,
            "p50": 0.31,
            "p99": 1.2,
            "players": {
                "symphony/git#log": {"calls": 2, "average": 0.31, "p50": 0.3, "p99": 0.4},
                "symphony/report#markdown": {"calls": 1, "average": 0.8, "p50": 0.8, "p99": 0.8},
            },
            "resources": {"cpu": {"used": 1.5, "total": 8}, "memory": {"used": 412 << 20, "total": 16 << 30}},
        }

    # --- artifacts ---------------------------------------------------------------------------
    async def list_artifacts(self, query: str = "", run: str | None = None, limit: int = 100) -> Json:
        found = [
            info
            for info, content in reversed(self.artifacts)
            if query.lower() in info["name"].lower() or query.lower().encode() in content.lower()
        ]
        return {"artifacts": found[:limit]}

    async def get_artifact(
        self, artifact: str, limit: int | None = None, offset: int = 0
    ) -> tuple[Json, bytes]:
        for info, content in self.artifacts:
            if info["id"] == artifact:
                return info, content[offset:][:limit]
        raise NotFound(f"There is no artifact {artifact!r}")

    async def artifact_versions(self, name: str) -> Json:
        return {"versions": [info for info, _ in reversed(self.artifacts) if info["name"] == name]}

    async def diff_artifacts(self, old: str, new: str | None = None) -> Json:
        raise NotFound(f"There is no version before {old!r}")

    async def verify_artifacts(self) -> Json:
        return {"findings": []}

    async def collect_artifacts(self, dry_run: bool = False) -> Json:
        return {"removed": 0, "bytes": 0}

    async def artifact_tiers(self) -> Json:
        return {"tiers": []}

    async def tier_artifacts(
        self, dry_run: bool = False, artifacts: list[str] | None = None, target: str = ""
    ) -> Json:
        return {"actions": [], "done": 0, "bytes": 0, "failures": []}

    async def pin_artifact(self, artifact: str, pinned: bool = True) -> Json:
        return {"id": artifact, "pinned": pinned}

    async def hold_artifact(self, artifact: str, reason: str | None) -> Json:
        return {"id": artifact, "held": reason}

    # --- extensions --------------------------------------------------------------------------
    async def list_extensions(self, query: str = "", installed_only: bool = False, limit: int = 300) -> Json:
        words = query.lower().split()
        found = [item for item in self.extensions if all(word in json.dumps(item).lower() for word in words)]
        offered = [item for item in found if not item["installed"]]
        left_out = offered[limit:]
        return {
            "extensions": [copy.deepcopy(item) for item in found if item not in left_out],
            "more": len(left_out),
        }

    def _extension(self, name: str) -> Json:
        for item in self.extensions:
            if item["name"] == name:
                return item
        raise NotFound(f"There is no extension {name!r}", remedy="search the Marketplace")

    async def install_extension(self, source: str, agreed: Sequence[str] | None = None) -> Json:
        item = self._extension(source)
        wanted = item["capabilities"]["grants"]
        if agreed is None or not set(wanted) <= set(agreed):
            said = zip(wanted, item["permissions"], strict=True)
            raise PermissionDenied(
                f"{source} asks for permissions",
                code="consent_needed",
                findings=[{"grant": grant, "message": word} for grant, word in said]
                or [{"message": "It may do nothing beyond computing"}],
            )
        await asyncio.sleep(self.step)
        item.update(installed=True, enabled=True, state="installed")
        self.emit({"event": "extensions"})
        return {"name": source, "version": item["version"]}

    async def update_extension(self, name: str, agreed: Sequence[str] | None = None) -> Json:
        item = self._extension(name)
        item.update(version=item.pop("update"), update=None)
        return {"name": name, "version": item["version"]}

    async def rollback_extension(self, name: str) -> Json:
        return {"name": name}

    async def remove_extension(self, name: str) -> Json:
        self._extension(name).update(installed=False, enabled=False, state="")
        self.emit({"event": "extensions"})
        return {"name": name}

    async def enable_extension(self, name: str, enabled: bool) -> Json:
        self._extension(name).update(enabled=enabled)
        return {"name": name, "enabled": enabled}

    async def extension_permissions(self, name: str) -> Json:
        item = self._extension(name)
        return {"name": name, "granted": item["capabilities"]["grants"], "words": item["permissions"]}

    async def audit(self, name: str | None = None, limit: int = 200) -> Json:
        return {"entries": [entry for entry in fake_content.AUDIT if name in (None, entry["extension"])]}

    async def call_function(
        self,
        player: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        project: str | None = None,
        agreed: bool = False,
    ) -> Json:
        return {"outputs": {}}

    # --- settings and health -----------------------------------------------------------------
    # --- motifs ------------------------------------------------------------------------------
    async def motifs(self, artifact: str | None = None) -> Json:
        if artifact is None:
            return copy.deepcopy(self.brought)
        kind = (await self.get_artifact(artifact, 0))[0]["type"]
        fitting = [one for one in self.brought["components"] if one["artifact"] == kind]
        return {"themes": [], "layouts": [], "components": fitting}

    async def open_component(
        self, player: str, artifact: str | None = None, project: str | None = None
    ) -> Json:
        self.calls.append(("open_component", (player, artifact)))
        component = f"component-{len(self.calls)}"
        tree = fake_content.counter(0)
        self.components[component] = {
            "extension": player.partition("#")[0],
            "tree": tree,
            "problem": None,
            "is_open": True,
        }
        return {"id": component}

    async def component(self, component: str) -> Json:
        if component not in self.components:
            raise NotFound("This component is not open")
        return dict(self.components[component])

    async def component_event(self, component: str, key: str, name: str, value: Any = None) -> Json:
        self.calls.append(("component_event", (component, key, name, value)))
        self.show(component, fake_content.counter(sum(c[0] == "component_event" for c in self.calls)))
        return {"id": component}

    async def close_component(self, component: str) -> Json:
        self.calls.append(("close_component", (component,)))
        self.components.pop(component, None)
        return {"id": component}

    def show(self, component: str, tree: Any) -> None:
        """Shows something new, as a Player would."""
        self.components.setdefault(component, {"extension": "acme/counter", "problem": None, "is_open": True})
        self.components[component]["tree"] = tree
        self.emit({"event": "component", "id": component})

    async def settings(self) -> Json:
        return {"settings": copy.deepcopy(self.rows)}

    async def set_setting(self, key: str, value: Any, scope: str = "user") -> Json:
        self.calls.append(("set_setting", (key, value, scope)))
        for row in self.rows:
            if row["key"] == key:
                if row["type"] == "integer" and (not isinstance(value, int) or value < 1):
                    raise BadInput(
                        f"{key} must be a whole number from 1, not {value!r}", remedy="give another"
                    )
                row.update(value=value, source="user")
                self.emit({"event": "settings"})
                return dict(row)
        raise NotFound(f"There is no setting {key!r}")

    async def health(self) -> Json:
        return {
            "healthy": True,
            "components": [
                {"name": "pit.pool", "status": "ok", "detail": "2 Players ready", "remedy": ""},
                {
                    "name": "sandbox.landlock",
                    "status": "absent",
                    "detail": "the kernel lacks it",
                    "remedy": "",
                },
            ],
        }

    async def close(self) -> None:
        """Ends the runs."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def node_run(node: Json) -> Json:
    return {
        "id": node["id"],
        "player": node["player"],
        "status": "pending",
        "attempts": 0,
        "cached": False,
        "started": None,
        "ended": None,
        "artifacts": [],
        "error": None,
        "progress": None,
        "note": "",
        "waits_for": "",
    }
