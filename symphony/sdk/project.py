"""The files of the project as a Player reads them: paths that stay inside, one text, the tree as git sees it.

    from symphony.sdk.project import require_project, text_or_file, walk

    for file in walk(require_project(project), pattern="*.py"):
        text = file.text()

A Player needs the capability `files = ["read:project/**"]` for all of this: the sandbox shows it the
project's folder then, and nothing else. `walk` matches with `pathspec`, which an extension that walks
has among its own requirements.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from symphony.sdk.failures import PlayerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

TEXT_LIMIT = 8 << 20
"""Bytes: a larger file is data, not text that somebody wrote."""

_HEAD = 8192
"""Bytes in which a zero tells a binary file, as for git."""


def require_project(project: object) -> Path:
    """The project's folder; raises PlayerFailure when none is open."""
    if not project:
        raise PlayerFailure("No project is open", remedy="open a project folder", code="bad_input")
    root = Path(str(project))
    if not root.is_dir():
        raise PlayerFailure(
            f"There is no folder {root}", remedy="open a folder that exists", code="bad_input"
        )
    return root


def inside(root: Path, path: object) -> str:
    """`path` relative to the project in its normal form; raises PlayerFailure when it leads out of it.

    A link inside the project that points out of it leads out. The path need not exist.
    """
    text = str(path)
    if text.startswith("/") and Path(text).is_relative_to(root):
        text = str(Path(text).relative_to(root))
    text = posixpath.normpath(text)
    is_out = text == ".." or text.startswith(("/", "../")) or "\0" in text
    if is_out or not (root / text).resolve().is_relative_to(root.resolve()):
        raise PlayerFailure(
            f"{path} is not inside the project",
            remedy="give a path relative to the project",
            code="bad_input",
        )
    return text


def existing(root: Path, path: object) -> str:
    """`path` as `inside` gives it; raises PlayerFailure, too, when there is no such file or folder."""
    place = inside(root, path)
    if not (root / place).exists():
        raise PlayerFailure(
            f"There is no file or folder {place} in the project",
            remedy="check the path, relative to the project",
            code="bad_input",
        )
    return place


def read_text(root: Path, path: object, encoding: str = "utf-8") -> str:
    """The text of one file of the project, of at most 8 MiB.

    Raises PlayerFailure when there is no such file, or it is no text in that encoding.
    """
    place = _file(root, path)
    if (root / place).stat().st_size > TEXT_LIMIT:
        raise PlayerFailure(
            f"{place} is larger than {TEXT_LIMIT >> 20} MiB", remedy="choose a smaller file", code="bad_input"
        )
    content = (root / place).read_bytes()
    if encoding.lower().replace("-", "").startswith("utf8"):
        _refuse_binary(place, content)
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise PlayerFailure(
            f"{place} cannot be read as {encoding}: {error}", remedy="name its encoding", code="bad_input"
        ) from error


def text_or_file(project: object, text: str | None, path: object) -> str:
    """The text that is connected, or else that of a file: for a function with both, each optional.

    The file is UTF-8 of any size; a byte order mark is dropped, and what is no UTF-8 becomes replacement
    characters. Raises PlayerFailure when there is neither, or the file is none of the project or no text.
    """
    if text is not None:
        return text
    if not path or not project:
        raise PlayerFailure(
            "There is no text to work on", remedy="connect a text, or name a file", code="bad_input"
        )
    root = require_project(project)
    place = _file(root, path)
    content = (root / place).read_bytes()
    _refuse_binary(place, content)
    return content.decode("utf-8-sig", "replace")


class ProjectFile:
    """A regular file. `path` is relative to `root`, with forward slashes; `modified` is seconds since 1970."""

    __slots__ = ("modified", "path", "root", "size")

    def __init__(self, root: Path, path: str, size: int, modified: float) -> None:
        self.root = root
        self.path = path
        self.size = size
        """Bytes."""
        self.modified = modified

    def text(self) -> str | None:
        """Its content as text, or None when it is binary, larger than 8 MiB or cannot be read."""
        if self.size > TEXT_LIMIT:
            return None
        try:
            content = (self.root / self.path).read_bytes()
        except OSError:
            return None
        return None if b"\0" in content[:_HEAD] else content.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"ProjectFile({self.path!r}, {self.size} bytes)"


