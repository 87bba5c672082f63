"""Reads `git status`, `git blame` and the list of branches into rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

_STATES = {
    "M": "modified",
    "T": "type changed",
    "A": "added",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "U": "conflict",
}

BRANCH_FORMAT = "%00".join(
    [
        "%(refname:short)",
        "%(objectname:short)",
        "%(authorname)",
        "%(committerdate:iso-strict)",
        "%(HEAD)",
        "%(symref)",
        "%(contents:subject)",
    ]
)

TAG_FORMAT = "%00".join(
    [
        "%(refname:short)",
        "%(if)%(*objectname)%(then)%(*objectname:short)%(else)%(objectname:short)%(end)",
        "%(creatordate:iso-strict)",
        "%(if)%(taggername)%(then)%(taggername)%(else)%(authorname)%(end)",
        "%(contents:subject)",
    ]
)


def tag_rows(lines: str) -> list[dict[str, object]]:
    """Rows of type git/tag from `git for-each-ref` with TAG_FORMAT."""
    names = ("tag", "commit", "date", "author", "subject")
    return [dict(zip(names, line.split("\0"), strict=True)) for line in lines.splitlines()]


def status_rows(fields: Sequence[str], prefix: str) -> list[dict[str, object]]:
    """Rows of type git/status-entry from `git status --porcelain=v2 -z`; paths are relative to `prefix`."""
    rows: list[dict[str, object]] = []
    position = 0
    while position < len(fields):
        entry = fields[position]
        position += 1
        kind = entry[:1]
        if kind == "1":
            rows.append(_row(entry.split(" ", 8)[8], entry[2:4], prefix))
        elif kind == "2":
            rows.append(_row(entry.split(" ", 9)[9], entry[2:4], prefix, former=fields[position]))
            position += 1
        elif kind == "u":
            rows.append(_row(entry.split(" ", 10)[10], "UU", prefix))
        elif kind == "?":
            rows.append({"file": entry[2:].removeprefix(prefix), "state": "untracked", "staged": False})
    return rows


def _row(path: str, letters: str, prefix: str, former: str | None = None) -> dict[str, object]:
    index, tree = letters[0], letters[1]
    letter = index if index != "." else tree
    row: dict[str, object] = {
        "file": path.removeprefix(prefix),
        "state": _STATES.get(letter, "changed"),
        "staged": index not in ".U",
    }
    if former is not None:
        row["former"] = former.removeprefix(prefix)
    return row


def branch_rows(text: str) -> list[dict[str, object]]:
    """Rows of type git/branch, latest commit first, without the symbolic names such as origin/HEAD."""
    rows: list[dict[str, object]] = []
    for line in text.splitlines():
        name, commit, author, date, head, symbolic, subject = line.split("\0", 6)
        if symbolic:
            continue
        rows.append(
            {
                "branch": name,
                "last_commit": date,
                "author": author,
                "subject": subject,
                "commit": commit,
                "current": head == "*",
            }
        )
    return sorted(rows, key=lambda row: str(row["last_commit"]), reverse=True)


def blame_rows(text: str) -> list[dict[str, object]]:
    """Rows of type git/blame-line from `git blame --line-porcelain`."""
    rows: list[dict[str, object]] = []
    facts: dict[str, str] = {}
    commit, number = "", 0
    for line in text.split("\n"):
        if line.startswith("\t"):
            rows.append(
                {
                    "line": number,
                    "author": facts.get("author", ""),
                    "date": _date(facts),
                    "text": line[1:],
                    "subject": facts.get("summary", ""),
                    "commit": commit,
                }
            )
            facts = {}
        elif facts or not line:
            key, _, value = line.partition(" ")
            facts[key] = value
        else:
            commit, _, number_text = line.split(" ")[:3]
            number = int(number_text)
            facts["commit"] = commit
    return rows


def _date(facts: dict[str, str]) -> str:
    seconds, offset = int(facts.get("author-time", "0")), facts.get("author-tz", "+0000")
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    zone = timezone(timedelta(minutes=-minutes if offset.startswith("-") else minutes))
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).isoformat()
