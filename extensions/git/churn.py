"""Adds up what commits did: file by file across renames, and author by author."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from commits import Commit


@dataclass(slots=True)
class _File:
    commits: int = 0
    added: int = 0
    deleted: int = 0
    authors: set[str] = field(default_factory=set)
    last_change: str = ""
    last_author: str = ""


def by_file(
    commits: Iterable[Commit], existing: Collection[str], follow_renames: bool = True
) -> list[dict[str, object]]:
    """Rows of type git/file-churn, most commits first, then most lines, then by name.

    `commits` come newest first. With `follow_renames` a file's earlier names count for its present one;
    `existing` are the files of the current commit.
    """
    files: dict[str, _File] = {}
    present: dict[str, str] = {}
    for commit in commits:
        seen: set[str] = set()
        for change in commit.changes:
            name = present.get(change.path, change.path)
            if follow_renames and change.former is not None:
                # Older commits know the file by its former name only.
                present[change.former] = name
                present.pop(change.path, None)
            entry = files.setdefault(name, _File())
            entry.added += change.added
            entry.deleted += change.deleted
            if name in seen:
                continue
            seen.add(name)
            entry.commits += 1
            entry.authors.add(commit.author)
            if not entry.last_change:
                entry.last_change, entry.last_author = commit.date, commit.author
    rows: list[dict[str, object]] = [
        {
            "file": name,
            "commits": entry.commits,
            "lines_changed": entry.added + entry.deleted,
            "added": entry.added,
            "deleted": entry.deleted,
            "authors": len(entry.authors),
            "last_change": entry.last_change,
            "last_author": entry.last_author,
            "exists": name in existing,
        }
        for name, entry in files.items()
    ]
    return sorted(rows, key=lambda r: (-_number(r["commits"]), -_number(r["lines_changed"]), str(r["file"])))


def not_since(rows: Iterable[dict[str, object]], moment: str) -> list[dict[str, object]]:
    """Rows of type git/untouched of the files that exist and last changed before `moment`, the oldest first."""
    now, before = datetime.now(UTC), datetime.fromisoformat(moment).astimezone() if moment else None
    found: list[dict[str, object]] = []
    for row in rows:
        last = datetime.fromisoformat(str(row["last_change"]))
        if row["exists"] and (before is None or last < before):
            found.append(
                {
                    "file": row["file"],
                    "days": (now - last).days,
                    "last_change": row["last_change"],
                    "last_author": row["last_author"],
                    "commits": row["commits"],
                }
            )
    return sorted(found, key=lambda row: (str(row["last_change"]), str(row["file"])))


def by_author(commits: Iterable[Commit]) -> list[dict[str, object]]:
    """Rows of type git/author, most commits first; one person is one name, as .mailmap gives it."""
    authors: dict[str, dict[str, object]] = {}
    files: dict[str, set[str]] = {}
    for commit in commits:
        row = authors.setdefault(
            commit.author,
            {
                "author": commit.author,
                "commits": 0,
                "added": 0,
                "deleted": 0,
                "files": 0,
                "first_commit": commit.date,
                "last_commit": commit.date,
                "email": commit.email,
            },
        )
        row["commits"] = _number(row["commits"]) + 1
        row["first_commit"] = commit.date
        touched = files.setdefault(commit.author, set())
        for change in commit.changes:
            row["added"] = _number(row["added"]) + change.added
            row["deleted"] = _number(row["deleted"]) + change.deleted
            touched.add(change.path)
        row["files"] = len(touched)
    return sorted(authors.values(), key=lambda r: (-_number(r["commits"]), str(r["author"])))


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
