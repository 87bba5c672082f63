"""Writes a view as a folder that overlayfs can show over the project; nothing of it is written afterwards."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from symphony.stage.beneath import Beneath
from symphony.stage.changes.model import State
from symphony.stage.changes.view import View

_TEMPORARY = ".symphony-layer"


def write_layer(view: View, project: Beneath, place: Path) -> None:
    """Makes the folder `place`, all of it or, after a kill, nothing. What is removed in the view is a device of
    number 0:0, the kernel's sign for it, which anybody may make.

    Raises OSError.
    """
    if place.exists():
        return
    unfinished = place.with_name(f"{place.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a host that was killed
    unfinished.mkdir(parents=True)
    top = project.status_of_top()
    unfinished.chmod(stat.S_IMODE(top.st_mode) | 0o700)
    with Beneath(unfinished) as layer:
        for path in sorted(view.states):
            # A sign of removal where nothing is to be removed would be listed as a file.
            is_needed = view.states[path].kind != "absent" or _is_there(project, path)
            if is_needed and _has_place(layer, path, view, project):
                _write(layer, path, view.states[path], view)
    unfinished.rename(place)


def _is_there(project: Beneath, path: str) -> bool:
    try:
        return project.status(path) is not None
    except OSError:  # behind a link
        return False


def _has_place(layer: Beneath, path: str, view: View, project: Beneath) -> bool:
    """Makes the folders around a path, as the project has them; false where something else stands in their place."""
    parts = path.split("/")
    for end in range(1, len(parts)):
        around = "/".join(parts[:end])
        made = layer.status(around)
        if made is None:
            below = view.over(project).status(around)
            if below is None or not stat.S_ISDIR(below.st_mode):
                return False
            layer.make_folder(around, stat.S_IMODE(below.st_mode) & 0o777 | 0o700)
        elif not stat.S_ISDIR(made.st_mode):
            return False
    return True


def _write(layer: Beneath, path: str, state: State, view: View) -> None:
    if state.kind == "absent":
        with layer.folder_of(path) as (folder, name):
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
    elif state.kind == "folder":
        layer.make_folder(path, state.mode & 0o777 | 0o700)
    elif state.kind == "link":
        layer.replace_by_link(path, state.target, _TEMPORARY)
    elif state.kind == "file":
        with layer.folder_of(path) as (folder, name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(name, flags, state.mode, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:  # not synced: it is made again where it is missing
            os.fchmod(file.fileno(), state.mode)
            file.write(view.contents[state.digest])
