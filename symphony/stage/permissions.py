"""Grants: what a user has allowed an extension, and the decisions that follow. Pure, without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

FILE_ROOTS = {
    "project": "the open project",
    "output": "its output folder",
    "config": "its own configuration folder",
    "cache": "its own cache folder",
}
"""The folders that a file pattern may begin with. Nothing outside them can be granted."""

PRIVATE_LAYER = "project/**"
"""Granted for writing, this is a private layer over the project, whose changes wait for the user's word: it writes no
file of the project, and covers no grant that does."""

Kind = Literal["read", "write", "exec", "network", "model", "ipc", "gpu"]

_EXTENSION = re.compile(r"[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9_-]*(#[a-z_][a-z0-9_]*)?")
_PROGRAM = re.compile(r"\*|[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_MODEL = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*._:/@-]*")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_IPV6 = re.compile(r"\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Grant:
    """One capability: its kind and what it is for, such as `read` and `project/**`."""

    kind: Kind
    target: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"

    def covers(self, other: Grant) -> bool:
        """Whether whoever has this grant gains nothing by `other`."""
        if self == other:
            return True
        if self.kind != other.kind:
            return False
        if self.kind == "write" and self.target == PRIVATE_LAYER:
            return False
        if self.kind in ("read", "write"):
            fixed = self.target.removesuffix("/**")
            whole_tree = self.target.endswith("/**") and not re.search(r"[*?\[]", fixed)
            return whole_tree and (other.target == fixed or other.target.startswith(fixed + "/"))
        if self.kind == "ipc":
            return "#" not in self.target and other.target.partition("#")[0] == self.target
        return self.target == "*"

    def explain(self) -> str:
        """The grant in plain words."""
        match self.kind:
            case "exec":
                if self.target == "*":
                    return "Run any program on this computer, inside the sandbox"
                return f"Run the program {self.target}, inside the sandbox"
            case "network":
                host, _, port = self.target.rpartition(":")
                return f"Connect to {host}" + ("" if port == "443" else f" on port {port}")
            case "model":
                return "Use any model" if self.target == "*" else f"Use the model {self.target}"
            case "gpu":
                return "Use the graphics processors of this computer"
            case "ipc":
                if "#" in self.target:
                    return f"Call the extension {self.target}"
                return f"Call the extension {self.target} and hear what it publishes"
        root, _, rest = self.target.partition("/")
        verb = "Read" if self.kind == "read" else "Change"
        where = FILE_ROOTS[root]
        if self.kind == "write" and self.target == PRIVATE_LAYER:
            return f"Change every file of {where}, in a private copy"
        if rest in ("", "**"):
            return f"{verb} every file of {where}"
        return f"{verb} the files {rest} of {where}"


@lru_cache(maxsize=4096)
def parse_grant(text: str) -> Grant:
    """The grant that `text` writes, in normal form (a host gets its port, a bare folder its `/**`).

    Raises ValueError, with the remedy in it, for a bad pattern.
    """
    kind, colon, target = text.partition(":")
    if not colon or not target or any(ord(c) < 32 for c in text):
        raise ValueError(f"{text!r} is no capability; write for instance read:project/** or exec:git")
    match kind:
        case "read" | "write":
            return Grant(kind, _file_pattern(target, text))
        case "exec":
            return Grant(
                kind, _matching(_PROGRAM, target, f"{text!r}: a program is a plain name, such as git, or *")
            )
        case "network":
            return Grant(kind, _host_and_port(target))
        case "model":
            return Grant(kind, _matching(_MODEL, target, f"{target!r} is no model name"))
        case "ipc":
            return Grant(
                kind, _matching(_EXTENSION, target, f"{target!r} is no extension; write publisher/name")
            )
        case "gpu":
            if target != "*":
                raise ValueError(f"{text!r}: graphics processors are granted together; write gpu:*")
            return Grant(kind, target)
    raise ValueError(f"{kind!r} is no capability; there are read, write, exec, network, model, ipc and gpu")


def _matching(pattern: re.Pattern[str], text: str, message: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(message)
    return text


def _file_pattern(target: str, text: str) -> str:
    parts = target.rstrip("/").split("/")
    if target.startswith("/") or "\\" in target or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{text!r} leaves its folder; patterns are relative and have no . or ..")
    if parts[0] not in FILE_ROOTS:
        raise ValueError(f"{text!r}: a pattern begins with {', '.join(FILE_ROOTS)}")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(f"{text!r}: ** stands alone between slashes")
    return "/".join([*parts, "**"]) if len(parts) == 1 else "/".join(parts)


def _host_and_port(target: str) -> str:
    host, port = target.lower(), "443"
    if (match := re.fullmatch(r"(.*):(\d+)", host)) and (not host.startswith("[") or "]:" in host):
        host, port = match[1], match[2]
    if len(host) > 253 or not (_HOST.fullmatch(host) or _IPV6.fullmatch(host)):
        raise ValueError(f"{target!r} is no host; write for instance api.example.com or api.example.com:8443")
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"{target!r}: a port is a number from 1 to 65535")
    return f"{host}:{int(port)}"


@lru_cache(maxsize=1024)
def path_regex(pattern: str) -> re.Pattern[str]:
    """What a pattern of paths means: `*` and `?` stay inside one folder, `**` spans any number of them, none
    included. Its first part is a name, and matches nothing else.

    What stands between two `**` is taken at its first place and kept there (atomic groups): a later one would
    leave less for the rest. So the time does not explode with the stars of a pattern that somebody else wrote.
    """
    blocks: list[list[str]] = [[]]
    for part in pattern.split("/"):
        if part != "**":
            blocks[-1].append(_part_regex(part))
        elif blocks[-1] or len(blocks) == 1:
            blocks.append([])
    first, *others = ["/".join(block) for block in blocks]
    anywhere = "(?:/[^/]+)*"
    regex = first
    for middle in others[:-1]:
        regex += f"(?>{anywhere}?/{middle}(?=/|\\Z))"
    for last in others[-1:]:
        regex += f"{anywhere}/{last}" if last else anywhere
    return re.compile(regex, re.DOTALL)


def _part_regex(part: str) -> str:
    head, *rest = (re.escape(text).replace(r"\?", "[^/]") for text in re.split(r"\*+", part))
    middles = "".join(f"(?>[^/]*?{text})" for text in rest[:-1])
    return head + middles + "".join(f"[^/]*{text}" for text in rest[-1:])


def _names_under(path: PurePosixPath, roots: Mapping[str, Path]) -> list[str]:
    """`path` as each of the roots that hold it would call it."""
    names = []
    for root, folder in roots.items():
        place = PurePosixPath(str(folder))
        if path.is_absolute() and path.is_relative_to(place):
            names.append(str(PurePosixPath(root) / path.relative_to(place)))
    return names


class Grants:
    """A set of grants with the questions the host asks of it. Whatever is not granted is refused."""

    def __init__(self, grants: Iterable[str | Grant] = ()) -> None:
        parsed = [g if isinstance(g, Grant) else parse_grant(g) for g in grants]
        self._grants: tuple[Grant, ...] = tuple(dict.fromkeys(parsed))

    def __iter__(self) -> Iterator[str]:
        return (str(grant) for grant in self._grants)

    def __len__(self) -> int:
        return len(self._grants)

    def __contains__(self, grant: object) -> bool:
        return grant in self._grants or grant in tuple(self)

    def _of(self, kind: Kind) -> Iterator[str]:
        return (grant.target for grant in self._grants if grant.kind == kind)

    def allows_file(
        self, op: Literal["read", "write"], path: Path | str, roots: Mapping[str, Path] | None = None
    ) -> bool:
        """Whether a file may be read or written by the host; what is written into the private layer of a sandbox is
        none of this.

        With `roots`, which say where `project`, `output` and the others lie, `path` is absolute and
        already resolved; without, it is a root's name and what follows, such as `project/src/a.py`.
        A path with `..` is refused.
        """
        text = str(path)
        target = PurePosixPath(text)
        if ".." in target.parts or "\0" in text:
            return False
        names = [str(target)] if roots is None else _names_under(target, roots)
        patterns = [p for p in self._of(op) if op == "read" or p != PRIVATE_LAYER]
        return any(path_regex(pattern).fullmatch(name) for name in names for pattern in patterns)

    def whole_trees(self, op: Literal["read", "write"]) -> list[str]:
        """The roots that are granted whole, such as `project` for `read:project/**`; these are mounted."""
        return [t.removesuffix("/**") for t in self._of(op) if t.removesuffix("/**") in FILE_ROOTS]

    def allows_exec(self, name: str) -> bool:
        """Whether the program called `name` (no path) may be started."""
        if "/" in name or name in ("", ".", "..", "*"):
            return False
        return any(target in ("*", name) for target in self._of("exec"))

    def allows_host(self, host: str, port: int) -> bool:
        """Whether a connection to exactly this host and port may be made."""
        return f"{host.lower().rstrip('.')}:{port}" in self._of("network")

    def allows_model(self, name: str) -> bool:
        """Whether the model `name` may be used."""
        return any(fnmatchcase(name, target) for target in self._of("model"))

    def allows_ipc(self, player: str) -> bool:
        """Whether `publisher/extension#function` may be called."""
        return any(target in (player, player.partition("#")[0]) for target in self._of("ipc"))

    def explain(self) -> list[str]:
        """Each grant in plain words, for the consent dialog."""
        return list(dict.fromkeys(grant.explain() for grant in self._grants))

    def widened_by(self, new: Iterable[str]) -> list[str]:
        """The grants of `new` that would allow something which these do not."""
        return [
            str(wanted)
            for wanted in Grants(new)._grants
            if not any(have.covers(wanted) for have in self._grants)
        ]
