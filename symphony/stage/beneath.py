"""Files beneath one folder: every path is resolved by the kernel, which leaves the folder by no link and no `..`."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

_RESOLVE_BENEATH = 0x08
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_SYS_OPENAT2 = 437
_FOLDER = os.O_PATH | os.O_DIRECTORY


class Beneath:
    """An open folder. Paths are relative to it, and no part of one, the last included, may be a symbolic link.

    Methods raise OSError: ELOOP for a link on the way, EXDEV for a path that leads out.
    """

    def __init__(self, root: Path | int) -> None:
        """`root` is a folder's path, or a descriptor of one, which is duplicated."""
        if isinstance(root, int):
            self._top = os.dup(root)
        else:
            self._top = os.open(root, _FOLDER | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the folder."""
        if self._top >= 0:
            os.close(self._top)
            self._top = -1

    def open(self, path: str, flags: int, mode: int = 0, *, may_link: bool = False) -> int:
        """A descriptor of what `path` names; "." is the folder itself. With `may_link` links are followed that
        stay beneath the folder."""
        resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | (0 if may_link else _RESOLVE_NO_SYMLINKS)
        how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, mode, resolve)
        name = os.fsencode(path)
        if b"\0" in name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        descriptor = _libc().syscall(_SYS_OPENAT2, self._top, name, how, ctypes.sizeof(how))
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return int(descriptor)

    @contextlib.contextmanager
    def folder_of(self, path: str) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that holds `path`, and the last part of it."""
        folder, name = posixpath.split(path)
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        place = self.open(folder or ".", _FOLDER)
        try:
            yield place, name
        finally:
            os.close(place)

    def status(self, path: str) -> os.stat_result | None:
        """What `path` itself is; None when there is nothing. A link is not followed."""
        try:
            with self.folder_of(path) as (place, name):
                return os.stat(name, dir_fd=place, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def status_of_top(self) -> os.stat_result:
        """What the folder itself is."""
        return os.fstat(self._top)

    def names(self, path: str) -> list[str]:
        """What the folder `path` holds, sorted."""
        place = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return sorted(os.listdir(place))  # noqa: PTH208  a path cannot name a descriptor
        finally:
            os.close(place)

    def link_target(self, path: str) -> str:
        """Where the link `path` points."""
        with self.folder_of(path) as (place, name):
            return os.readlink(name, dir_fd=place)

    def read(self, path: str, limit: int) -> bytes | None:
        """The content of a regular file; None when it is longer than `limit` bytes. EINVAL for what is no
        regular file."""
        # Non-blocking, so that a FIFO cannot hold the thread.
        with os.fdopen(self.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "is no regular file", path)
            content = file.read(limit + 1)
        return content if len(content) <= limit else None

    def digest(self, path: str) -> str:
        """SHA-256 of a regular file's content, of any length."""
        with os.fdopen(self.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "is no regular file", path)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def replace(self, path: str, content: bytes, temporary: str, mode: int | None = None) -> None:
        """Writes a file by the temporary name beside it and a rename: a reader sees the old one or the new one.

        A new file belongs to whom its folder belongs, and a replaced one to whom it belonged. `mode` None is
        that of any new file.
        """
        with self.folder_of(path) as (place, name):
            descriptor = os.open(
                temporary,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o644 if mode is None else 0o600,
                dir_fd=place,
            )
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    _keep_owner(place, name, file.fileno())
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(temporary, name, src_dir_fd=place, dst_dir_fd=place)
            except BaseException:
                os.unlink(temporary, dir_fd=place)
                raise

    def replace_by_link(self, path: str, target: str, temporary: str) -> None:
        """As `replace`, with a symbolic link."""
        with self.folder_of(path) as (place, name):
            os.symlink(target, temporary, dir_fd=place)
            try:
                os.rename(temporary, name, src_dir_fd=place, dst_dir_fd=place)
            except BaseException:
                os.unlink(temporary, dir_fd=place)
                raise

    def make_folder(self, path: str, mode: int = 0o755) -> None:
        """Makes one folder; nothing happens when it is there."""
        with self.folder_of(path) as (place, name):
            try:
                os.mkdir(name, mode, dir_fd=place)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
                    raise
                return
            if os.geteuid() == 0:
                around = os.fstat(place)
                os.chown(name, around.st_uid, around.st_gid, dir_fd=place, follow_symlinks=False)

    def make_folders(self, path: str) -> None:
        """Makes a folder with all above it."""
        made = ""
        for part in Path(path).parts:
            made = f"{made}/{part}" if made else part
            self.make_folder(made)

    def remove(self, path: str) -> None:
        """Removes a file, a link or an empty folder."""
        with self.folder_of(path) as (place, name):
            if stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
                os.rmdir(name, dir_fd=place)
            else:
                os.unlink(name, dir_fd=place)

    def sync(self, path: str) -> None:
        """Makes the names in the folder `path` durable."""
        place = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def _keep_owner(place: int, name: str, written: int) -> None:
    """What the superuser writes into somebody's folder belongs to them."""
    if os.geteuid() != 0:
        return
    try:
        owner = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        owner = os.fstat(place)
    os.fchown(written, owner.st_uid, owner.st_gid)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
