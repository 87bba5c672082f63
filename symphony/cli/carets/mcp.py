"""`carets mcp`: the tools of a server become the functions of its manifest, and their definitions are pinned."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from symphony.cli.output import Mode, common, say
from symphony.errors import BadInput, EnvironmentLacks


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@common
def mcp(mode: Mode, folder: Path) -> None:
    """Ask the MCP server of the extension in FOLDER, in a sandbox without any grant, for its tools.

    Writes their definitions to tools.json and one [[functions]] each into Symphony.toml. What you changed of a
    function there by hand is kept while its definition stays the same. Read what it wrote: this is what users
    will agree to.
    """
    from symphony.config.files import write_atomically
    from symphony.sdk.mcp.definitions import PINS, function_name, pinned
    from symphony.stage.manifest import FILE_NAME, load_manifest, parse_manifest

    folder = folder.resolve()
    manifest = load_manifest(folder)
    if manifest.mcp is None:
        raise BadInput(
            f"{manifest.name} runs no MCP server",
            remedy='set runtime = "mcp" and [mcp] command in Symphony.toml',
        )
    tools = _ask(folder, manifest.mcp.command, manifest.mcp.env)
    pins = pinned(tools)
    before = _kept(folder / PINS)
    text = _with_functions(
        (folder / FILE_NAME).read_text("utf-8"),
        pins["tools"],
        {pin["name"] for pin in pins["tools"] if before.get(pin["name"]) == pin["digest"]},
    )
    parse_manifest(text, source=str(folder / FILE_NAME))
    write_atomically(
        folder / PINS, (json.dumps(pins, indent=1, ensure_ascii=False) + "\n").encode(), mode=0o644
    )
    write_atomically(folder / FILE_NAME, text.encode(), mode=0o644)
    names = [function_name(tool["name"]) for tool in tools]
    mode.show({"functions": names}, lambda: say(f"pinned {len(names)} tools: {', '.join(names)}"))


def _ask(folder: Path, command: list[str], env: dict[str, str]) -> list[dict[str, Any]]:
    from symphony.sdk.failures import PlayerFailure
    from symphony.sdk.mcp.client import Client
    from symphony.stage.sandbox import base_python

    argv = [part.replace("{project}", "/tmp") for part in command]
    if argv[0] == "python":
        argv[:1] = [str(base_python()), "-B"]
    elif (folder / argv[0]).is_file():
        argv[0] = str(folder / argv[0])
    told = {"PYTHONPATH": str(folder / "vendor"), "PYTHONUNBUFFERED": "1", **env}
    program = Path(sys.prefix) / "bin" / "symphony"
    inside = ["env", "-C", str(folder), *(f"{name}={value}" for name, value in told.items()), *argv]
    import os

    try:
        client = Client(
            [str(program), "sandbox", "run", "--grant", f"read:{folder}/**", "--", *inside],
            cwd=str(folder),
            env=os.environ,
        )
        try:
            return client.tools()
        finally:
            client.close()
    except PlayerFailure as error:
        raise EnvironmentLacks(f"The server of {folder}: {error.message}", remedy=error.remedy) from error


def _kept(file: Path) -> dict[str, str]:
    """The digests of the pins until now."""
    try:
        return {pin["name"]: pin["digest"] for pin in json.loads(file.read_text("utf-8"))["tools"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _with_functions(text: str, tools: list[dict[str, Any]], unchanged: set[str]) -> str:
    """The manifest with one function a tool; those of `unchanged` tools stay as they are written."""
    import tomlkit

    from symphony.sdk.mcp.definitions import function_name, function_table

    document = tomlkit.parse(text)
    written = {str(table["name"]): table for table in document.get("functions", [])}
    functions = tomlkit.aot()
    for tool in tools:
        name = function_name(tool["name"])
        if tool["name"] in unchanged and name in written:
            functions.append(written[name])
            continue
        table = tomlkit.table()
        try:
            told = function_table(tool)
        except ValueError as error:
            raise BadInput(
                str(error), remedy="leave the tool out, or rename a property in the server"
            ) from None
        for key, value in told.items():
            if isinstance(value, dict):
                inline = tomlkit.inline_table()
                for inner, field in value.items():
                    inline.append(inner, _inline(field))
                table.append(key, inline)
            else:
                table.append(key, tomlkit.item(value))
        functions.append(table)
    if "functions" in document:
        del document["functions"]
    document.append("functions", functions)
    return tomlkit.dumps(document)


def _inline(value: Any) -> Any:
    import tomlkit

    if not isinstance(value, dict):
        return tomlkit.item(value)
    table = tomlkit.inline_table()
    for key, inner in value.items():
        table.append(key, tomlkit.item(inner))
    return table
