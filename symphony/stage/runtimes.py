"""How a Player starts, by the `runtime` of its manifest: the same sandbox with the same grants for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from symphony.errors import EnvironmentLacks
from symphony.stage.manifest import Manifest
from symphony.stage.sandbox import (
    EXTENSION,
    LIBRARY,
    SCRATCH,
    SOCKET,
    base_python,
    executables_of,
    player_spec,
    spec_for,
)

ADAPTER = f"{LIBRARY}/symphony/sdk/mcp/player.py"
PROGRAM = f"{LIBRARY}/symphony/sdk/mcp/program.py"
"""What stands inside for programs that the host runs; it begins with the name `PYTHON`."""
PROGRAMS, PYTHON = "/opt/symphony/bin", "/opt/symphony/python"


def launch_spec(
    manifest: Manifest, grants: Iterable[object], *, extension_dir: Path, **options: Any
) -> dict[str, Any]:
    """The spec of the Player of an extension; `options` are those of `player_spec`.

    Raises EnvironmentLacks when this machine has not the program that an MCP server is started with, or cannot
    execute what stands for those that it was granted.
    """
    if manifest.extension.runtime == "process":
        return _process_spec(manifest, grants, extension_dir=extension_dir, **options)
    if manifest.mcp is not None:
        return _mcp_spec(manifest.mcp.command[0], grants, extension_dir=extension_dir, **options)
    return player_spec(grants, extension_dir=extension_dir, entry=manifest.extension.entry, **options)


def _process_spec(
    manifest: Manifest, grants: Iterable[object], *, extension_dir: Path, **options: Any
) -> dict[str, Any]:
    """A program of any language that speaks the stage protocol: the entry itself, which executes nothing else."""
    program = f"{EXTENSION}/{manifest.extension.entry}"
    is_stdio = manifest.extension.transport == "stdio"
    env = {
        **({"SYMPHONY_TRANSPORT": "stdio"} if is_stdio else {"SYMPHONY_SOCKET": SOCKET}),
        "SYMPHONY_ENTRY": program,
        **(options.pop("env", None) or {}),
    }
    spec = spec_for(
        grants, argv=[program], extension_dir=extension_dir, cwd=Path(SCRATCH), env=env, **options
    )
    spec["loopback"] = False
    spec["executables"] = executables_of(Path(program))
    return spec


def _mcp_spec(
    program: str, grants: Iterable[object], *, extension_dir: Path, **options: Any
) -> dict[str, Any]:
    """The SDK's adapter as the Player; it may execute its server, too."""
    written = [str(grant) for grant in grants]
    spec = player_spec(written, extension_dir=extension_dir, **options)
    spec["env"] = [
        *((name, value) for name, value in spec["env"] if name != "SYMPHONY_ENTRY"),
        ("SYMPHONY_ENTRY", ADAPTER),
        ("SYMPHONY_MCP", EXTENSION),
    ]
    _show_programs(spec, written)
    if program == "python":
        return spec
    if (extension_dir / program).is_file():
        spec["executables"].append(f"{EXTENSION}/{program}")
        return spec
    found = shutil.which(program)
    if found is None:
        raise EnvironmentLacks(
            f"The program {program}, which the extension's server needs, is not installed",
            remedy=f"install {program}",
        )
    place = str(Path(found).resolve())
    spec["executables"].append(place)
    if not place.startswith(("/usr/", "/bin/", "/lib")):
        spec["mounts"].append({"source": place, "target": place, "mode": "read_only"})
    return spec


def _show_programs(spec: dict[str, Any], grants: Iterable[str]) -> None:
    """Puts what stands for each program that was granted by name on the PATH: the host runs it, in a sandbox of its
    own. A server knows of no other way to ask for a program than to start it."""
    named = [name for kind, _, name in (grant.partition(":") for grant in grants) if kind == "exec"]
    names = [name for name in named if "*" not in name and "/" not in name]
    if not names:
        return
    stands_in = Path(__file__).parents[1] / "sdk" / "mcp" / "program.py"
    if not os.access(stands_in, os.X_OK):
        raise EnvironmentLacks(
            f"{stands_in}, which stands for programs in the sandbox, cannot be executed",
            remedy=f"chmod +x {stands_in}",
        )
    spec["links"].append({"path": PYTHON, "target": str(base_python())})
    spec["links"] += [{"path": f"{PROGRAMS}/{name}", "target": PROGRAM} for name in names]
    spec["executables"].append(PROGRAM)
    path = next(value for name, value in spec["env"] if name == "PATH")
    spec["env"] = [
        *((name, value) for name, value in spec["env"] if name != "PATH"),
        ("PATH", f"{PROGRAMS}:{path}"),
        ("SYMPHONY_PROGRAMS", f"{SCRATCH}/.programs"),
    ]
