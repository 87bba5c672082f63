"""The MCP server: its tools, artifacts and runs as resources, one prompt, completion of names, logging."""

from __future__ import annotations

import contextlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from symphony import __version__
from symphony.errors import SymphonyError
from symphony.mcp.person import Context
from symphony.mcp.subscriptions import ARTIFACTS, RUNS, Subscriptions
from symphony.mcp.tools import TOOLS, Door, call_tool, contents, mime_type, uri

Json = dict[str, Any]

INSTRUCTIONS = (
    "Symphony turns a task in plain words into a workflow of sandboxed tools on the user's own project and plays "
    "it. Call `compose` to see what would be done, `run` to do it, and read the results with `show_artifact`."
)
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
LEVELS_KEPT = 1000
"""Sessions whose log level is remembered; one that is forgotten has the usual level again."""
LISTED = 100
"""Resources of one page of the list."""


def build_server(door: Door) -> Server[Any]:
    """The server over a host. It holds no state but the log level and the subscriptions of each session."""
    surface = _Surface(door)
    server: Server[Any] = Server(
        "symphony",
        version=__version__,
        title="Symphony",
        instructions=INSTRUCTIONS,
        on_list_tools=surface.list_tools,
        on_call_tool=surface.call_tool,
        on_list_resources=surface.list_resources,
        on_list_resource_templates=surface.list_templates,
        on_read_resource=surface.read_resource,
        on_subscribe_resource=surface.subscribe,
        on_unsubscribe_resource=surface.unsubscribe,
        on_subscriptions_listen=surface.subscriptions.listen,
        lifespan=surface.lifespan,
        on_list_prompts=surface.list_prompts,
        on_get_prompt=surface.get_prompt,
        on_completion=surface.complete,
    )
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, surface.set_level)
    return server


class _Surface:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._levels: OrderedDict[str, str] = OrderedDict()
        self.subscriptions = Subscriptions(door.port)

    @contextlib.asynccontextmanager
    async def lifespan(self, _server: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.subscriptions.close()

    async def list_tools(self, ctx: Context, params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[entry.tool(name) for name, entry in TOOLS.items()])

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        async def say(level: str, data: Json) -> None:
            lowest = self._levels.get(_session(ctx), "warning")
            if LEVELS.index(level) >= LEVELS.index(lowest):
                await ctx.session.send_log_message(level, data, "symphony", ctx.request_id)  # type: ignore[arg-type]

        return await call_tool(self._door, ctx, params, say)

    async def list_resources(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        answer = await self._ask("list_artifacts", "", None, LISTED)
        found = [
            types.Resource(
                name=info["name"],
                uri=uri(info),
                mime_type=mime_type(info),
                size=info["bytes"],
                description=f"version {info['version']}, {info['type']}",
            )
            for info in answer["artifacts"]
        ]
        return types.ListResourcesResult(resources=found)

    async def list_templates(self, ctx: Context, params: object) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    name="artifact",
                    title="Artifact",
                    uri_template=ARTIFACTS + "{artifact}",
                    description="What a run has made, by id, name, or name@version",
                ),
                types.ResourceTemplate(
                    name="run",
                    title="Run",
                    uri_template=RUNS + "{run}",
                    mime_type="application/json",
                    description="The nodes, errors and artifacts of one run",
                ),
            ]
        )

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        address = str(params.uri)
        held: types.TextResourceContents | types.BlobResourceContents
        if address.startswith(ARTIFACTS):
            info, content = await self._ask("get_artifact", address.removeprefix(ARTIFACTS))
            held = contents(info, content)
            held.uri = address
        elif address.startswith(RUNS):
            answer = await self._ask("get_run", address.removeprefix(RUNS))
            held = types.TextResourceContents(
                uri=address, mime_type="application/json", text=json.dumps(answer, ensure_ascii=False)
            )
        else:
            raise MCPError(types.INVALID_PARAMS, f"There is no resource {address}")
        return types.ReadResourceResult(contents=[held])

    async def subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        await self.subscriptions.subscribe(_session(ctx), ctx, str(params.uri))
        return types.EmptyResult()

    async def unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self.subscriptions.unsubscribe(_session(ctx), str(params.uri))
        return types.EmptyResult()

    async def list_prompts(self, ctx: Context, params: object) -> types.ListPromptsResult:
        task = types.PromptArgument(name="task", description="What is to be done", required=True)
        prompt = types.Prompt(
            name="delegate",
            title="Let Symphony do it",
            description="Composes a task, shows the plan, plays it and reports what came of it",
            arguments=[task],
        )
        return types.ListPromptsResult(prompts=[prompt])

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        task = (params.arguments or {}).get("task", "")
        if params.name != "delegate" or not task:
            raise MCPError(types.INVALID_PARAMS, "There is the prompt `delegate` with the argument `task`")
        text = (
            f"Use Symphony for this task: {task}\n\nCall `compose` first and tell me in one sentence what would be "
            "done. If it is possible, call `run` with the draft, then read the artifacts and report the result."
        )
        message = types.PromptMessage(role="user", content=types.TextContent(text=text))
        return types.GetPromptResult(messages=[message])

    async def complete(self, ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        begun, names = params.argument.value, list[str]()
        if isinstance(params.ref, types.ResourceTemplateReference):
            if params.argument.name == "artifact":
                answer = await self._ask("list_artifacts", "", None, 1000)
                names = [str(info["name"]) for info in answer["artifacts"]]
            elif params.argument.name == "run":
                answer = await self._ask("list_runs", 1000)
                names = [str(info["id"]) for info in answer["runs"]]
        elif params.argument.name == "task":
            names = [str(example) for example in (await self._ask("project")).get("examples", [])]
        fitting = [name for name in dict.fromkeys(names) if name.lower().startswith(begun.lower())]
        return types.CompleteResult(
            completion=types.Completion(values=fitting[:100], total=len(fitting), has_more=len(fitting) > 100)
        )

    async def set_level(self, ctx: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        session = _session(ctx)
        self._levels[session] = params.level
        self._levels.move_to_end(session)
        while len(self._levels) > LEVELS_KEPT:
            self._levels.popitem(last=False)  # a session does not say when it ends
        return types.EmptyResult()

    async def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return await getattr(await self._door.port(), method)(*arguments)
        except SymphonyError as error:
            raise MCPError(types.INVALID_PARAMS, str(error), error.to_json()) from error


def _session(ctx: Context) -> str:
    """Which session of the server a request belongs to; over stdio there is one."""
    return str(ctx.request.headers.get("mcp-session-id", "")) if ctx.request is not None else ""
