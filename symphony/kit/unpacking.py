"""Puts a verified package's files into a folder, all or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path

from symphony.config.files import sync_folder
from symphony.errors import EnvironmentLacks, StorageFull
from symphony.kit.package import Package

INCOMING = ".incoming"
"""Folder of what is being unpacked; whatever lies in it after a crash is rubbish."""


def unpack(package: Package, root: Path, target: str) -> None:
    """Writes the files to `root/target`, which appears whole and synced, or not at all.

    Raises StorageFull when the disk is full; then nothing is left behind.
    """
    staging = root / INCOMING / uuid.uuid4().hex
    try:
        _write_files(package, staging)
        place = root / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():  # left by a crash before the state named it
            shutil.rmtree(place)
        staging.rename(place)
        for folder in (place.parent, place.parent.parent):
            sync_folder(folder)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        name = package.manifest.name
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"The disk is full, {name} was not installed", remedy="free some space"
            ) from None
        raise EnvironmentLacks(
            f"{name} cannot be written to {root}: {error.strerror}", remedy="check that folder"
        ) from None


def _write_files(package: Package, folder: Path) -> None:
    folders = {folder}
    for path, content in package.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        folders.add(file.parent)
        # Names were checked when the package was read; O_EXCL and O_NOFOLLOW hold even if they were not.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(file, flags, 0o755 if content.is_executable else 0o644)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.data)
            stream.flush()
            os.fsync(stream.fileno())
    for each in folders:
        sync_folder(each)


def remove_strangers(root: Path, known: set[str]) -> list[str]:
    """Removes folders `publisher/name/version` that are not `known`, and all that was being unpacked."""
    removed = []
    shutil.rmtree(root / INCOMING, ignore_errors=True)
    for place in root.glob("*/*/*"):
        target = place.relative_to(root).as_posix()
        if place.is_dir() and target not in known:
            shutil.rmtree(place, ignore_errors=True)
            removed.append(target)
    for folder in [*root.glob("*/*"), *root.glob("*")]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return removed
