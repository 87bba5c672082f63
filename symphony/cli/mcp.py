"""`symphony mcp`: Symphony as an MCP server, over standard input and output or on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.output import Mode, common, note, say
from symphony.config.home import Home
from symphony.ports.host import HostPort

if TYPE_CHECKING:
    from symphony.app.host import Host


@click.command()
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=None,
    help="The folder to work on when a call names none (default: this one).",
)
@click.option("--http", is_flag=True, help="Serve streamable HTTP on loopback instead of standard streams.")
@click.option("--port", default=0, show_default=True, help="The port for --http; 0 takes any.")
@common
def mcp(mode: Mode, project: Path | None, http: bool, port: int) -> None:
    """Serve compose, run, runs and artifacts to MCP clients.

    It works with the running host, and starts one when there is none. What a person has to allow, the client asks
    its user; --yes agrees beforehand.
    """
    asyncio.run(_serve(mode, (project or Path.cwd()).absolute(), port if http else None))


async def _serve(mode: Mode, project: Path, port: int | None) -> None:
    # Imported here: the SDK is large, and no other command needs it.
    from symphony.app.project import resolve_project
    from symphony.mcp.server import build_server
    from symphony.mcp.tools import Door

    hosts = _Hosts(Home.resolve())
    server = build_server(Door(hosts.port, project, resolve_project, mode.yes))
    try:
        if port is None:
            from mcp.server.stdio import stdio_server

            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())
        else:
            from symphony.mcp.http import serve_http

            def listening(address: str, token: str) -> None:
                document = {"url": address, "token": token}
                mode.show(document, lambda: say(f"{address}/{token}"))
                note(f"symphony: clients that send headers may use {address} with the token as bearer")

            await serve_http(server, port, listening)
    finally:
        await hosts.close()


class _Hosts:
    """The running host of a home; when there is none, this process becomes it and stays it to its end."""

    def __init__(self, home: Home) -> None:
        from symphony.app.lock import HomeLock

        self._home = home
        self._lock = HomeLock(home.lock)
        self._own: Host | None = None
        self._starting = asyncio.Lock()

    async def port(self) -> HostPort:
        """The HostPort to ask now: a host that was there before may have ended since."""
        from symphony.app.loading import load_host
        from symphony.app.wire import HostClient

        async with self._starting:
            if self._own is None:
                if not self._lock.acquire():
                    return HostClient(self._home.socket)
                host = load_host()(self._home, lock=self._lock)
                await host.start()
                self._own = host
            return self._own

    async def close(self) -> None:
        """Ends the host if it is this process; runs that still play can be resumed."""
        if self._own is not None:
            await self._own.stop()
