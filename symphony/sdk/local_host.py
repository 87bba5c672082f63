"""Serves capabilities for tests: real files and programs of one folder, and stand-ins for the rest."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from symphony.sdk.context import Call
from symphony.sdk.failures import Cancelled, PermissionDenied, PlayerFailure, failure_of

Capability = Callable[[dict[str, Any]], dict[str, Any]]


class LocalHost:
    """What a `Context` asks, answered in this process.

    `capabilities` come first; files, programs and artifacts are served from `project`. Without a
    manifest everything is granted, with one only what its `[capabilities]` name.
    """

    def __init__(
        self,
        project: Path | None = None,
        manifest: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Capability] | None = None,
    ) -> None:
        self.project = project
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.coming: list[dict[str, Any]] = []
        """What the user will do to the tree that a function shows, in order; then the user closes it."""
        self.news: list[dict[str, Any]] = []
        """What other extensions publish, each `{"topic", "value", "from"}`; a subscription hears it and ends."""
        self.published: list[tuple[str, Any]] = []
        """What the function published, as `(topic, value)`."""
        self.stored: dict[str, dict[str, Any]] = {}
        self._manifest = manifest or {}
        self._given = dict(capabilities or {})
        self._own: dict[str, Capability] = {
            "fs.read": self._read,
            "fs.write": self._write,
            "fs.list": self._list,
            "exec": self._exec,
            "artifact.get": self._get,
            "artifact.put": self._put,
            "extension.publish": self._publish,
            "extension.subscribe": self._subscribe,
            "extension.unsubscribe": lambda body: {},
        }

    def request(
        self,
        call: Call | None,
        method: str,
        body: dict[str, Any],
        on_piece: Callable[[Any], None] | None = None,
    ) -> dict[str, Any]:
        """Answers at once, in the caller's thread. A given capability may answer `{"pieces": […], …}`."""
        if call is not None and call.cancelled:
            raise Cancelled
        serve = self._given.get(method) or self._own.get(method)
        if serve is None:
            raise PlayerFailure(
                f"the harness has nothing for {method}",
                remedy=f"give capabilities={{{method!r}: lambda body: …}}",
                code="unavailable",
            )
        answer = dict(serve(body))
        if on_piece is not None:
            for piece in answer.pop("pieces", []):
                on_piece(piece)
        if "error" in answer:
            raise failure_of(answer["error"])
        return answer

    def notify(self, call: Call | None, kind: str, method: str, body: dict[str, Any]) -> None:
        """Keeps what was reported, as `(method, body)`."""
        self.events.append((method, body))

    def next_event(self, call: Call | None) -> dict[str, Any]:
        """The next of what is `coming`."""
        if not self.coming or (call is not None and call.cancelled):
            raise Cancelled
        return self.coming.pop(0)

    def reported(self, method: str) -> list[dict[str, Any]]:
        """The bodies of what was reported under a method, such as `progress`."""
        return [body for name, body in self.events if name == method]

    def _grants(self, kind: str) -> list[str] | None:
        """The manifest's grants of a kind; None when there is no manifest to hold to."""
        if not self._manifest:
            return None
        granted = self._manifest.get("capabilities", {}).get(kind, [])
        return [str(grant) for grant in granted]

    def _path(self, operation: str, path: str) -> Path:
        folder = self._folder()
        absolute = Path(os.path.normpath(folder / path))
        grants = self._grants("files")
        if grants is not None:
            patterns = [grant.partition(":")[2] for grant in grants if grant.partition(":")[0] == operation]
            if operation == "write":
                # As in the host, this one stands for the private layer of programs, and writes no file itself.
                patterns = [pattern for pattern in patterns if pattern not in ("project", "project/**")]
            if not any(_reaches(pattern, absolute, folder) for pattern in patterns):
                remedy = f'the manifest needs files = ["{operation}:project/…"]'
                raise PermissionDenied(f"{operation} {path} is not granted", remedy=remedy)
        return absolute

    def _folder(self) -> Path:
        if self.project is None:
            raise PlayerFailure("no project is open", code="bad_input")
        return self.project

    def _read(self, body: dict[str, Any]) -> dict[str, Any]:
        path = self._path("read", body["path"])
        try:
            return {"content": path.read_bytes()}
        except OSError as error:
            raise _file_failure(body["path"], error) from error

    def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        path = self._path("write", body["path"])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body["content"])
        except OSError as error:
            raise _file_failure(body["path"], error) from error
        return {}

    def _list(self, body: dict[str, Any]) -> dict[str, Any]:
        folder = self._folder()
        self._path("read", ".")
        # A pattern that ends in `**` means the files below, not the folders.
        pattern = body["pattern"]
        pattern = pattern + "/*" if pattern.endswith("**") else pattern
        found = (path for path in folder.glob(pattern) if path.is_file())
        return {"paths": sorted(str(path.relative_to(folder)) for path in found)}

    def _exec(self, body: dict[str, Any]) -> dict[str, Any]:
        name = Path(body["argv"][0]).name
        grants = self._grants("system")
        if grants is not None and not any(fnmatchcase(f"exec:{name}", grant) for grant in grants):
            remedy = f'the manifest needs system = ["exec:{name}"]'
            raise PermissionDenied(f"running {name} is not granted", remedy=remedy)
        cwd = self._folder() / body["cwd"] if body["cwd"] else self.project
        try:
            done = subprocess.run(
                body["argv"],
                cwd=cwd,
                input=body["input"] if body["input"] is not None else b"",
                capture_output=True,
                timeout=body["timeout"],
                check=False,
            )
        except FileNotFoundError as error:
            raise PlayerFailure(f"{error.filename} was not found", code="unavailable") from error
        except subprocess.TimeoutExpired as error:
            raise PlayerFailure(f"{name} did not end within {body['timeout']} s") from error
        return {"stdout": done.stdout, "stderr": done.stderr, "exit_code": done.returncode}

    def _get(self, body: dict[str, Any]) -> dict[str, Any]:
        stored = self.stored.get(body["id"])
        if stored is None:
            raise PlayerFailure(f"there is no artifact {body['id']}", code="not_found")
        return stored

    def _put(self, body: dict[str, Any]) -> dict[str, Any]:
        id = "sha256:" + hashlib.sha256(body["content"]).hexdigest()
        self.stored[id] = {"content": body["content"], "name": body["name"], "type": body["type"]}
        return {"id": id}

    def _publish(self, body: dict[str, Any]) -> dict[str, Any]:
        self.published.append((body["topic"], body["value"]))
        return {"subscribers": 0, "displaced": 0}

    def _subscribe(self, body: dict[str, Any]) -> dict[str, Any]:
        heard = [message for message in self.news if _means(body["topic"], message["topic"])]
        return {"pieces": [{"id": 1}, *heard]}


