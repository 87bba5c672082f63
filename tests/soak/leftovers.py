"""What a host leaves outside of its own memory: processes, sockets, memory files, mounts, control groups, folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
KEPT_IN_HOME = frozenset(
    {
        *(
            "lock",
            "config.toml",
            "store",
            "tiers.sqlite",
            "runs",
            "logs",
            "extensions",
            "audit.jsonl",
            "cache",
        ),
        *("output", "state.sqlite", "sockets", "last_project.json", "crashes.json", "usage.json", "habits"),
        *("audit-key", "learning", "pages.sqlite", "actions.sqlite"),
    }
)
"""What a home holds after its host has ended; databases may have their companions."""
FREE_NAMES = ("extensions", "store/index")
"""Folders in which others give the names."""


def pss(pid: int) -> int:
    """The proportional set size of a process in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no Pss of process {pid}")


def family(pid: int) -> set[int]:
    """All processes below one, those included that nobody has collected."""
    children: dict[int, list[int]] = {}
    for number, stat in _stats():
        children.setdefault(int(stat[1]), []).append(number)
    found, ahead = set[int](), [pid]
    while ahead:
        ahead = [child for parent in ahead for child in children.get(parent, [])]
        found.update(ahead)
    return found


def groups(hosts: set[int]) -> set[str]:
    """The control groups of these processes."""
    names = tuple(f"symphony-{pid}-" for pid in hosts)
    return {folder for folder, _, _ in os.walk(GROUPS) if Path(folder).name.startswith(names)}


def processes(home: Path) -> set[str]:
    """Processes that belong to a home: by their environment, their files or what they have mounted."""
    found = set()
    mark = str(home).encode()
    for number, stat in _stats():
        if number == os.getpid() or stat[0] in ("Z", "X"):
            continue
        try:
            own = Path(f"/proc/{number}/environ").read_bytes()
            mounted = Path(f"/proc/{number}/mountinfo").read_bytes()
        except OSError:
            continue
        if b"SYMPHONY_HOME=" + mark in own or mark in mounted:
            name = Path(f"/proc/{number}/comm").read_text().strip()
            found.add(f"process {number} ({name})")
    return found


def left(home: Path, scratch: Path, hosts: set[int], before: set[str]) -> list[str]:
    """Everything that is there after the last of the `hosts` of a home has ended and should not be. `scratch` was
    their TMPDIR, `before` the mounts and the shared memory of before.
    """
    found = [*sorted(processes(home))]
    found += [f"control group {group}" for group in sorted(groups(hosts))]
    found += [f"mount {mount}" for mount in sorted(mounts() - before) if str(home) in mount]
    found += [f"shared memory {path}" for path in sorted(shared_memory() - before)]
    found += [f"temporary {path.name}" for path in sorted(scratch.iterdir())]
    found += [f"socket {path.name}" for path in sorted((home / "sockets").glob("*"))]
    for path in sorted(home.iterdir()):
        name = path.name.removesuffix("-wal").removesuffix("-shm")
        if name not in KEPT_IN_HOME:
            found.append(f"in the home: {path.name}")
    found += [f"half-written {path.relative_to(home)}" for path in sorted(_half_written(home))]
    return found


def mounts() -> set[str]:
    """The mount points of this process's namespace."""
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def shared_memory() -> set[str]:
    """Names under /dev/shm."""
    try:
        return {path.name for path in Path("/dev/shm").iterdir()}
    except OSError:
        return set()


def _half_written(home: Path) -> Iterator[Path]:
    """Files that were to replace others and never did."""
    for folder, _, names in os.walk(home):
        if any(Path(folder).is_relative_to(home / own) for own in FREE_NAMES):
            continue
        for name in names:
            if name.startswith(".") or name.endswith((".new", ".tmp")):
                yield Path(folder) / name


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Of each process its number, and of its `stat` what follows the name: state, parent, …"""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
