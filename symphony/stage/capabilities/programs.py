"""Programs through the host: each runs in a sandbox of its own, with the same grants as the Player that asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pit_native import SandboxChild, sandbox_spawn
from symphony.errors import BadInput, PlayerError, SymphonyError
from symphony.stage.beneath import Beneath
from symphony.stage.broker import Caller, Capability
from symphony.stage.changes.collect import collect
from symphony.stage.changes.model import ChangeSet
from symphony.stage.changes.view import Look, View, as_it_is
from symphony.stage.roster import PlayerLimits, show_layers
from symphony.stage.sandbox import spec_for

log = logging.getLogger(__name__)

OUTPUT_LIMIT = 12 << 20
"""Bytes of standard output and of standard error; an answer travels in one frame."""
DEFAULT_TIMEOUT = 300.0
AT_ONCE = max(8, os.cpu_count() or 0)
"""Programs that run for one extension at a time: each has a sandbox with the limits of a whole Player."""


class Keep(Protocol):
    """What becomes of changes that a program made in its private layer over the project."""

    async def __call__(
        self, caller: Caller, program: str, changes: ChangeSet, *, succeeded: bool
    ) -> None: ...


def capabilities(
    launcher: Path, limits: Callable[[], PlayerLimits], keep: Keep, look: Look = as_it_is
) -> dict[str, Capability]:
    """The call `exec`. `limits` are those of any Player, and hold for a program as well; `look` tells what a program
    sees; `keep` is given what it has changed, before its answer goes out."""
    broker = _Programs(launcher, limits, keep, look)
    return {"exec": Capability(broker.run, _words, at_once=AT_ONCE)}


def _words(body: dict[str, Any]) -> str:
    return " ".join(map(str, body.get("argv") or ()))


class _Programs:
    def __init__(self, launcher: Path, limits: Callable[[], PlayerLimits], keep: Keep, look: Look) -> None:
        self._look = look
        self._launcher = launcher
        self._limits = limits
        self._keep = keep

    async def run(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        argv, timeout, given = _checked(body)
        program = PurePosixPath(argv[0]).name
        if not caller.grants.allows_exec(argv[0]):
            raise caller.refuse("run", program, f"grant it exec:{program}")
        limits = self._limits()
        spec = spec_for(
            list(caller.grants),
            argv=argv,
            project=caller.project,
            extension_dir=caller.member.directory,
            memory=caller.member.memory(limits.memory),
            cpu=caller.member.cpu(limits.cpu),
            cwd=_folder(caller, body.get("cwd")),
            allow_missing=limits.allow_missing,
        )
        seen = await self._look(caller.run, caller.project)
        show_layers(spec, caller.project, seen.layers)
        caller.note()
        started = time.time_ns()
        async with _running(self._launcher, spec, caller.charge) as (child, streams):
            answer = await _play(child, streams, program, timeout, given)
            await self._keep_changes(caller, child, argv, seen.view, started, answer["exit_code"] == 0)
        return answer

    async def _keep_changes(
        self,
        caller: Caller,
        child: SandboxChild,
        argv: list[str],
        view: View,
        started: int,
        succeeded: bool,
    ) -> None:
        """What cannot be kept does not undo what the program has done otherwise; it is said in the log."""
        project = caller.project
        upper = next((fd for target, fd in child.overlays if project and target == project), None)
        if project is None or upper is None:
            return
        words = " ".join(argv)
        try:
            changes = await asyncio.to_thread(_collect, upper, project, view, started)
            await self._keep(caller, words, changes, succeeded=succeeded)
        except (SymphonyError, OSError) as error:
            log.warning(
                "What %s changed is not kept: %s",
                argv[0],
                error,
                extra={"run": caller.run, "node": caller.node},
            )


def _collect(upper: int, project: Path, view: View, started: int) -> ChangeSet:
    with Beneath(project) as tree:
        return collect(upper, view.over(tree), started=started)


def _checked(body: dict[str, Any]) -> tuple[list[str], float, bytes]:
    argv = body.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(a, str) and "\0" not in a for a in argv):
        raise BadInput("exec needs `argv`, a list of texts that names the program first")
    given = body.get("input") or b""
    if not isinstance(given, bytes):
        raise BadInput("The input of exec must be bytes")
    timeout = body.get("timeout") or DEFAULT_TIMEOUT
    if not isinstance(timeout, int | float) or timeout <= 0:
        raise BadInput("The timeout of exec must be a positive number of seconds")
    return argv, float(timeout), given


def _folder(caller: Caller, cwd: object) -> Path | None:
    if cwd is None:
        return caller.project
    if not isinstance(cwd, str) or ".." in PurePosixPath(cwd).parts:
        raise BadInput(f"The folder {cwd!r} cannot be used", remedy="name a folder of the project")
    if caller.project is None:
        raise BadInput("No project is open", remedy="give one with --project")
    return caller.project / cwd


@contextlib.asynccontextmanager
async def _running(
    launcher: Path, spec: dict[str, Any], charge: Callable[[float, int], object]
) -> AsyncIterator[tuple[SandboxChild, list[int]]]:
    """The program in its sandbox, and our ends of its standard streams; it has ended when this is left."""
    ours: list[int] = []
    theirs: list[int] = []
    try:
        in_read, in_write = os.pipe2(os.O_CLOEXEC)
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        theirs += [in_read, out_write, err_write]
        ours += [in_write, out_read, err_read]
        spec["stdio"] = [{"fd": descriptor} for descriptor in theirs]
        child = await asyncio.to_thread(sandbox_spawn, str(launcher), spec)
    except BaseException:
        for descriptor in (*ours, *theirs):
            os.close(descriptor)
        raise
    for descriptor in theirs:
        os.close(descriptor)
    try:
        yield child, ours
    finally:
        child.kill()
        if (used := child.usage) is not None:
            charge(*used)


async def _play(
    child: SandboxChild, streams: list[int], program: str, timeout: float, given: bytes
) -> dict[str, Any]:
    in_write, out_read, err_read = streams
    try:
        async with asyncio.timeout(timeout) as limit:
            _, out, err = await asyncio.gather(_feed(in_write, given), _drain(out_read), _drain(err_read))
            left = (limit.when() or 0.0) - asyncio.get_running_loop().time()
            code = await asyncio.to_thread(child.wait, max(left, 0.0))
            if code is None:
                raise TimeoutError
    except TimeoutError as error:
        raise PlayerError(
            f"{program} did not end within {timeout:g} s",
            code="timeout",
            remedy="give it more time with the parameter timeout",
        ) from error
    return {"stdout": out, "stderr": err, "exit_code": code}


async def _feed(descriptor: int, given: bytes) -> None:
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.BaseProtocol, os.fdopen(descriptor, "wb", buffering=0)
    )
    if given:
        transport.write(given)
    transport.close()  # once what was written has gone out


async def _drain(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    pieces, size = [], 0
    try:
        while piece := await reader.read(1 << 16):
            size += len(piece)
            if size > OUTPUT_LIMIT:
                raise PlayerError(
                    f"The program wrote more than {OUTPUT_LIMIT >> 20} MiB",
                    code="failed",
                    remedy="narrow what it is asked, for instance to a folder or a shorter time",
                )
            pieces.append(piece)
    finally:
        transport.close()
    return b"".join(pieces)
