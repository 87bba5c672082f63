"""`carets dev`: an extension under development in the running host, loaded anew whenever its files change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from symphony.cli.output import Mode, common, describe, note, print_json, say
from symphony.errors import Cancelled, SymphonyError
from symphony.ports.host import HostPort


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@common
def dev(mode: Mode, folder: Path) -> None:
    """Play the extension in FOLDER in the running host until this command is interrupted.

    Each change that can be loaded takes over for new calls; calls that run end with the state that they began
    with. One that cannot be loaded is reported, and the state before stays.
    """
    asyncio.run(_develop(mode, folder.resolve()))


async def _develop(mode: Mode, folder: Path) -> None:
    from watchfiles import awatch

    from symphony.cli.connection import host, interrupts

    stop = asyncio.Event()
    agreed: list[str] = []
    async with host() as port:
        with interrupts(stop.set):
            # Watched before the first state is taken: no change is missed between the two.
            changes = awatch(folder, stop_event=stop, debounce=200, yield_on_timeout=True, rust_timeout=100)
            await anext(changes)
            name = await _take(port, mode, folder, agreed)
            try:
                async for changed in changes:
                    if not changed:
                        continue
                    try:
                        await _take(port, mode, folder, agreed)
                    except SymphonyError as error:
                        _say(mode, {"error": error.to_json()}, f"not loaded: {error}")
            finally:
                await port.end_development(name)


async def _take(port: HostPort, mode: Mode, folder: Path, agreed: list[str]) -> str:
    """Loads the state of this moment; what it wants beyond `agreed` is asked for and added."""
    try:
        answer = await port.develop_extension(str(folder), agreed)
    except SymphonyError as error:
        if error.code != "consent_needed":
            raise
        await _agree(mode, error, agreed)
        answer = await port.develop_extension(str(folder), agreed)
    _say(mode, answer, f"playing {answer['name']} {answer['version']}")
    return str(answer["name"])


async def _agree(mode: Mode, error: SymphonyError, agreed: list[str]) -> None:
    if not mode.yes:
        note(error.message)
        for finding in error.findings:
            note(f"  {describe(finding)}")
        if not await asyncio.to_thread(click.confirm, "Allow this?", err=True):
            raise Cancelled("Not allowed, so it is not played")
    agreed.extend(str(finding["grant"]) for finding in error.findings)


def _say(mode: Mode, document: dict[str, Any], text: str) -> None:
    if mode.json:
        print_json(document)
    else:
        say(text)
