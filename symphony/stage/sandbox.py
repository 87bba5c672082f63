"""From grants to a launch: what a sandbox shows, may use and starts, as the launcher's spec."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from symphony.errors import BadInput, EnvironmentLacks
from symphony.stage.repository_folders import repository_folders

LIBRARY = "/opt/symphony/lib"
"""Where the SDK and its one dependency are, inside."""
EXTENSION = "/extension"
TEMPLATE_LIBRARY = "/opt/symphony/template.so"
SOCKET = "/run/symphony/stage.sock"
SCRATCH = "/tmp"
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
PRIVATE = ("/proc", "/dev", "/sys")
"""What every sandbox has of its own; a grant cannot reach the host's."""

DEFAULT_MEMORY = 4 << 30
DEFAULT_CPU = 2.0
LIMITS = {"processes": 512, "files": 4096, "file_size": 1 << 30}
SCRATCH_QUOTA = {"size": 512 << 20, "inodes": 65_536}

_GRAPHICS = re.compile(r"nvidia[0-9]+|nvidiactl|nvidia-uvm|kfd|dri/renderD[0-9]+")

GIT_ENVIRONMENT = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}
"""git works on a project of any owner, writes nothing on its own and asks nobody."""


def spec_for(
    grants: Iterable[object],
    *,
    argv: Sequence[str],
    project: Path | None = None,
    extension_dir: Path | None = None,
    socket: Path | None = None,
    workdir: Path | None = None,
    cwd: Path | None = None,
    memory: int = DEFAULT_MEMORY,
    cpu: float = DEFAULT_CPU,
    env: Mapping[str, str] | None = None,
    allow_missing: Sequence[str] = (),
) -> dict[str, Any]:
    """The spec of `pit_native.sandbox_spawn` for a program that has `grants`.

    A grant on a whole tree (`read:project/**`, `write:project/**`, or an absolute folder) is a mount;
    writing goes to a private layer; `gpu:*` shows the devices of graphics processors. Finer patterns and all
    other capabilities are the broker's and change nothing here. `workdir` is shown read-write at its own path.
    `cwd` is the folder to start in: default `workdir`, else the project if it is shown, else the scratch folder.
    `memory` is in bytes, `cpu` in cores.

    Raises BadInput for a folder that does not exist or cannot be shown.
    """
    layout = _Layout()
    layout.show_python()
    if extension_dir is not None:
        layout.show(extension_dir.resolve(), at=EXTENSION)
    if socket is not None:
        layout.show(socket.resolve(), at=SOCKET)
    written = [str(grant) for grant in grants]
    is_project_shown = _show_granted(layout, written, project)
    if workdir is not None:
        layout.show(_folder(workdir), mode="read_write")
    layout.show_program(argv[0], extension_dir)
    start = cwd or workdir or (project if is_project_shown else None) or Path(SCRATCH)
    return {
        "argv": list(argv),
        "env": list({**_environment(layout.path), **(env or {})}.items()),
        "cwd": str(start.resolve() if start.exists() else start),
        "mounts": layout.mounts,
        "links": layout.links,
        **({"devices": graphics_devices(_device_names())} if "gpu:*" in written else {}),
        "scratch": dict(SCRATCH_QUOTA),
        "limits": {**LIMITS, "memory": int(memory), "cpu": float(cpu)},
        "loopback": True,
        "allow_missing": list(allow_missing),
    }


