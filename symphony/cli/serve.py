"""`symphony serve`: the host without a window."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from pathlib import Path

import click

from symphony.cli.output import Mode, common, print_json
from symphony.config.home import Home
from symphony.errors import BadInput


@click.command()
@click.option("--host", "bind", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=0, show_default=True, help="The port; 0 takes any that is free.")
@click.option("--project", type=click.Path(path_type=Path), default=None, help="The project to open.")
@common
def serve(mode: Mode, bind: str, port: int, project: Path | None) -> None:
    """Start the host and print the page's address, with its token, once the page answers."""
    if not _is_loopback(bind):
        raise BadInput(
            f"{bind} is not this machine alone, and accounts do not exist yet",
            remedy="listen on 127.0.0.1 and reach it through an SSH tunnel",
        )
    asyncio.run(_serve(mode, bind, port, project))


async def _serve(mode: Mode, bind: str, port: int, project: Path | None) -> None:
    from symphony.app.lock import HomeLock, page_of_other
    from symphony.app.project import resolve_project

    place = resolve_project(project) if project is not None else None
    home = Home.resolve()
    lock = HomeLock(home.lock)
    address = page_of_other(home, lock)
    if address is not None:
        _announce(mode, address)
        return
    from symphony.app.loading import load_host

    host = load_host(page=True)(home, lock=lock, page=(bind, port), project=place)
    await host.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        _announce(mode, host.address)
        await ended.wait()
    finally:
        await host.stop()


def _announce(mode: Mode, address: str) -> None:
    if mode.json:
        print_json({"address": address})
    else:
        print(address, flush=True)


def _is_loopback(bind: str) -> bool:
    if bind == "localhost":
        return True
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False
