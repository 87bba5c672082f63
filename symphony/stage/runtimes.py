"""How a Player starts, by the `runtime` of its manifest: the same sandbox with the same grants for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from symphony.errors import EnvironmentLacks
from symphony.stage.manifest import Manifest
from symphony.stage.sandbox import EXTENSION, LIBRARY, SCRATCH, SOCKET, executables_of, player_spec, spec_for

ADAPTER = f"{LIBRARY}/symphony/sdk/mcp/player.py"


def launch_spec(
    manifest: Manifest, grants: Iterable[object], *, extension_dir: Path, **options: Any
) -> dict[str, Any]:
    """The spec of the Player of an extension; `options` are those of `player_spec`.

    Raises EnvironmentLacks when this machine has not the program that an MCP server is started with.
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
    spec = player_spec(grants, extension_dir=extension_dir, **options)
    spec["env"] = [
        *((name, value) for name, value in spec["env"] if name != "SYMPHONY_ENTRY"),
        ("SYMPHONY_ENTRY", ADAPTER),
        ("SYMPHONY_MCP", EXTENSION),
    ]
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
