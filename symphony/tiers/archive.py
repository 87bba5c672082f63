"""A folder as a tier, best on another disk: a file an object, complete by its rename."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from symphony.errors import NotFound, StorageFull, TierUnreachable
from symphony.tiers.tier import PIECE, unreachable

MARK = "symphony-archive"
"""A file that says that the folder is an archive: an empty mount point is not taken for one."""
_FULL = (28, 122)  # ENOSPC, EDQUOT


class ArchiveTier:
    """Objects are `AB/CDEF…` under `folder`, which must exist and is marked at its first use."""

    name = "archive"

    def __init__(self, folder: Path, *, is_new: bool) -> None:
        """`is_new` says that nothing was ever kept there, so that the folder may be marked."""
        self._folder = folder
        if is_new and folder.is_dir():
            (folder / MARK).touch(mode=0o600)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]

    def _ready(self) -> None:
        if not (self._folder / MARK).exists():
            why = FileNotFoundError(f"there is no file {MARK} in it")
            raise unreachable("archive", str(self._folder), why, "mount the disk on which the archive is")

    def _failed(self, error: OSError) -> TierUnreachable | StorageFull:
        if error.errno in _FULL:
            return StorageFull(
                f"There is no space left in the archive {self._folder}",
                remedy="free some there, or choose another folder in pit.stale.archive.folder",
            )
        return unreachable("archive", str(self._folder), error, "check the disk of the archive")

    def write(self, key: str, pieces: Iterable[bytes]) -> int:
        """See Tier. Raises StorageFull."""
        self._ready()
        path = self._path(key)
        beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        size = 0
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for piece in pieces:
                    size += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _sync(path.parent)
            _sync(self._folder)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise self._failed(error) from error
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        return size

    def read(self, key: str) -> Iterator[bytes]:
        """See Tier."""
        self._ready()
        try:
            with self._path(key).open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        except FileNotFoundError:
            raise NotFound(f"The archive does not hold {key}") from None
        except OSError as error:
            raise self._failed(error) from error

    def size(self, key: str) -> int | None:
        """See Tier."""
        self._ready()
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from error

    def remove(self, key: str) -> bool:
        """See Tier."""
        self._ready()
        path = self._path(key)
        try:
            path.unlink()
            _sync(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._failed(error) from error
        return True

    def _files(self) -> Iterator[Path]:
        return (file for folder in self._folder.glob("[0-9a-f][0-9a-f]") for file in folder.iterdir())

    def keys(self) -> Iterator[str]:
        """See Tier."""
        self._ready()
        return (file.parent.name + file.name for file in self._files() if file.suffix != ".part")

    def tidy(self) -> int:
        """See Tier."""
        self._ready()
        left = [file for file in self._files() if file.suffix == ".part"]
        for file in left:
            file.unlink(missing_ok=True)
        return len(left)

    def check(self) -> str:
        """See Tier."""
        self._ready()
        return str(self._folder)


def _sync(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
