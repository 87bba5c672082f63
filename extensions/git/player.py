"""The Player symphony/git: the history and the state of the project's git repository, read-only."""

from __future__ import annotations

import activity as acting
import churn as churning
import commits as log_format
import working_tree
from repository import Repository, by_author, decoded, period, project_path, split

from symphony.sdk import Artifact, Context, PlayerFailure, player

Rows = list[dict[str, object]]


@player.function
def log(
    ctx: Context,
    project: str,
    since: object = None,
    until: object = None,
    path: str | None = None,
    author: str | None = None,
    text: str | None = None,
    limit: int = 10000,
) -> Rows:
    """Commits, newest first."""
    repository = _with_commits(ctx, project)
    options = [*period(since, until), *by_author(author)]
    if text:
        options += ["--fixed-strings", "--regexp-ignore-case", f"--grep={text}"]
    return [commit.to_row() for commit in _commits(repository, options, path, limit)]


@player.function
def diff(
    ctx: Context,
    project: str,
    base: str = "HEAD",
    head: str | None = None,
    since: object = None,
    path: str | None = None,
    staged: bool = False,
    context: int = 3,
) -> Artifact:
    """A unified patch."""
    repository = _with_commits(ctx, project)
    start = _before(repository, since) if since else repository.commit(base)
    command = [
        "diff",
        "--no-ext-diff",
        "--no-textconv",
        "--find-renames",
        f"--unified={context}",
        "--relative",
    ]
    if staged:
        command.append("--cached")
    command.append(start)
    if head:
        command.append(repository.commit(head))
    patch = decoded(repository.run(*command, *repository.where(path)))
    return Artifact(patch, name="changes.diff", type="text/x-diff")


@player.function
def show(ctx: Context, project: str, revision: str = "HEAD", path: str | None = None) -> Artifact:
    """What one commit changed, below its author and message."""
    repository = _with_commits(ctx, project)
    options = ["--stat", "--patch", "--find-renames", "--no-ext-diff", "--no-textconv", "--no-show-signature"]
    # Against its first parent, so that a merge shows what it brought.
    whole = ["--diff-merges=first-parent", "--relative", repository.commit(revision)]
    patch = decoded(repository.run("show", *options, *whole, *repository.where(path)))
    return Artifact(patch, name="commit.diff", type="text/x-diff")


@player.function
def status(ctx: Context, project: str, untracked: bool = True) -> Rows:
    """State of the working tree."""
    repository = Repository(ctx, project)
    files = f"--untracked-files={'all' if untracked else 'no'}"
    output = repository.run("status", "--porcelain=v2", "-z", "--renames", files, *repository.where(None))
    return working_tree.status_rows(split(output), repository.prefix)


@player.function
def churn(
    ctx: Context,
    project: str,
    since: object = None,
    until: object = None,
    path: str | None = None,
    author: str | None = None,
    follow_renames: bool = True,
    existing_only: bool = False,
    limit: int | None = None,
) -> Rows:
    """How often each file changed."""
    repository = _with_commits(ctx, project)
    # A rename into the path would look like a new file if git saw that path only, so all of it is read.
    whole = _commits(repository, [*period(since, until), *by_author(author)], counted=True)
    tracked = set(split(repository.run("ls-tree", "-r", "-z", "--name-only", "HEAD")))
    rows = churning.by_file(whole, tracked, follow_renames)
    if path:
        wanted = project_path(path)
        rows = [row for row in rows if _is_below(str(row["file"]), wanted)]
        if not rows:
            _require_known(repository, path)
    if existing_only:
        rows = [row for row in rows if row["exists"]]
    return rows[:limit]


@player.function
def untouched(
    ctx: Context, project: str, age: object = "365d", path: str | None = None, limit: int | None = None
) -> Rows:
    """Files that nobody has changed for so long."""
    [until] = period(None, age) or [""]
    repository = _with_commits(ctx, project)
    whole = _commits(repository, [], counted=True)
    tracked = set(split(repository.run("ls-tree", "-r", "-z", "--name-only", "HEAD")))
    rows = churning.not_since(churning.by_file(whole, tracked), until.partition("=")[2])
    if path:
        wanted = project_path(path)
        rows = [row for row in rows if _is_below(str(row["file"]), wanted)]
        if not rows:
            _require_known(repository, path)
    return rows[:limit]


