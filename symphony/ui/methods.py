"""The methods that the page may call on the host: one table, in the names of document 4."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from symphony.errors import BadInput, SymphonyError
from symphony.melody.formats import dump, from_document
from symphony.ports.host import HostPort
from symphony.ui.state import Json

CHUNK = 1 << 20
"""The most bytes of an artifact that one answer carries."""

ENDINGS = {"pretty": "json", "postcard": "melody"}
"""The endings of files whose format is called otherwise."""


class UnknownMethod(SymphonyError):
    """The page asked for a method that does not exist."""

    code = "unknown_method"


@dataclass(frozen=True, slots=True)
class Method:
    """A method: what it is for, and the code that answers it."""

    doc: str
    run: Callable[[HostPort, Json], Awaitable[Any]]


def text(params: Json, name: str, default: str | None = None) -> str:
    """A text among the parameters; raises BadInput when it is missing or no text."""
    value = params.get(name, default)
    if not isinstance(value, str):
        raise BadInput(f"The parameter {name!r} must be a text", remedy=f"send {name!r}")
    return value


def whole(params: Json, name: str, default: int, most: int) -> int:
    """A number from 0 to `most` among the parameters; raises BadInput for anything else."""
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise BadInput(f"The parameter {name!r} must be a whole number from 0 to {most}")
    return value


def _melody(params: Json) -> str | Json:
    melody = params.get("melody")
    if not isinstance(melody, str | dict):
        raise BadInput("The parameter 'melody' must be a name, an id or a document")
    return melody


def _document(params: Json) -> Json:
    melody = params.get("melody")
    if not isinstance(melody, dict):
        raise BadInput("The parameter 'melody' must be a document")
    return melody


async def _execute(host: HostPort, params: Json) -> Json:
    return await host.execute_melody(
        _melody(params), prompt=text(params, "prompt", ""), agreed=params.get("agreed") is True
    )


async def _save(host: HostPort, params: Json) -> Json:
    return await host.save_melody(_melody(params), text(params, "name"), text(params, "description", ""))


async def _install(host: HostPort, params: Json) -> Json:
    agreed = params.get("agreed")
    if agreed is not None and not (isinstance(agreed, list) and all(isinstance(x, str) for x in agreed)):
        raise BadInput("The parameter 'agreed' must be a list of grants")
    return await host.install_extension(text(params, "name"), agreed)


async def _content(host: HostPort, params: Json) -> Json:
    offset = whole(params, "offset", 0, 1 << 40)
    limit = whole(params, "limit", CHUNK, CHUNK)
    info, piece = await host.get_artifact(text(params, "id"), limit, offset)
    return {"artifact": info, "offset": offset, "content": base64.b64encode(piece).decode("ascii")}


async def _export(host: HostPort, params: Json) -> Json:
    melody = from_document(await host.get_melody(text(params, "melody")))
    form = text(params, "format", "yaml")
    content = base64.b64encode(dump(melody, form)).decode("ascii")
    return {"name": f"{melody.name}.{ENDINGS.get(form, form)}", "content": content}


def _answers(params: Json) -> dict[str, str] | None:
    """Answers to questions of the Conductor. Raises BadInput when they are no texts by name."""
    given = params.get("answers")
    if given is not None and not (
        isinstance(given, dict) and all(isinstance(v, str) for v in given.values())
    ):
        raise BadInput(
            "answers is no table of texts", remedy="give {name of the question: value of a choice}"
        )
    return given


async def _export_learning(host: HostPort, _params: Json) -> Json:
    rows = (await host.export_learning())["runs"]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return {"name": "learning.jsonl", "content": base64.b64encode(lines.encode()).decode("ascii")}


METHODS: dict[str, Method] = {
    "submitPrompt": Method(
        "Composes a Melody: {prompt, answers?}",
        lambda host, p: host.submit_prompt(text(p, "prompt"), p.get("project"), _answers(p)),
    ),
    "reviseMelody": Method(
        "Changes a Melody as a prompt says: {melody, prompt}",
        lambda host, p: host.revise_melody(_melody(p), text(p, "prompt"), p.get("project")),
    ),
    "executeMelody": Method("Starts a run: {melody, prompt?, agreed?}", _execute),
    "saveMelody": Method("Saves a Melody in the Polyphony Store: {melody, name, description?}", _save),
    "publishMelody": Method("Saves a Melody for others to find: {melody, name, description?}", _save),
    "validateMelody": Method(
        "Reports every finding: {melody}", lambda host, p: host.validate_melody(_document(p))
    ),
    "getAvailableNodes": Method("The Players that a Melody can use", lambda host, p: host.available_nodes()),
    "getArtifacts": Method(
        "Artifacts, best or newest first: {query?, run?, limit?}",
        lambda host, p: host.list_artifacts(text(p, "query", ""), p.get("run"), whole(p, "limit", 100, 1000)),
    ),
    "getArtifactContent": Method("A piece of an artifact, base64: {id, offset?, limit?}", _content),
    "getArtifactDiff": Method(
        "What changed between two texts, or since the version before: {old, new?}",
        lambda host, p: host.diff_artifacts(text(p, "old"), p.get("new")),
    ),
    "exportMelody": Method("A saved Melody as a file, base64: {melody, format?}", _export),
    "exportLearning": Method("All that is kept of runs to learn from, base64", _export_learning),
    "installExtension": Method("Installs an extension: {name, agreed?}", _install),
    "getTaskLogs": Method(
        "Log records of a run or node: {run, node?, limit?}",
        lambda host, p: host.task_logs(text(p, "run"), p.get("node"), whole(p, "limit", 500, 5000)),
    ),
    "getMetrics": Method(
        "Throughput, average, p50 and p99: {run?}", lambda host, p: host.metrics(p.get("run"))
    ),
}
"""Beside these a session itself answers `subscribeToWorkflow`, `ui.event` and `ui.reset`."""


async def call(host: HostPort, method: str, params: Json) -> Any:
    """Answers a request. Raises UnknownMethod, BadInput, or what the host raises."""
    known = METHODS.get(method)
    if known is None:
        raise UnknownMethod(f"There is no method {method!r}")
    return await known.run(host, params)