def _means(pattern: str, topic: str) -> bool:
    """Whether a pattern means a topic: `*` is any one part, `**` at the end any that follow."""
    wanted, parts = pattern.split("/"), topic.split("/")
    if wanted[-1] == "**" and len(parts) >= len(wanted):
        wanted, parts = wanted[:-1], parts[: len(wanted) - 1]
    return len(wanted) == len(parts) and all(a in ("*", b) for a, b in zip(wanted, parts, strict=True))


def _reaches(pattern: str, path: Path, folder: Path) -> bool:
    """Whether a grant such as `project/src/**` covers a path. `**` covers the folder itself too."""
    roots = {"project": folder, "output": folder / "output"}
    head, _, rest = pattern.partition("/")
    root = roots.get(head)
    if root is None:
        return fnmatchcase(str(path), pattern)
    if not path.is_relative_to(root):
        return False
    # As in the host: `*` stays inside one folder, `**` spans any number of them, none included.
    parts = (rest or "**").split("/")
    regex = "".join("(?:/[^/]+)*" if part == "**" else f"/{_within(part)}" for part in parts)
    names = path.relative_to(root).parts
    return re.fullmatch(regex, "".join(f"/{name}" for name in names), re.DOTALL) is not None


def _within(part: str) -> str:
    """A pattern of one name, as an expression."""
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in part)


def _file_failure(path: str, error: OSError) -> PlayerFailure:
    code = "not_found" if isinstance(error, FileNotFoundError) else "failed"
    return PlayerFailure(f"{path}: {error.strerror}", code=code)
