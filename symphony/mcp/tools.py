"""The tools of the server: compose, run, and reading runs and artifacts. Arguments are checked by their models."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp_types as types
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from symphony.errors import BadInput, SymphonyError
from symphony.mcp.person import Context, InputWanted, Person
from symphony.mcp.playing import Say, play
from symphony.ports.host import HostPort

log = logging.getLogger(__name__)

Json = dict[str, Any]
Block = (
    types.TextContent | types.ImageContent | types.AudioContent | types.ResourceLink | types.EmbeddedResource
)

CONTENT_LIMIT = 1 << 20
"""Bytes of an artifact that one answer carries at most; more is read by pieces."""


@dataclass(frozen=True, slots=True)
class Door:
    """What the server needs of the program around it."""

    port: Callable[[], Awaitable[HostPort]]
    """The host; asked anew for each call, for hosts come and go."""
    project: Path
    """The folder to work on when a call names none."""
    resolve: Callable[[Path], Path]
    """A project's folder in its one form; raises BadInput when there is none."""
    agrees_to_all: bool = False
    """Whether its user agreed beforehand to whatever would be asked."""


@dataclass(frozen=True, slots=True)
class _Call:
    door: Door
    port: HostPort
    ctx: Context
    person: Person
    say: Say


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Compose(_Arguments):
    prompt: str = Field(min_length=1, description="What is to be done, in plain words of any language")
    project: str | None = Field(
        None, description="The folder to work on; that in which the server was started if missing"
    )


class _Run(_Arguments):
    prompt: str | None = Field(
        None, min_length=1, description="What is to be done; it is composed and played"
    )
    melody: str | None = Field(
        None, description="Instead: a draft of compose, or a saved Melody's name or id"
    )
    project: str | None = Field(None, description="The folder to work on")
    resume: str | None = Field(
        None, description="Instead: a run to go on with; finished nodes do not play again"
    )

    @model_validator(mode="after")
    def _one(self) -> _Run:
        if sum(value is not None for value in (self.prompt, self.melody, self.resume)) != 1:
            raise ValueError("give one of prompt, melody and resume")
        return self


class _ListRuns(_Arguments):
    limit: int = Field(20, ge=1, le=1000, description="At most so many, newest first")


class _ShowRun(_Arguments):
    run: str = Field(min_length=1, description="A run's id, or the beginning of one")


class _SearchArtifacts(_Arguments):
    query: str = Field("", description="Words to search for; without any, the newest")
    run: str | None = Field(None, description="Only those of this run")
    limit: int = Field(20, ge=1, le=1000, description="At most so many")


class _ShowArtifact(_Arguments):
    artifact: str = Field(min_length=1, description="An id, the beginning of one, a name, or name@version")
    offset: int = Field(0, ge=0, description="From this byte on")
    limit: int = Field(CONTENT_LIMIT, ge=1, le=CONTENT_LIMIT, description="At most so many bytes")


async def _compose(call: _Call, given: _Compose) -> types.CallToolResult:
    project = call.door.resolve(Path(given.project) if given.project else call.door.project)
    answer = await call.port.submit_prompt(given.prompt, str(project))
    return _document(answer)


async def _run(call: _Call, given: _Run) -> types.CallToolResult:
    port = call.port
    if given.resume is not None:
        run = given.resume
        answer = await play(
            port, call.ctx, call.person, lambda agreed: port.resume_run(run, agreed=agreed), call.say
        )
    else:
        project = str(call.door.resolve(Path(given.project) if given.project else call.door.project))
        prompt, melody = given.prompt or "", given.melody or ""
        if given.prompt is not None:
            composed = await port.submit_prompt(given.prompt, project)
            if not composed["possible"]:
                return _document(composed, is_error=True)
            melody = composed["draft"]
        answer = await play(
            port,
            call.ctx,
            call.person,
            lambda agreed: port.execute_melody(melody, project=project, prompt=prompt, agreed=agreed),
            call.say,
        )
    links: list[Block] = [link(info) for info in answer["artifacts"]]
    document = {key: answer[key] for key in ("run", "artifacts")}
    return _document(document, *links, is_error=answer["run"]["status"] != "succeeded")


async def _list_runs(call: _Call, given: _ListRuns) -> types.CallToolResult:
    return _document(await call.port.list_runs(given.limit))


async def _show_run(call: _Call, given: _ShowRun) -> types.CallToolResult:
    answer = await call.port.get_run(given.run)
    return _document(answer, *[link(info) for info in answer["artifacts"]])


async def _search(call: _Call, given: _SearchArtifacts) -> types.CallToolResult:
    answer = await call.port.list_artifacts(given.query, given.run, given.limit)
    return _document(answer, *[link(info) for info in answer["artifacts"]])


