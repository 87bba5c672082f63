"""Which folders git needs to see for a project. Reads files, never runs git."""

from __future__ import annotations

from pathlib import Path

LARGEST_POINTER = 64 << 10
"""Bytes of a `.git` file, `commondir` or `alternates` that are believed."""


def repository_folders(project: Path) -> list[Path]:
    """The folders to show beside `project` so that git works in it; empty when it is in no repository.

    A project's own files decide what is added, and a project may be hostile: a folder counts only if it
    looks like a git directory, and a linked worktree only if its git directory points back at it.
    """
    for folder in (project, *project.parents):
        marker = folder / ".git"
        if marker.is_dir():
            return [folder, *_borrowed(marker)] if _is_git_directory(marker) else []
        if marker.is_file():
            return [folder, *_linked(marker)]
    return []


def _linked(marker: Path) -> list[Path]:
    """What a `.git` file of a worktree or submodule points to."""
    text = _read(marker)
    if not text.startswith("gitdir:"):
        return []
    directory = (marker.parent / text.removeprefix("gitdir:").strip()).resolve()
    common_name = _read(directory / "commondir")
    if common_name:
        points_back = (directory / _read(directory / "gitdir")).resolve() == marker.resolve()
        common = (directory / common_name).resolve()
        if points_back and _is_git_directory(common) and directory.is_relative_to(common):
            return [common, *_borrowed(common)]
        return []
    # A submodule's directory has no pointer back; it lies in the `modules` of a git directory above it.
    inside_modules = any(
        parent.name == "modules" and _is_git_directory(parent.parent) for parent in directory.parents
    )
    if inside_modules and _is_git_directory(directory):
        return [directory, *_borrowed(directory)]
    return []


def _borrowed(directory: Path) -> list[Path]:
    """Object stores of other repositories, of clones made with --shared or --reference."""
    found = []
    for line in _read(directory / "objects" / "info" / "alternates").splitlines():
        store = (directory / "objects" / line).resolve()
        if store.name == "objects" and _is_git_directory(store.parent):
            found.append(store)
    return found


def _is_git_directory(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_POINTER).decode("utf-8", "surrogateescape").strip()
    except OSError:
        return ""
