"""Runs git on the project and turns what can go wrong into one clear failure."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from moments import moment

from symphony.sdk import Context, PlayerFailure

_QUIET = ["git", "--no-pager", "--literal-pathspecs", "-c", "core.quotePath=false", "-c", "color.ui=false"]


class Repository:
    """The git repository of a project, which may be a subfolder of it: then only that subfolder is seen."""

    def __init__(self, ctx: Context, project: object) -> None:
        if not project:
            raise PlayerFailure(
                "No project is open", remedy="open a folder that is a git repository", code="bad_input"
            )
        self._ctx = ctx
        answer = ctx.exec([*_QUIET, "rev-parse", "--show-prefix"], check=False)
        if answer.exit_code != 0:
            raise _unusable(str(project), answer.stderr.decode("utf-8", "replace"))
        self.prefix = answer.stdout.decode("utf-8", "surrogateescape").rstrip("\n")
        """The project's path below the repository's top level, ending in `/`, or empty."""

    def run(self, *arguments: str, input: bytes | None = None) -> bytes:
        """What `git ARGUMENTS` prints. Raises PlayerFailure with git's own words when it fails."""
        answer = self._ctx.exec([*_QUIET, *arguments], check=False, input=input)
        if answer.exit_code != 0:
            words = answer.stderr.decode("utf-8", "replace").strip().splitlines()
            raise PlayerFailure(
                f"git {arguments[0]} failed: {words[-1] if words else f'exit code {answer.exit_code}'}",
                remedy="run the same command in a terminal to see more",
            )
        return answer.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Whether `git ARGUMENTS` ends with exit code 0."""
        return self._ctx.exec([*_QUIET, *arguments], check=False).exit_code == 0

    def has_commits(self) -> bool:
        """Whether there is a commit on the current branch."""
        return self.succeeds("rev-parse", "--verify", "--quiet", "HEAD")

    def require_commits(self) -> None:
        """Raises PlayerFailure when nothing was committed yet."""
        if not self.has_commits():
            raise PlayerFailure(
                "The git repository has no commits yet", remedy="commit something first", code="bad_input"
            )

    def commit(self, revision: str) -> str:
        """The full hash of the commit that a branch, tag or hash names."""
        if revision:
            answer = self._ctx.exec(
                [*_QUIET, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"],
                check=False,
            )
            if answer.exit_code == 0:
                return answer.stdout.decode().strip()
        raise PlayerFailure(
            f"There is no branch, tag or commit {revision!r}",
            remedy="name one that `git branch -a` or `git tag` shows",
            code="bad_input",
        )

    def where(self, path: object) -> list[str]:
        """The end of a command line that limits it to `path`, or to the project's own folder."""
        if path is None or path == "":
            return ["--", "."] if self.prefix else ["--"]
        return ["--", project_path(path)]


def project_path(path: object) -> str:
    """`path` in its normal form; raises PlayerFailure when it is not below the project."""
    text = posixpath.normpath(str(path).removeprefix("./"))
    if text.startswith(("/", "../")) or text == ".." or "\0" in text:
        raise PlayerFailure(
            f"{path} is not inside the project",
            remedy="give a path relative to the project",
            code="bad_input",
        )
    return text


def period(since: object, until: object) -> list[str]:
    """git's options for a span of time. Raises PlayerFailure when one is neither duration nor date."""
    try:
        start, end = moment(since), moment(until, end_of_day=True)
    except ValueError as error:
        raise PlayerFailure(
            str(error), remedy="write for instance 90d, 2w, 6mo or 2024-01-31", code="bad_input"
        ) from error
    return [f"--{name}={value}" for name, value in (("since", start), ("until", end)) if value]


def by_author(author: object) -> list[str]:
    """git's options for commits whose author contains a text, whatever its case."""
    return ["--fixed-strings", "--regexp-ignore-case", f"--author={author}"] if author else []


def decoded(content: bytes) -> str:
    """Text that may hold file names of any encoding; what is not UTF-8 shows as a replacement character."""
    return content.decode("utf-8", "replace")


def split(content: bytes) -> Sequence[str]:
    """The fields of an output that git ended with NUL each."""
    fields = decoded(content).split("\0")
    return fields[:-1] if fields and fields[-1] in ("", "\n") else fields


def _unusable(project: str, words: str) -> PlayerFailure:
    if "not a git repository" in words:
        return PlayerFailure(
            f"{project} is not a git repository",
            remedy="open a folder that git tracks, or run `git init` in it",
            code="bad_input",
        )
    first = words.strip().splitlines()
    return PlayerFailure(
        f"git cannot read {project}: {first[0] if first else 'it gave no reason'}",
        remedy="run `git status` there in a terminal to see more",
    )
