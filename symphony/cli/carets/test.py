"""`carets test`: what an extension can be checked for without a host, then its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.output import Mode, common, say
from symphony.errors import SymphonyError

if TYPE_CHECKING:
    from symphony.stage.manifest import Manifest


def _broken(message: str, remedy: str) -> SymphonyError:
    return SymphonyError(message, remedy=remedy, code="broken_extension")


@click.command("test")
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@common
def test(mode: Mode, folder: Path) -> None:
    """Check the extension in FOLDER: its manifest, that its entry has the functions that it declares, that it
    packs to the same bytes twice, and the tests in FOLDER/tests (unittest), without a host or a sandbox.
    """
    from symphony.stage.manifest import load_manifest

    folder = folder.resolve()
    manifest = load_manifest(folder)
    checks: dict[str, Callable[[Path, Manifest], str]] = {
        "manifest": lambda _folder, manifest: f"{manifest.name} {manifest.version}",
        "functions": _functions,
        "package": _package,
        "tests": _tests,
    }
    said = {}
    for name, check in checks.items():
        said[name] = check(folder, manifest)
        if not mode.json:
            say(f"✓ {name}: {said[name]}")
    mode.show({"name": manifest.name, "checks": said}, lambda: None)


def _functions(folder: Path, manifest: Manifest) -> str:
    declared = sorted(table.name for table in manifest.function_tables)
    runtime = manifest.extension.runtime
    if runtime == "python":
        found = _registered(folder, manifest.extension.entry)
        if found != declared:
            raise _broken(
                f"The manifest declares {_names(declared)}, the entry has {_names(found)}",
                remedy="make them the same",
            )
    elif runtime == "process":
        if not os.access(folder / manifest.extension.entry, os.X_OK):
            raise _broken(
                f"{manifest.extension.entry} is no program", remedy="build it, and make it executable"
            )
    elif runtime == "mcp":
        from symphony.sdk.mcp.definitions import PINS

        if not (folder / PINS).is_file():
            raise _broken(f"{PINS} is missing", remedy="make it with `carets mcp`")
    return _names(declared)


def _names(functions: list[str]) -> str:
    return ", ".join(functions) or "nothing"


def _registered(folder: Path, entry: str) -> list[str]:
    """The functions of an entry, loaded in a process of its own: it is the author's code, not this command's."""
    script = "import sys; from symphony.sdk.testing import Harness; print(*Harness(sys.argv[1]).functions)"
    done = _python(folder, "-c", script, str(folder / entry))
    if done.returncode != 0:
        raise _broken(
            f"{entry} cannot be loaded: {(done.stderr.strip().splitlines() or ['no reason was given'])[-1]}",
            remedy="correct it; `python " + entry + "` shows the whole traceback",
        )
    return sorted(done.stdout.split())


def _package(folder: Path, _manifest: Manifest) -> str:
    from symphony.kit.package import pack

    data = pack(folder)
    if data != pack(folder):
        raise _broken(
            "Packing twice gives different bytes", remedy="let nothing write into the folder meanwhile"
        )
    return f"{len(data)} bytes, the same twice"


def _tests(folder: Path, _manifest: Manifest) -> str:
    if not (folder / "tests").is_dir():
        return "none; write some into tests/"
    done = _python(folder, "-m", "unittest", "discover", "-s", "tests", "-t", "tests")
    if done.returncode != 0:
        say(done.stderr, err=True)
        raise _broken("The extension's tests fail", remedy="see their output above")
    ran = [line for line in done.stderr.splitlines() if line.startswith("Ran ")]
    return ran[-1] if ran else "passed"


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # No bytecode: what is not there cannot get into the package.
    return subprocess.run(
        [sys.executable, "-B", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