async def _show_artifact(call: _Call, given: _ShowArtifact) -> types.CallToolResult:
    info, content = await call.port.get_artifact(given.artifact, given.limit, given.offset)
    is_whole = given.offset == 0 and len(content) >= info["bytes"]
    block: Block
    if is_whole and info["type"] in ("image/png", "image/jpeg", "image/gif", "image/webp"):
        block = types.ImageContent(data=base64.b64encode(content).decode(), mime_type=info["type"])
    else:
        held = contents(info, content)
        block = (
            types.TextContent(text=held.text)
            if isinstance(held, types.TextResourceContents)
            else types.EmbeddedResource(resource=held)
        )
    about = {"artifact": info, "offset": given.offset, "bytes": len(content), "is_whole": is_whole}
    return types.CallToolResult(content=[block], structured_content=about)


@dataclass(frozen=True, slots=True)
class _Entry:
    title: str
    arguments: type[_Arguments]
    act: Callable[[_Call, Any], Awaitable[types.CallToolResult]]
    description: str
    reads_only: bool = True

    def tool(self, name: str) -> types.Tool:
        schema = self.arguments.model_json_schema()
        schema.pop("title", None)
        return types.Tool(
            name=name,
            title=self.title,
            description=self.description,
            input_schema=schema,
            annotations=types.ToolAnnotations(
                read_only_hint=self.reads_only, destructive_hint=not self.reads_only, open_world_hint=False
            ),
        )


TOOLS: dict[str, _Entry] = {
    "compose": _Entry(
        "Compose",
        _Compose,
        _compose,
        "Composes a Melody, a typed workflow, for a task on a project, and explains it without playing it. "
        "Its `draft` can be played with `run`.",
    ),
    "run": _Entry(
        "Run",
        _Run,
        _run,
        "Plays a task's Melody on a project in a sandbox and waits for its end, telling its progress. The answer "
        "has the run's nodes and the artifacts that it made.",
        reads_only=False,
    ),
    "list_runs": _Entry("List runs", _ListRuns, _list_runs, "What was played, newest first."),
    "show_run": _Entry("Show a run", _ShowRun, _show_run, "The nodes, errors and artifacts of one run."),
    "search_artifacts": _Entry(
        "Search artifacts", _SearchArtifacts, _search, "Full-text search in what the runs have made."
    ),
    "show_artifact": _Entry(
        "Show an artifact", _ShowArtifact, _show_artifact, "The content of what a run has made."
    ),
}


async def call_tool(
    door: Door, ctx: Context, params: types.CallToolRequestParams, say: Say
) -> types.CallToolResult | types.InputRequiredResult:
    """Runs one tool. What goes wrong is an answer that says what, why and what to do, for the model to read."""
    try:
        entry = TOOLS.get(params.name)
        if entry is None:
            raise BadInput(f"There is no tool {params.name}", remedy=f"there are: {', '.join(TOOLS)}")
        given = _checked(entry, params.arguments or {})
        person = Person(ctx, params, agrees_to_all=door.agrees_to_all)
        return await entry.act(_Call(door, await door.port(), ctx, person, say), given)
    except InputWanted as wanted:
        return wanted.result
    except SymphonyError as error:
        return _document({"error": error.to_json()}, is_error=True)
    except Exception as error:
        log.exception("a tool failed", extra={"tool": params.name})
        failure = SymphonyError(
            f"An unexpected error: {type(error).__name__}: {error}",
            remedy="see `symphony logs`",
            code="internal",
        )
        return _document({"error": failure.to_json()}, is_error=True)


def _checked(entry: _Entry, arguments: Json) -> _Arguments:
    try:
        return entry.arguments.model_validate(arguments)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" if e["loc"] else e["msg"] for e in error.errors()
        ]
        raise BadInput("; ".join(faults), remedy="see the tool's input schema") from None


def _document(document: Json, *more: Block, is_error: bool = False) -> types.CallToolResult:
    text = types.TextContent(text=json.dumps(document, ensure_ascii=False))
    return types.CallToolResult(content=[text, *more], structured_content=document, is_error=is_error)


def uri(info: Json) -> str:
    """The address under which an artifact can be read as a resource."""
    return f"symphony://artifacts/{info['id']}"


def link(info: Json) -> types.ResourceLink:
    """An artifact as a link that a client may follow."""
    return types.ResourceLink(name=info["name"], uri=uri(info), mime_type=mime_type(info), size=info["bytes"])


def mime_type(info: Json) -> str | None:
    """The port type where it is a media type; the others are Symphony's own and JSON."""
    kind = str(info["type"])
    family = kind.partition("/")[0]
    return kind if family in ("text", "image", "audio", "video", "application") and "/" in kind else None


def contents(info: Json, content: bytes) -> types.TextResourceContents | types.BlobResourceContents:
    """A content as text where it is text, else as base64."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        blob = base64.b64encode(content).decode()
        return types.BlobResourceContents(uri=uri(info), mime_type=mime_type(info), blob=blob)
    return types.TextResourceContents(uri=uri(info), mime_type=mime_type(info), text=text)
