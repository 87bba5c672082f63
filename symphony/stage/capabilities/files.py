"""Files through the broker: read, write and list beneath the project or the output folder, never outside."""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
import secrets
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from symphony.errors import BadInput, NotFound, PermissionDenied, PlayerError, StorageFull
from symphony.stage.beneath import Beneath
from symphony.stage.broker import Caller, Capability
from symphony.stage.changes.model import refusal_of
from symphony.stage.changes.view import Look, View, as_it_is
from symphony.stage.permissions import path_regex

READ_LIMIT = 8 << 20
"""Bytes of one answer: a frame holds 16 MiB."""
MOST_PATHS = 100_000
LONGEST_PATTERN = 1000


def capabilities(output: Path, look: Look = as_it_is) -> dict[str, Capability]:
    """The `fs.*` calls. `output` is the folder that the scope `output/` of a grant stands for; `look` tells how a
    step of a run sees the project."""
    broker = _Files(output, look)
    return {
        "fs.read": Capability(broker.read, lambda body: str(body.get("path"))),
        "fs.write": Capability(broker.write, lambda body: str(body.get("path"))),
        # One at a time: it takes a thread of the host for as long as the project is large, and no grant.
        "fs.list": Capability(broker.list, lambda body: str(body.get("pattern")), at_once=1),
    }


class _Files:
    def __init__(self, output: Path, look: Look) -> None:
        self._output = output
        self._look = look

    async def read(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        scope, root, relative = self._place(caller, body.get("path"))
        if not caller.grants.allows_file("read", root / relative, {scope: root}):
            raise caller.refuse("read", f"{scope}/{relative}", f"grant it read:{scope}/{relative}")
        caller.note()
        view = await self._view(caller, scope)
        return {"content": await asyncio.to_thread(_read_beneath, root, relative, view)}

    async def write(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        scope, root, relative = self._place(caller, body.get("path"))
        if not caller.grants.allows_file("write", root / relative, {scope: root}):
            raise caller.refuse("write", f"{scope}/{relative}", f"grant it write:{scope}/{relative}")
        if scope == "project" and (why := refusal_of(posixpath.normpath(relative))):
            raise PermissionDenied(
                f"{caller.member.name} may not write {relative}: {why}",
                remedy="do it yourself, if you want it",
            )
        content = body.get("content")
        if not isinstance(content, bytes):
            raise BadInput("fs.write needs `content` as bytes", remedy="encode text as UTF-8 first")
        if (await self._view(caller, scope)).touches(posixpath.normpath(relative)):
            raise PlayerError(
                f"{relative} has changes of this run that wait for a word",
                code="changed_meanwhile",
                remedy=f"apply them first: symphony changes apply --run {caller.run}",
            )
        caller.note()
        await asyncio.to_thread(_write_beneath, root, relative, content)
        return {}

    async def list(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        pattern = body.get("pattern") or "**"
        if not isinstance(pattern, str) or len(pattern) > LONGEST_PATTERN:
            raise BadInput(
                f"The pattern of fs.list must be a text of at most {LONGEST_PATTERN} characters",
                remedy="write for instance src/**/*.py",
            )
        if caller.project is None:
            raise _no_project()
        caller.note()
        view = await self._view(caller, "project")
        paths = await asyncio.to_thread(_list_beneath, caller.project, pattern, view)
        root = caller.project
        return {"paths": [p for p in paths if caller.grants.allows_file("read", root / p, {"project": root})]}

    async def _view(self, caller: Caller, scope: str) -> View:
        return (await self._look(caller.run, caller.project)).view if scope == "project" else View()

    def _place(self, caller: Caller, path: object) -> tuple[str, Path, str]:
        """Scope, root folder and path beneath it of what the Player named."""
        if not isinstance(path, str) or not path or "\0" in path:
            raise BadInput("The path must be a text that is not empty")
        if path.startswith("output/"):
            folder = self._output / (caller.run or "calls")
            folder.mkdir(parents=True, exist_ok=True)
            return "output", folder, path.removeprefix("output/")
        if caller.project is None:
            raise _no_project()
        if path.startswith("/"):
            if not Path(path).is_relative_to(caller.project):
                raise caller.refuse("reach", path, "only files of the project can be granted")
            return "project", caller.project, str(Path(path).relative_to(caller.project))
        return "project", caller.project, path


def _no_project() -> PlayerError:
    return PlayerError("No project is open", code="bad_input", remedy="give one with --project")


def _explained(error: OSError, relative: str) -> Exception:
    if error.errno == errno.ENOENT:
        return NotFound(f"There is no file {relative}", remedy="check the path, relative to the project")
    if error.errno == errno.ENOSPC:
        return StorageFull(f"The disk is full at {relative}", remedy="free some space and play again")
    if error.errno in (errno.EXDEV, errno.ELOOP):
        return PlayerError(
            f"{relative} leads out of its folder or through a link",
            code="permission_denied",
            remedy="name the file itself",
        )
    return PlayerError(f"{relative}: {error.strerror}", code="failed")


def _read_beneath(root: Path, relative: str, view: View) -> bytes:
    try:
        with Beneath(root) as tree:
            content = view.over(tree).read(relative, READ_LIMIT)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise PlayerError(f"{relative} is no regular file", code="bad_input") from error
        raise _explained(error, relative) from error
    if content is None:
        raise PlayerError(
            f"{relative} has more than {READ_LIMIT} bytes",
            code="bad_input",
            remedy="ask for a grant on the whole tree and read it as a file",
        )
    return content


def _write_beneath(root: Path, relative: str, content: bytes) -> None:
    folder, name = posixpath.split(relative)
    if not name or name in (".", ".."):
        raise BadInput(f"{relative} names no file")
    try:
        with Beneath(root) as tree:
            tree.make_folders(folder)
            tree.replace(relative, content, f".{name}.{secrets.token_hex(8)}")
    except OSError as error:
        raise _explained(error, relative) from error


def _list_beneath(root: Path, pattern: str, view: View) -> list[str]:
    # As the patterns of grants, whose time does not explode with their stars: this one is a Player's.
    matches = path_regex(f"project/{pattern}").fullmatch
    found = (path for path in _files(root, view) if matches(f"project/{path}"))
    return sorted(islice(found, MOST_PATHS))


def _files(root: Path, view: View) -> Iterator[str]:
    """The files of a project folder by folder, and after them those that only the view has."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(d for d in folders if d != ".git")
        for file in sorted(files):
            path = str((Path(folder) / file).relative_to(root))
            if not view.touches(path):
                yield path
    yield from sorted(path for path, state in view.states.items() if state.kind in ("file", "link"))