def player_spec(
    grants: Iterable[object],
    *,
    extension_dir: Path | None,
    entry: str = "player.py",
    project: Path | None = None,
    socket: Path | None = None,
    memory: int = DEFAULT_MEMORY,
    cpu: float = DEFAULT_CPU,
    env: Mapping[str, str] | None = None,
    allow_missing: Sequence[str] = (),
) -> dict[str, Any]:
    """The spec of a Python Player. Whoever launches it adds the mount of its socket at `SOCKET`, or names it here.

    Such a Player has no network at all, not even to itself, and may execute nothing but its interpreter
    (where the kernel has Landlock).
    """
    boot = f"{LIBRARY}/symphony/sdk/boot.py"
    python = base_python()
    spec = spec_for(
        grants,
        argv=[str(python), "-I", "-S", "-B", boot],
        project=project,
        extension_dir=extension_dir,
        socket=socket,
        cwd=Path(SCRATCH),
        memory=memory,
        cpu=cpu,
        env={"SYMPHONY_SOCKET": SOCKET, "SYMPHONY_ENTRY": f"{EXTENSION}/{entry}", **(env or {})},
        allow_missing=allow_missing,
    )
    for name, folder in _libraries().items():
        spec["mounts"].append(_mount(folder, f"{LIBRARY}/{name}", "read_only"))
    spec["loopback"] = False
    spec["executables"] = executables_of(python)
    return spec


def template_spec(native: Path, *, allow_missing: Sequence[str] = ()) -> dict[str, Any]:
    """The spec of the template from which Players are copied: a Player with no extension, no project and no
    grant, whose interpreter loads the library `native` and waits.
    """
    spec = player_spec([], extension_dir=None, allow_missing=allow_missing)
    spec["mounts"].append(_mount(native.resolve(), TEMPLATE_LIBRARY, "read_only"))
    spec["env"] = [pair for pair in spec["env"] if not pair[0].startswith("SYMPHONY_")]
    spec["env"].append(("SYMPHONY_TEMPLATE", TEMPLATE_LIBRARY))
    return spec


def template_sources(launcher: Path, native: Path) -> list[Path]:
    """The files and folders from which a template is made: when one changes, so must the template."""
    # Shown to its copies as the files that they were, so that one put in their place would not be seen.
    shown = (path for path in map(Path, ("/etc/ld.so.cache", "/etc/localtime")) if path.exists())
    made = (launcher.resolve(), native.resolve(), base_python(), Path(os.__file__))
    return [*made, *_libraries().values(), *shown]


@lru_cache(maxsize=1)
def base_python() -> Path:
    """The interpreter under the virtual environment in which this host runs."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


@lru_cache(maxsize=1)
def _libraries() -> dict[str, Path]:
    """All that a Python Player imports beside its own files: name under `LIBRARY` → folder of the host."""
    found = {}
    for name in ("symphony.sdk", "msgpack"):
        module = importlib.util.find_spec(name)
        if module is None or not module.submodule_search_locations:
            raise EnvironmentLacks(f"The package {name} is not installed", remedy="run `make build`")
        found[name.replace(".", "/")] = Path(module.submodule_search_locations[0]).resolve()
    return found


def executables_of(program: Path) -> list[str]:
    """What may be executed so that `program` alone runs: itself, and the dynamic loaders."""
    loaders = {*Path("/").glob("lib*/ld-*.so*"), *Path("/").glob("lib*/*/ld-*.so*")}
    return [str(program), *sorted({str(name.resolve()) for name in loaders})]


def graphics_devices(names: Iterable[str]) -> list[str]:
    """Of the names under `/dev`, the paths of those through which programs compute on graphics processors: no node
    that switches displays or changes a driver's settings. The launcher takes no others.
    """
    return sorted(f"/dev/{name}" for name in names if _GRAPHICS.fullmatch(name))


def _device_names() -> Iterator[str]:
    for folder in ("", "dri/"):
        place = Path("/dev", folder)
        if place.is_dir():
            yield from (folder + entry.name for entry in place.iterdir())


def _environment(path: Sequence[str]) -> dict[str, str]:
    return {
        "PATH": ":".join([*path, *SYSTEM_PATH]),
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        "USER": "player",
        "LOGNAME": "player",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **GIT_ENVIRONMENT,
    }


def _show_granted(layout: _Layout, grants: Sequence[str], project: Path | None) -> bool:
    """Mounts what is granted as a whole; true when the project is."""
    modes: dict[Path, str] = {}
    root = _folder(project) if project is not None else None
    for grant in grants:
        kind, _, target = grant.partition(":")
        folder = _whole_tree(target, root)
        if kind not in ("read", "write") or folder is None:
            continue
        if kind == "write" or folder not in modes:
            modes[folder] = "overlay" if kind == "write" and folder.is_dir() else "read_only"
    for folder, mode in modes.items():
        if folder == root:
            for beside in repository_folders(root):
                layout.show(beside, is_granted=True)
        layout.show(folder, mode=mode, is_granted=True)
    return root in modes


def _whole_tree(target: str, project: Path | None) -> Path | None:
    """The folder (or the one file) that a pattern names without wildcards; None when it is the broker's."""
    tree = target.removesuffix("/**").rstrip("/") or "/"
    if any(wildcard in tree for wildcard in "*?["):
        return None
    if tree.startswith("/"):
        place = Path(tree).resolve()
        if not place.exists():
            raise BadInput(f"The granted {tree} does not exist", remedy="check its path")
        return place
    return project if tree == "project" and target.endswith("/**") else None


