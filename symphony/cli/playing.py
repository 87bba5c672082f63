"""Plays a Melody from the command line: consent, live progress, interruption, the result."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from symphony.cli.changes import is_waiting, waiting
from symphony.cli.connection import interrupts
from symphony.cli.output import Mode, describe, note, print_json
from symphony.cli.progress import Progress
from symphony.cli.results import show_results
from symphony.errors import Cancelled, SymphonyError
from symphony.ports.host import HostPort

Json = dict[str, Any]


async def play(
    port: HostPort,
    mode: Mode,
    melody: str | Json,
    *,
    project: Path | None,
    prompt: str = "",
    resume: str | None = None,
) -> int:
    """Plays to the end and prints the result; answers the exit code."""
    place = str(project) if project else None

    async def begin(agreed: bool) -> Json:
        if resume is not None and melody == "":
            return await port.resume_run(resume, agreed=agreed)
        return await port.execute_melody(melody, project=place, prompt=prompt, agreed=agreed, resume=resume)

    try:
        started = await begin(mode.yes)
    except SymphonyError as error:
        if error.code != "consent_needed":
            raise
        _agree_or_refuse(error)
        started = await begin(True)
    return await follow(port, mode, started["run"])


async def follow(port: HostPort, mode: Mode, run: str) -> int:
    """Shows a run until it ends. An interruption cancels the run in order and keeps what was finished."""
    watched = port.watch(run)
    # The first event says that the watch is in place: no end can be missed between the two questions.
    await anext(watched)
    first = asyncio.ensure_future(anext(watched))
    answer = await port.get_run(run)
    stop = asyncio.Event()
    with interrupts(stop.set), Progress(answer["run"]["nodes"], quiet=mode.json) as progress:
        cancelling: asyncio.Task[Any] | None = None
        stopped = asyncio.ensure_future(stop.wait())
        while answer["run"]["status"] == "running":
            await asyncio.wait(
                {first, stopped} if cancelling is None else {first}, return_when=asyncio.FIRST_COMPLETED
            )
            if stopped.done() and cancelling is None:
                note("symphony: cancelling, what is finished is kept")
                cancelling = asyncio.ensure_future(port.cancel_run(run))
            if first.done():
                event = first.result()
                if event["event"] in ("taskProgress", "taskError"):
                    progress.update(event["node"])
                    if event["node"]["status"] == "waiting" and not mode.json:
                        await _approve(port, mode, run, event["node"])
                elif event["event"] == "workflowComplete":
                    break
                first = asyncio.ensure_future(anext(watched))
        stopped.cancel()
        first.cancel()
        if cancelling is not None:
            await cancelling
        answer = await port.get_run(run)
        for node in answer["run"]["nodes"]:
            progress.update(node)
    return await _report(port, mode, answer)


async def _report(port: HostPort, mode: Mode, answer: Json) -> int:
    run = answer["run"]
    if mode.json:
        print_json({"melody": answer["melody"], "run": run, "artifacts": answer["artifacts"]})
    else:
        await show_results(port, answer["artifacts"])
        sets = [kept for kept in reversed(answer.get("changes") or []) if is_waiting(kept)]
        for kept in sets:
            waiting(kept)
        if len(sets) > 1:
            note(f"all of them, in this order: `symphony changes apply --run {run['id']}`")
        failed = [n for n in run["nodes"] if n["status"] == "failed"]
        for node in failed[:3]:
            note(f"symphony: {node['id']} ({node['player']}) failed: {describe(node['error'] or {})}")
        if run["status"] == "succeeded":
            named = answer["artifacts"][0]["name"] if answer["artifacts"] else "ID"
            note(
                f"done in {run['seconds']:.2f} s; `symphony artifacts show {shlex.quote(named)}` prints it whole"
            )
        elif run["status"] == "cancelled":
            note(f"symphony: the run was cancelled; `symphony runs resume {run['id']}` goes on with it")
        elif not failed:
            note(f"symphony: the run ended as {run['status']}: {describe(run.get('error') or {})}")
    return 0 if run["status"] == "succeeded" else 1


def _agree_or_refuse(error: SymphonyError) -> None:
    if not sys.stdin.isatty():
        error.remedy = "add --yes to agree"
        raise error
    note(error.message)
    for finding in error.findings:
        note(f"  {describe(finding)}")
    if not click.confirm("Allow this for this run?", err=True):
        raise Cancelled("Not allowed, so nothing was played")


async def _approve(port: HostPort, mode: Mode, run: str, node: Json) -> None:
    if mode.yes:
        await port.answer(run, node["id"], True)
    elif sys.stdin.isatty():
        agreed = await asyncio.to_thread(click.confirm, node.get("note") or "Go on?", err=True)
        await port.answer(run, node["id"], agreed)