@player.function
def authors(
    ctx: Context,
    project: str,
    since: object = None,
    until: object = None,
    path: str | None = None,
    limit: int | None = None,
) -> Rows:
    """Who contributed how much."""
    repository = _with_commits(ctx, project)
    return churning.by_author(_commits(repository, period(since, until), path, counted=True))[:limit]


@player.function
def activity(
    ctx: Context,
    project: str,
    by: str = "month",
    since: object = None,
    until: object = None,
    path: str | None = None,
    author: str | None = None,
) -> Rows:
    """Commits, people and lines in each period."""
    repository = _with_commits(ctx, project)
    options = [*period(since, until), *by_author(author)]
    return acting.by_period(_commits(repository, options, path, counted=True), by)


@player.function
def branches(ctx: Context, project: str, remote: bool = False) -> Rows:
    """Branches with their last commit and their distance from the current one."""
    repository = Repository(ctx, project)
    where = ["refs/heads", *(["refs/remotes"] if remote else [])]
    rows = working_tree.branch_rows(
        decoded(repository.run("for-each-ref", f"--format={working_tree.BRANCH_FORMAT}", *where))
    )
    if repository.has_commits():
        for row in rows:
            counts = repository.run("rev-list", "--left-right", "--count", f"HEAD...{row['commit']}", "--")
            behind, ahead = (int(number) for number in counts.split())
            row["ahead"], row["behind"] = ahead, behind
    return rows


@player.function
def tags(ctx: Context, project: str, limit: int | None = None) -> Rows:
    """Tags with what they name, newest first."""
    repository = Repository(ctx, project)
    fields = f"--format={working_tree.TAG_FORMAT}"
    found = decoded(repository.run("for-each-ref", "--sort=-creatordate", fields, "refs/tags"))
    return working_tree.tag_rows(found)[:limit]


@player.function
def blame(ctx: Context, project: str, path: str, revision: str | None = None) -> Rows:
    """Who last changed each line of a file."""
    repository = _with_commits(ctx, project)
    place = project_path(path)
    at = [repository.commit(revision)] if revision else []
    tree = at[0] if at else "HEAD"
    if not repository.succeeds("cat-file", "-e", f"{tree}:./{place}"):
        raise PlayerFailure(
            f"git does not know the file {path}", remedy="name a file that is committed", code="bad_input"
        )
    return working_tree.blame_rows(decoded(repository.run("blame", "--line-porcelain", *at, "--", place)))


_PAGE = 2000
"""Commits that one run of git lists: the host carries 12 MiB of a program's output."""

_NUMBERS = ["--numstat", "--find-renames", "--no-ext-diff", "--no-textconv"]


def _with_commits(ctx: Context, project: str) -> Repository:
    repository = Repository(ctx, project)
    repository.require_commits()
    return repository


def _commits(
    repository: Repository,
    options: list[str],
    path: str | None = None,
    limit: int | None = None,
    counted: bool = False,
) -> list[log_format.Commit]:
    """Commits, newest first, read page by page; `counted` brings what each changed, and no message bodies."""
    header = log_format.BRIEF if counted else log_format.HEADER
    command = ["log", "-z", f"--format={header}", "--no-show-signature", "--relative", *options]
    command += _NUMBERS if counted else []
    found: list[log_format.Commit] = []
    while limit is None or len(found) < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = [f"--max-count={size}", f"--skip={len(found)}"]
        fields = split(repository.run(*command, *page, *repository.where(path)))
        before = len(found)
        found.extend(log_format.parse(fields))
        if len(found) - before < size:
            break
    if path and not found:
        _require_known(repository, path)
    return found


def _require_known(repository: Repository, path: str) -> None:
    """Tells a mistyped path from one that did not change in the time asked for."""
    if not repository.run("log", "--max-count=1", "--format=%H", *repository.where(path)).strip():
        raise PlayerFailure(
            f"There is no file or folder {path} in the history of the project",
            remedy="give its path relative to the project",
            code="bad_input",
        )


def _is_below(file: str, folder: str) -> bool:
    return folder == "." or file == folder or file.startswith(folder + "/")


def _before(repository: Repository, since: object) -> str:
    """The last commit before a moment, or the empty tree when the history begins after it."""
    moments = [option.replace("--since=", "--before=") for option in period(since, None)]
    found = repository.run("rev-list", "--max-count=1", *moments, "HEAD", "--").decode().strip()
    # The empty tree's name depends on the repository's hash function, so git computes it.
    return found or repository.run("hash-object", "-t", "tree", "--stdin", input=b"").decode().strip()


if __name__ == "__main__":
    player.serve()
