"""Symphony as an MCP server: the SDK's own client over real standard streams, on a real host."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SYMPHONY = str(Path(sys.prefix) / "bin" / "symphony")
PROMPT = "who committed in the last month"

ASKING = {
    "name": "asking",
    "nodes": [
        {
            "id": "n1",
            "kind": "operator",
            "player": "symphony/shell#run",
            "params": {"command": ["echo", "hello"]},
        }
    ],
    "edges": [],
}


@asynccontextmanager
async def client(
    home: Path, project: Path, *options: str, mode: str = "auto", **arguments: Any
) -> AsyncIterator[Client]:
    """A client with its server as a child; the project is where the server was started."""
    server = StdioServerParameters(
        command=SYMPHONY,
        args=["mcp", *options],
        env={**os.environ, "SYMPHONY_HOME": str(home)},
        cwd=project,
    )
    async with Client(stdio_client(server), mode=mode, **arguments) as connected:
        yield connected


def document(result: types.CallToolResult) -> dict[str, Any]:
    found = result.structured_content
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_prompt_is_composed_played_and_read(home: Path, repository: Path, mode: str) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    async with client(home, repository, mode=mode) as session:
        tools = await session.list_tools()
        assert {tool.name for tool in tools.tools} == {
            "compose", "run", "list_runs", "show_run", "search_artifacts", "show_artifact",
        }  # fmt: skip
        composed = document(await session.call_tool("compose", {"prompt": PROMPT}))
        assert composed["possible"] and composed["draft"]
        result = await session.call_tool("run", {"melody": composed["draft"]}, progress_callback=progress)
        played = document(result)
        assert not result.is_error and played["run"]["status"] == "succeeded", played
        shares = [done for done, _, _ in told]
        assert shares == sorted(set(shares)) and shares[-1] == told[-1][1] == len(played["run"]["nodes"])
        listed = document(await session.call_tool("list_runs", {}))
        assert [run["id"] for run in listed["runs"]] == [played["run"]["id"]]
        shown = document(await session.call_tool("show_run", {"run": played["run"]["id"]}))
        links = [block for block in result.content if isinstance(block, types.ResourceLink)]
        assert [link.name for link in links] == [a["name"] for a in shown["artifacts"]] and links
        found = document(await session.call_tool("search_artifacts", {"query": "", "limit": 50}))
        assert {a["id"] for a in shown["artifacts"]} <= {a["id"] for a in found["artifacts"]}
        one = await session.call_tool("show_artifact", {"artifact": shown["artifacts"][0]["id"]})
        read = await session.read_resource(links[0].uri)
        assert isinstance(one.content[0], types.TextContent)
        assert isinstance(read.contents[0], types.TextResourceContents)
        assert one.content[0].text == read.contents[0].text and document(one)["is_whole"]
        run = await session.read_resource(f"symphony://runs/{played['run']['id']}")
        assert isinstance(run.contents[0], types.TextResourceContents)
        assert json.loads(run.contents[0].text)["run"]["id"] == played["run"]["id"]
        named = await session.complete(
            types.ResourceTemplateReference(uri="symphony://artifacts/{artifact}"),
            {"name": "artifact", "value": links[0].name[:3]},
        )
        assert links[0].name in named.completion.values
        prompt = await session.get_prompt("delegate", {"task": PROMPT})
        assert PROMPT in str(prompt.messages[0].content)


@pytest.mark.filterwarnings("ignore:resources/.*subscribe is removed")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_who_subscribed_hears_of_a_new_version(home: Path, repository: Path, mode: str) -> None:
    """Of an artifact's name that is not there yet, of its next version, and of nothing after the end of it."""
    told: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            await told.put(str(message.params.uri))

    async def next_told() -> str:
        return await asyncio.wait_for(told.get(), 30)

    async with client(home, repository, mode=mode, message_handler=hear) as session:
        first = document(await session.call_tool("run", {"prompt": PROMPT}))
        name = first["artifacts"][0]["name"]
        uri, absent = f"symphony://artifacts/{name}", "symphony://artifacts/not-there"

        async def change() -> None:
            project = repository / "CHANGED.md"
            project.write_text(secrets.token_hex(8))
            for command in (
                ["add", "-A"],
                ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
            ):
                git = await asyncio.create_subprocess_exec("git", "-C", str(repository), *command)
                assert await git.wait() == 0
            played = document(await session.call_tool("run", {"prompt": PROMPT}))
            assert played["run"]["status"] == "succeeded"

        if mode == "legacy":
            resources = session.server_capabilities.resources
            assert resources is not None and resources.subscribe
            await session.subscribe_resource(uri)
            await session.subscribe_resource(absent)
            await change()
            assert await next_told() == uri
            await session.unsubscribe_resource(uri)
            await session.subscribe_resource(f"symphony://runs/{first['run']['id']}")
            await change()
            assert told.empty()
        else:
            async with session.listen(resource_subscriptions=[uri, absent]) as stream:
                await change()
                event = await asyncio.wait_for(anext(aiter(stream)), 30)
                assert getattr(event, "uri", None) == uri