def walk(
    root: Path, *, below: str | None = None, pattern: str | None = None, ignored: bool = False
) -> Iterator[ProjectFile]:
    """The project's files as git would see them, in order of their paths: links are not followed.

    `below` limits it to one folder or file, `pattern` to a glob as in .gitignore, so that `*.py` matches in
    every folder. With `ignored` it yields what .gitignore names, too. `.git` is never entered.

    Raises PlayerFailure for a folder that does not exist, and for a pattern that is no glob.
    """
    place = existing(root, below) if below else "."
    start = root / place
    wanted = _spec([pattern]) if pattern and pattern not in ("**", "*", "**/*") else None
    rules = _Rules(root, active=not ignored)
    if start.is_file():
        status = start.stat()
        if wanted is None or wanted.match_file(place):
            yield ProjectFile(root, place, status.st_size, status.st_mtime)
        return
    prefix = "" if place == "." else place + "/"
    for step in range(prefix.count("/")):
        rules.enter("/".join(prefix.split("/")[:step]))
    yield from _folder(root, prefix, rules, wanted)


def _file(root: Path, path: object) -> str:
    place = inside(root, path)
    if not (root / place).is_file():
        raise PlayerFailure(
            f"There is no file {place} in the project",
            remedy="check the path, relative to the project",
            code="bad_input",
        )
    return place


def _refuse_binary(place: str, content: bytes) -> None:
    if b"\0" in content[:_HEAD]:
        raise PlayerFailure(f"{place} is no text file", remedy="choose a text file", code="bad_input")


def _folder(root: Path, prefix: str, rules: _Rules, wanted: Any) -> Iterator[ProjectFile]:
    rules.enter(prefix.rstrip("/"))
    try:
        entries = sorted(os.scandir(root / prefix), key=lambda e: e.name)
    except PermissionError:
        entries = []
    for entry in entries:
        path = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name != ".git" and not rules.ignore(path + "/"):
                yield from _folder(root, path + "/", rules, wanted)
            continue
        if not entry.is_file(follow_symlinks=False) or rules.ignore(path):
            continue
        if wanted is None or wanted.match_file(path):
            status = entry.stat(follow_symlinks=False)
            yield ProjectFile(root, path, status.st_size, status.st_mtime)


class _Rules:
    """The .gitignore files from the repository's top level down to where the walk is."""

    def __init__(self, root: Path, active: bool) -> None:
        self._root = root
        self._active = active
        self._specs: dict[str, Any] = {}
        self._above: list[tuple[str, Any]] = []
        """Rules of the folders above the project, each with the path from there down to the project."""
        if not active:
            return
        top = root
        for folder in (root, *root.parents):
            if (folder / ".git").exists():
                top = folder
                break
        exclude = _read_spec(top / ".git" / "info" / "exclude")
        if exclude is not None:
            self._above.append((_down(top, root), exclude))
        for folder in reversed(root.parents):
            if folder.is_relative_to(top):
                spec = _read_spec(folder / ".gitignore")
                if spec is not None:
                    self._above.append((_down(folder, root), spec))

    def enter(self, folder: str) -> None:
        """Reads the rules of a folder, `""` being the project's own."""
        if self._active and folder not in self._specs:
            self._specs[folder] = _read_spec(self._root / folder / ".gitignore")

    def ignore(self, path: str) -> bool:
        """Whether git ignores `path`; a folder's ends in `/`. The rules nearest to it decide."""
        if not self._active:
            return False
        folder = posixpath.dirname(path.rstrip("/"))
        while True:
            spec = self._specs.get(folder)
            if spec is not None:
                verdict = spec.check_file(path[len(folder) + 1 if folder else 0 :]).include
                if verdict is not None:
                    return bool(verdict)
            if not folder:
                break
            folder = posixpath.dirname(folder)
        for down, spec in reversed(self._above):
            verdict = spec.check_file(down + path).include
            if verdict is not None:
                return bool(verdict)
        return False


def _down(folder: Path, root: Path) -> str:
    relative = root.relative_to(folder).as_posix()
    return "" if relative == "." else relative + "/"


def _read_spec(file: Path) -> Any:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    return _spec(lines) if lines else None


def _spec(lines: list[str]) -> Any:
    # The extension's own: only those that walk carry it.
    import pathspec

    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        # git passes over a line that is no pattern; one bad line must not hide the others.
        if len(lines) == 1:
            raise PlayerFailure(f"{lines[0]!r} is no glob: {error}", code="bad_input") from error
        return pathspec.GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    import pathspec

    try:
        pathspec.GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