def _folder(path: Path) -> Path:
    place = path.resolve()
    if not place.is_dir():
        raise BadInput(f"The folder {path} does not exist", remedy="check its path")
    return place


def _mount(source: Path, target: str, mode: str, *, plain: bool = False) -> dict[str, Any]:
    return {"source": str(source), "target": target, "mode": mode, "plain": plain}


class _Layout:
    """Collects mounts, links and search path; a later mount at the same place takes over from an earlier one."""

    def __init__(self) -> None:
        self._mounts: dict[str, dict[str, Any]] = {}
        self.links: list[dict[str, str]] = []
        self.path: list[str] = []

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """In the order in which they were first shown."""
        return list(self._mounts.values())

    def show(
        self, source: Path, *, at: str | None = None, mode: str = "read_only", is_granted: bool = False
    ) -> None:
        """Shows `source` at `at`, by default its own path. Of what is granted for reading only files, folders and
        links: behind a named pipe or a socket there is a process of the host."""
        target = at or str(source)
        if target == "/" or any(target == p or target.startswith(p + "/") for p in PRIVATE):
            raise BadInput(
                f"{target} cannot be shown in a sandbox", remedy="grant the folder that is needed instead"
            )
        self._mounts[target] = _mount(source, target, mode, plain=is_granted and mode == "read_only")

    def show_python(self) -> None:
        """The base interpreter's installation, where it is not the system's."""
        for prefix in dict.fromkeys((sys.base_prefix, sys.base_exec_prefix)):
            place = Path(prefix).resolve()
            if _is_system(place):
                continue
            self.show(place)
            self.path.append(str(place / "bin"))

    def show_program(self, name: str, extension_dir: Path | None) -> None:
        """Makes the program `name` findable: the extension's own, or the one this host would run."""
        if extension_dir is not None:
            self.path.insert(0, f"{EXTENSION}/vendor/bin")
            if "/" not in name and os.access(extension_dir / "vendor" / "bin" / name, os.X_OK):
                return
        found = Path(name) if "/" in name else _on_path(name)
        if found is None or not found.is_absolute() or not found.is_file():
            return  # the launcher says that it does not exist
        place = found.resolve()
        if not _is_system(place):
            self.show_file(place)
        if place != found and not _is_system(found):
            self._link(found, place)
        if "/" not in name and str(found.parent) not in (*self.path, *SYSTEM_PATH):
            self.path.append(str(found.parent))

    def show_file(self, place: Path) -> None:
        """Shows one file, unless a folder around it is shown at its own path already."""
        around = (mount for mount in self.mounts if mount["source"] == mount["target"])
        if not any(place.is_relative_to(mount["target"]) for mount in around):
            self.show(place)

    def _link(self, path: Path, target: Path) -> None:
        if not any(path.is_relative_to(mount["target"]) for mount in self.mounts):
            self.links.append({"path": str(path), "target": str(target)})


def _is_system(path: Path) -> bool:
    """Whether every sandbox shows `path` anyway."""
    return any(path.is_relative_to(root) for root in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"))


def _on_path(name: str) -> Path | None:
    """The program that this host's PATH names; folders that are not absolute are passed over."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder) / name
        if candidate.is_absolute() and os.access(candidate, os.X_OK) and candidate.is_file():
            return candidate
    return None
