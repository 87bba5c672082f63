"""The processes below one, each of which may end while it is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def descendants(pid: int | None = None) -> Iterator[tuple[psutil.Process, str]]:
    """Each process below `pid` (this one without it) with its name; those that end meanwhile are left out."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for process in below:
        try:
            name = process.name()
        except psutil.Error:
            continue
        yield process, name


def descendants_named(name: str, pid: int | None = None) -> list[psutil.Process]:
    """Those whose program has `name` in its name."""
    return [process for process, called in descendants(pid) if name in called]


def mounting(process: psutil.Process) -> str:
    """What it has mounted, as mountinfo says; nothing once it has ended."""
    try:
        return Path(f"/proc/{process.pid}/mountinfo").read_text(errors="replace")
    except OSError:
        return ""


def ended(process: psutil.Process) -> bool:
    """Whether it runs no more; one that nobody has waited for yet has ended, too."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
