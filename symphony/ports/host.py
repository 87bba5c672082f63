"""What the page and the command line ask of the host, whether it is this process or a running one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]

LISTED = 300
"""How many extensions on offer are listed unless more are asked for: the others are better found by further words."""


class HostPort(Protocol):
    """Every method answers with plain JSON values in the shapes of the contracts, or raises a SymphonyError."""

    # --- project -----------------------------------------------------------------------------
    async def project(self) -> Json:
        """`{"path": str | None, "name", "is_git", "languages": {name: files}, "examples": [prompt]}`."""
        ...

    async def open_project(self, path: str) -> Json:
        """Makes `path` the open project and remembers it; answers as `project`."""
        ...

    # --- melodies ----------------------------------------------------------------------------
    async def submit_prompt(
        self, prompt: str, project: str | None = None, answers: Mapping[str, str] | None = None
    ) -> Json:
        """Composes: the `compose --json` answer, with `draft` (an id) when possible.

        Where two readings are about as likely it has a `question`, `{"name", "text", "choices": [{"label",
        "value"}]}`, and the Melody is that of the first choice; `answers` maps names of questions to values.
        """
        ...

    async def revise_melody(self, melody: str | Json, prompt: str, project: str | None = None) -> Json:
        """A draft or document as `prompt` wants it otherwise, by the smallest change: as `submit_prompt` answers.

        The explanations name what was added, set or taken out, and nothing else.
        """
        ...

    async def execute_melody(
        self,
        melody: str | Json,
        *,
        project: str | None = None,
        prompt: str = "",
        agreed: bool = False,
        resume: str | None = None,
    ) -> Json:
        """Starts a run of a draft id, a saved Melody's id or name, or a Melody document: `{"run": id}`.

        Raises PermissionDenied with code `consent_needed` and the questions as findings when a Player
        asks before each play and `agreed` is false.
        """
        ...

    async def validate_melody(self, melody: Json) -> Json:
        """`{"valid": bool, "findings": [{code, node, edge, message, remedy, severity}]}`."""
        ...

    async def save_melody(self, melody: str | Json, name: str, description: str = "") -> Json:
        """Puts a draft or a document into the Polyphony Store: `{"id", "name", "version"}`."""
        ...

    async def list_melodies(self, query: str = "") -> Json:
        """`{"melodies": [{"id", "name", "version", "description", "nodes", "updated", "tags"}]}`."""
        ...

    async def get_melody(self, melody: str) -> Json:
        """A draft or a saved Melody as a document."""
        ...

    async def delete_melody(self, melody: str) -> Json:
        """Removes a saved Melody: `{"deleted": id}`."""
        ...

    async def available_nodes(self) -> Json:
        """`{"nodes": [{"player", "kind", "description", "inputs", "outputs", "params", "examples"}]}`."""
        ...

    # --- runs --------------------------------------------------------------------------------
    async def list_runs(self, limit: int = 50) -> Json:
        """`{"runs": [RunInfo]}`, newest first."""
        ...

    async def get_run(self, run: str) -> Json:
        """`{"run": RunInfo, "melody": document, "artifacts": [ArtifactInfo], "questions": [open approvals],
        "changes": [as of `list_changes`]}`.

        An open approval is `{"node", "message"}`; the message is empty when the Melody has none.
        """
        ...

    async def cancel_run(self, run: str) -> Json:
        """Stops a run in order: `{"run": id}`."""
        ...

    async def resume_run(self, run: str, *, agreed: bool = False) -> Json:
        """Goes on with an interrupted, failed or cancelled run under its id: `{"run": id}`. Raises
        PermissionDenied with code `consent_needed` for what was not agreed to when it was started.
        """
        ...

    async def answer(self, run: str, node: str, approved: bool, comment: str = "") -> Json:
        """A person's answer to an `approve` node."""
        ...

    def watch(self, run: str | None = None) -> AsyncIterator[Json]:
        """Events of one run, or of all things: `{"event": "taskProgress" | "taskError" |
        "workflowComplete" | "metricsUpdate" | "runs" | "extensions" | "melodies" | "artifacts" |
        "settings" | "project" | "notice", …}`.

        `taskProgress` has `run`, `node` (a NodeRun); `workflowComplete` has `run` (a RunInfo);
        the plural ones say that a list has changed.
        """
        ...

    async def task_logs(self, run: str, node: str | None = None, limit: int = 500) -> Json:
        """`{"logs": [{"time", "level", "component", "run", "node", "message", …}]}`."""
        ...

    async def metrics(self, run: str | None = None) -> Json:
        """`{"throughput", "nodes", "average", "p50", "p99", "queue", "cpu_seconds", "peak_memory", "gpu_share",
        "by_player": {player: the same}, "players": {...}, "models": {...}, "resources": {...}}`; seconds and
        bytes.
        """
        ...

    # --- changes -----------------------------------------------------------------------------
    async def list_changes(self, run: str | None = None) -> Json:
        """What programs changed in private copies of projects: `{"changes": [{"id", "run", "node", "extension",
        "program", "project", "artifact", "created", "counts": {"added", "changed", "removed", "refused"},
        "refused": [{"path", "reason"}], "state": "open | applying | applied | undoing | undone", "replaced":
        whether its step was played again}]}`, newest first. Those of one run build upon each other. A host that
        was killed leaves `applying` or `undoing`; both `apply_changes` and `undo_changes` go on from there."""
        ...

    async def get_changes(self, changes: str) -> Json:
        """One of them, with `paths: [{"path", "kind", "stale"}]` and `diff`, a unified diff that can be printed."""
        ...

    async def apply_changes(self, changes: str) -> Json:
        """Brings them into the project, all or none; answers as `list_changes` does of each. Raises an error with
        code `changed_meanwhile` and a finding for each path that is not as it was."""
        ...

    async def apply_run_changes(self, run: str) -> Json:
        """All open sets of a run, in the order in which they were made: `{"changes": […]}`. Stops with the error of
        the first that cannot be applied."""
        ...

    async def undo_changes(self, changes: str) -> Json:
        """Takes them back, under the same conditions."""
        ...

    # --- learning ----------------------------------------------------------------------------
    async def rate_run(self, run: str, rating: str) -> Json:
        """Keeps what the user says of a run that began with a prompt, `good`, `bad` or `none`: `{"run", "rating"}`.
        Raises NotFound when nothing of the run is kept."""
        ...

    async def learning(self, limit: int = 20) -> Json:
        """`{"logging", "automatic", "replay": {"compositions", "decisions", "runs", "ended", "labelled", "capacity"},
        "policy": {"deciding", "version", "current", "previous", "trouble"}, "learner": {"state": "learning | waiting |
        missing", "detail", "remedy"}, "events": [{"at", "kind", "version", "reason"}] newest first, "lessons":
        [{"at", "decisions", "version", "promoted", "reason", "curve": [{"policy_loss", "value_loss",
        "kl_divergence", "return"}]}], "runs": [as `learning_of_run`]}`."""
        ...

    async def learning_of_run(self, run: str) -> Json:
        """`{"run", "kept": {"prompt", "policy", "encoder", "decisions": [{"candidates", "allowed", "action",
        "probability"}], "status", "seconds", "quality", "rating", "undone", "reward"} | None}`."""
        ...

    async def export_learning(self) -> Json:
        """`{"runs": [as above, with the numbers of each decision]}`: all that is kept."""
        ...

    async def forget_learning(self, run: str | None = None) -> Json:
        """Drops what is kept of a run, or of all: `{"forgotten": runs}`."""
        ...

    async def rollback_policy(self, reason: str = "") -> Json:
        """Goes back to the policy that decided before: `{"current", "previous"}`."""
        ...

    async def train_policy(self) -> Json:
        """Learns now and answers with the lesson, as one of `learning`. Raises EnvironmentLacks without torch."""
        ...

    # --- artifacts ---------------------------------------------------------------------------
    async def list_artifacts(self, query: str = "", run: str | None = None, limit: int = 100) -> Json:
        """`{"artifacts": [ArtifactInfo]}`, best or newest first."""
        ...

    async def get_artifact(
        self, artifact: str, limit: int | None = None, offset: int = 0
    ) -> tuple[Json, bytes]:
        """An artifact's ArtifactInfo and its content, or at most `limit` bytes of it from `offset` on. `artifact`
        is an id or the start of one, a name, or `name@version`."""
        ...

    async def artifact_versions(self, name: str) -> Json:
        """`{"versions": [ArtifactInfo]}`, newest first."""
        ...

    async def diff_artifacts(self, old: str, new: str | None = None) -> Json:
        """`{"old": ArtifactInfo, "new": ArtifactInfo, "diff": a unified diff, "added": lines, "removed": lines}`
        of two texts; with one only, of the version before it and it."""
        ...

    async def verify_artifacts(self) -> Json:
        """`{"findings": [...]}`, empty when every stored bit checks out."""
        ...

    async def collect_artifacts(self, dry_run: bool = False) -> Json:
        """Removes what the retention plan names: `{"removed": n, "bytes": n}`."""
        ...

    async def artifact_tiers(self) -> Json:
        """`{"tiers": [{"name", "place", "artifacts", "bytes", "status": "ok | failed", "detail", "remedy"}]}`."""
        ...

    async def tier_artifacts(
        self, dry_run: bool = False, artifacts: list[str] | None = None, target: str = ""
    ) -> Json:
        """Executes the retention plan, or brings `artifacts` to the tier `target`: `{"actions": [{"action",
        "id", "name", "from", "bytes", "reason"}], "done": n, "bytes": n, "failures": [{"id", "name", "code",
        "message", "remedy"}]}`. A dry run only answers with the actions."""
        ...

    async def pin_artifact(self, artifact: str, pinned: bool = True) -> Json:
        """Keeps an artifact in its tier, or lets the policy decide again: `{"id", "pinned"}`."""
        ...

    async def hold_artifact(self, artifact: str, reason: str | None) -> Json:
        """Forbids everybody to delete an artifact, or lifts that (None): `{"id", "held": reason | None}`."""
        ...

    # --- extensions --------------------------------------------------------------------------
    async def list_extensions(
        self, query: str = "", installed_only: bool = False, limit: int = LISTED
    ) -> Json:
        """Installed extensions that match, and of those on offer the first `limit`. `{"more": how many of these are
        left out, "extensions": [{"name", "version", "type", "description", "installed", "enabled", "bundled",
        "update", "functions", "capabilities", "permissions": [plain words], "state", "usage": {"calls", "tokens",
        "cost", "activation": seconds of the last start, "memory": bytes that its Players hold now, "limits": the
        same and "cpu" in cores}, "allowance": the limits that were set for it alone, "granted": [grants],
        "refused": [grants that it asks for and that were taken back],
        "problem": {"message", "remedy", "crashes"} of one that was switched off for its crashes, or None}]}`."""
        ...

    async def install_extension(self, source: str, agreed: Sequence[str] | None = None) -> Json:
        """Installs a name or a package file.

        Raises PermissionDenied with code `consent_needed` and the permissions in plain words as
        findings when `agreed` (the list of grants) does not cover what the manifest wants.
        """
        ...

    async def update_extension(self, name: str, agreed: Sequence[str] | None = None) -> Json:
        """Installs the newest version; asks again when it wants more."""
        ...

    async def rollback_extension(self, name: str) -> Json:
        """Goes back to the version before, and holds it there."""
        ...

    async def remove_extension(self, name: str) -> Json:
        """Removes it with its files and grants."""
        ...

    async def enable_extension(self, name: str, enabled: bool) -> Json:
        """Switches an extension on or off."""
        ...

    async def develop_extension(self, folder: str, agreed: Sequence[str] | None = None) -> Json:
        """Plays an extension from its author's folder, in the state of this moment: `{"name", "version"}`. Called again
        it takes the next state; calls that run end with the one that they began with. It is gone with the host.

        Raises PermissionDenied with code `consent_needed` when `agreed` does not cover what its manifest wants.
        """
        ...

    async def end_development(self, name: str) -> Json:
        """Goes back to the installed extension of that name, or to none: `{"name"}`."""
        ...

    async def extension_permissions(self, name: str) -> Json:
        """`{"name", "granted": [...], "words": [...]}`."""
        ...

    async def revoke_permission(self, name: str, grant: str) -> Json:
        """Takes one grant back at once, also from calls that run and from bundled extensions; answers as
        `extension_permissions`."""
        ...

    async def allow_permission(self, name: str, grant: str) -> Json:
        """Gives one again that was taken back; answers as `extension_permissions`."""
        ...

    async def set_budget(self, name: str, limits: Mapping[str, Any]) -> Json:
        """Sets limits for one extension in the place of the general settings: `calls`, `tokens` and `cost` of a
        day (0 for any number), `memory` in bytes, `cpu` in cores, `activation` in seconds. What is missing follows
        the settings. Answers `{"name", "limits"}`."""
        ...

    async def audit(self, name: str | None = None, limit: int = 200) -> Json:
        """`{"entries": [{"time", "extension", "capability", "detail", "allowed", "run", "node"}], "tampered": the
        number of the first line of the log that was changed or taken away, or None}`."""
        ...

    async def call_function(
        self,
        player: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any] | None = None,
        project: str | None = None,
        agreed: bool = False,
    ) -> Json:
        """One function alone, with the same checks: `{"outputs": {port: value}, "changes": [as `list_changes`]}`."""
        ...

    # --- motifs ------------------------------------------------------------------------------
    async def motifs(self, artifact: str | None = None) -> Json:
        """What the enabled Motifs bring: `{"themes": [{"extension", "name", "light"?, "dark"?}], "layouts":
        [{"extension", "name", "first", "order", "density"}], "components": [{"player", "title", "artifact":
        the type that it shows, None for a panel}]}`; with an artifact, only the components that show it."""
        ...

    async def open_component(
        self, player: str, artifact: str | None = None, project: str | None = None
    ) -> Json:
        """Opens a component: `{"id"}`. `watch` tells with `{"event": "component", "id"}` what it shows anew."""
        ...

    async def component(self, component: str) -> Json:
        """`{"extension", "tree", "problem": {"message", "remedy"} | None, "is_open"}`. What a node of a run
        shows has the id `RUN/NODE`. NotFound when it is not open."""
        ...

    async def component_event(self, component: str, key: str, name: str, value: Any = None) -> Json:
        """Hands what the user did to its Player."""
        ...

    async def close_component(self, component: str) -> Json:
        """Ends a component; that of a node ends with it."""
        ...

    # --- what was done -----------------------------------------------------------------------
    async def list_actions(self, limit: int = 100, before: int | None = None) -> Json:
        """`{"actions": [{"id", "at", "by": "you | Symphony", "kind": "setting | melody | extension | changes | run |
        undo | …", "subject", "said", "error", "undone", "can": "undo | redo | ", "status" of a run}]}`, newest first,
        those below the id `before`."""
        ...

    async def undo_action(self, action: int | None = None) -> Json:
        """Takes an action back, by default the newest that can be; answers as `list_actions` does of each. Raises an
        error with code `changed_meanwhile` when what it changed is otherwise by now."""
        ...

    async def redo_action(self, action: int | None = None) -> Json:
        """Does an action again that was undone, by default the one that was undone last."""
        ...

    # --- settings and health -----------------------------------------------------------------
    async def settings(self) -> Json:
        """`{"settings": [{"key", "value", "source", "description", "type", "default", "choices",
        "waits": why a change holds from the next start only, empty when at once}]}`."""
        ...

    async def set_setting(self, key: str, value: Any, scope: str = "user") -> Json:
        """Changes a setting in the user's or the project's file; answers with its row."""
        ...

    async def health(self) -> Json:
        """The `doctor --json` answer."""
        ...
