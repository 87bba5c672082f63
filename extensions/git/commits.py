"""Reads commits and what each did to which file out of `git log -z`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

HEADER = "tformat:" + "%x00".join(["commit", "%H", "%h", "%aN", "%aE", "%aI", "%P", "%s", "%b"])
"""Fields of a commit, NUL between them: no message and no name can hold one."""

BRIEF = HEADER.removesuffix("%b")
"""The same without the message's body, for those who only count."""

_FIELDS = 8
_ENTRY = re.compile(r"(\d+|-)\t(\d+|-)\t(.*)", re.DOTALL)


@dataclass(slots=True)
class FileChange:
    """Lines that a commit added to and deleted from one file; `former` is its name before a rename."""

    path: str
    added: int
    deleted: int
    former: str | None = None


@dataclass(slots=True)
class Commit:
    """One commit; `date` is the author's, ISO 8601 with its offset."""

    hash: str
    short: str
    author: str
    email: str
    date: str
    parents: list[str]
    subject: str
    body: str
    changes: list[FileChange] = field(default_factory=list)

    def to_row(self) -> dict[str, object]:
        """The row of type git/commit."""
        return {
            "short": self.short,
            "date": self.date,
            "author": self.author,
            "subject": self.subject,
            "email": self.email,
            "merge": len(self.parents) > 1,
            "body": self.body,
            "hash": self.hash,
        }


def parse(fields: Sequence[str]) -> Iterator[Commit]:
    """Commits of the NUL-separated fields of a log made with `HEADER`, with or without `--numstat`."""
    position, end = 0, len(fields)
    current: Commit | None = None
    while position < end:
        token = fields[position]
        if token.lstrip("\n") == "commit" and position + _FIELDS < end:
            if current is not None:
                yield current
            current = _commit(fields[position + 1 : position + 1 + _FIELDS])
            position += 1 + _FIELDS
            continue
        entry = _ENTRY.fullmatch(token.lstrip("\n"))
        if entry is None or current is None:
            # The empty field between a header and its entries.
            position += 1
        elif entry[3]:
            current.changes.append(FileChange(entry[3], _lines(entry[1]), _lines(entry[2])))
            position += 1
        else:
            former, path = fields[position + 1], fields[position + 2]
            current.changes.append(FileChange(path, _lines(entry[1]), _lines(entry[2]), former))
            position += 3
    if current is not None:
        yield current


def _commit(values: Sequence[str]) -> Commit:
    full, short, author, email, date, parents, subject, body = values
    return Commit(full, short, author, email, date, parents.split(), subject, body.strip())


def _lines(text: str) -> int:
    # A binary file has "-" in the place of its numbers.
    return 0 if text == "-" else int(text)