async def test_what_cannot_be_done_is_an_answer_that_says_why(home: Path, repository: Path) -> None:
    async with client(home, repository) as session:
        for tool, arguments, part in (
            ("run", {}, "give one of prompt, melody and resume"),
            ("run", {"prompt": "x", "colour": "red"}, "colour"),
            ("compose", {"prompt": "x", "project": "/nowhere"}, "/nowhere"),
            ("show_run", {"run": "none"}, "none"),
            ("show_artifact", {"artifact": "none"}, "none"),
            ("paint", {}, "There is no tool paint"),
        ):
            result = await session.call_tool(tool, arguments)
            assert result.is_error and part in str(result.content), (tool, result)


@pytest.mark.parametrize(
    ("mode", "answer"), [("auto", True), ("legacy", True), ("auto", False), ("legacy", None)]
)
async def test_a_person_allows_what_asks_before_each_play(
    home: Path, repository: Path, mode: str, answer: bool | None
) -> None:
    """None: the client cannot ask, so nothing is played."""
    asked: list[str] = []

    async def ask(_context: object, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"allow": bool(answer)})

    arguments = {} if answer is None else {"elicitation_callback": ask}
    await save(home, ASKING)
    async with client(home, repository, mode=mode, **arguments) as session:
        result = await session.call_tool("run", {"melody": "asking"})
        runs = document(await session.call_tool("list_runs", {}))["runs"]
    if answer:
        assert not result.is_error and document(result)["run"]["status"] == "succeeded"
    else:
        assert result.is_error and not runs
        code = document(result)["error"]["code"]
        assert code == ("consent_needed" if answer is None else "permission_denied")
    assert len(asked) == (0 if answer is None else 1)


async def save(home: Path, melody: dict[str, Any]) -> None:
    file = home.parent / "melody.json"
    file.write_text(json.dumps(melody))
    process = await asyncio.create_subprocess_exec(
        SYMPHONY, "melody", "save", str(file), env={**os.environ, "SYMPHONY_HOME": str(home)}
    )
    assert await process.wait() == 0


async def test_the_user_of_the_server_may_agree_beforehand(home: Path, repository: Path) -> None:
    await save(home, ASKING)
    async with client(home, repository, "--yes") as session:
        result = await session.call_tool("run", {"melody": "asking"})
        assert not result.is_error and document(result)["run"]["status"] == "succeeded"


async def test_a_cancelled_call_cancels_its_run(home: Path, repository: Path) -> None:
    waiting = {
        "name": "waiting",
        "nodes": [
            {"id": "n1", "kind": "control", "player": "symphony/control#wait", "params": {"seconds": 600}}
        ],
        "edges": [],
    }
    await save(home, waiting)
    async with client(home, repository) as session:
        plays = asyncio.Event()

        async def progress(*_: object) -> None:
            plays.set()

        call = asyncio.create_task(
            session.call_tool("run", {"melody": "waiting"}, progress_callback=progress)
        )
        await plays.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while True:
            runs = document(await session.call_tool("list_runs", {}))["runs"]
            if runs[0]["status"] != "running":
                break
        assert runs[0]["status"] == "cancelled"


async def test_it_works_with_the_host_that_runs_and_goes_on_when_that_ends(
    home: Path, repository: Path
) -> None:
    host = await asyncio.create_subprocess_exec(
        SYMPHONY, "serve", "--json",
        env={**os.environ, "SYMPHONY_HOME": str(home)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert host.stdout is not None
    await host.stdout.readline()
    try:
        async with client(home, repository) as session:
            first = document(await session.call_tool("run", {"prompt": PROMPT}))
            host.terminate()
            await host.communicate()
            listed = document(await session.call_tool("list_runs", {}))
            assert [run["id"] for run in listed["runs"]] == [first["run"]["id"]]
    finally:
        if host.returncode is None:
            host.kill()
            await host.communicate()
