"""The host as a process: its start with fifty extensions, its import, the Pit's phases, and what it holds at rest."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from websockets.sync.client import connect

from benches.application import starlette, until_first_tree
from benches.measure import Row, compare

SYMPHONY = str(Path(sys.prefix) / "bin" / "symphony")
EXTENSIONS = 50
REST = 10.0
"""Seconds over which a host at rest is watched."""
ORDER = ("artifact store", "arbitration engine", "stale manager", "dag tracker", "pool manager")
"""The Pit's modules as they need each other."""
ARTIFACTS = 5_000
"""What lies in the home whose Pit is started."""


def _home_with_extensions(folder: Path) -> Path:
    """A home with 50 extensions beside the bundled ones, put there by the installer itself."""
    from symphony.config.home import Home
    from symphony.kit.embed import embed
    from symphony.kit.installer import Installer
    from symphony.kit.registry import Registry

    source = Path(__file__).resolve().parents[1] / "extensions" / "registry" / "changelog"
    for number in range(EXTENSIONS):
        place = folder / "sources" / str(number)
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        manifest = place / "Symphony.toml"
        manifest.write_text(manifest.read_text().replace("symphony/changelog", f"bench/notes-{number}"))
    embed(folder / "registry", [folder / "sources"])
    home = Home(folder / "home").create()
    installer = Installer(home, registry=Registry.open(folder / "registry"))
    for number in range(EXTENSIONS):
        installer.install(f"bench/notes-{number}", [])
    return home.path


def start(name: str) -> Row:
    """`symphony serve` with 50 installed extensions, from exec to the first tree on a raw WebSocket."""
    with tempfile.TemporaryDirectory() as folder:
        home = _home_with_extensions(Path(folder))
        return compare(
            name,
            lambda: until_first_tree(SYMPHONY, str(home), connect),
            "Starlette + onnxruntime, bare",
            starlette,
            unit="s",
            scale=1.0,
            how=f"exec to the first tree on a raw WebSocket; {EXTENSIONS} extensions installed beside the bundled ones",
        )


def host_import(name: str) -> Row:
    """What importing the host costs over starting the interpreter."""

    def of(statement: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - began

    how = "a process that loads the host and the page's server as `symphony serve` does, less one that imports nothing"
    return compare(
        name,
        lambda: of("from symphony.app.loading import load_host; load_host(page=True)") - of("pass"),
        "starlette and uvicorn",
        lambda: of("import starlette.applications, uvicorn") - of("pass"),
        unit="ms",
        scale=1e3,
        how=how,
    )


def pit_phases(name: str) -> Row:
    """The five modules of the Pit, started at once and one after the other, on a home with artifacts and runs."""
    from pit_native import ArtifactStore
    from symphony.app.bootstrap import Bootstrap, Phase, StartPolicy
    from symphony.app.paths import launcher
    from symphony.app.pit import Pit
    from symphony.config import Configuration
    from symphony.config.home import Home

    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder)).create()
        store = ArtifactStore(str(home.store))
        for number in range(ARTIFACTS):
            store.put(f"artifact {number}".encode() * 20, name=f"a{number % 500}.txt", type="text/plain")
        store.close()
        configuration = Configuration.load(home)

        async def begin(at_once: bool) -> float:
            pit, bootstrap = Pit(home, configuration, launcher()), Bootstrap(lambda component: StartPolicy())
            await bootstrap.start([Phase("bus", [pit.bus])])
            ordered = sorted(pit.modules, key=lambda module: ORDER.index(module.name))
            phases = [Phase("all", ordered)] if at_once else [Phase(m.name, [m]) for m in ordered]
            began = time.perf_counter()
            await bootstrap.start(phases)
            took = time.perf_counter() - began
            await bootstrap.stop()
            return took

        return compare(
            name,
            lambda: asyncio.run(begin(True)),
            "one after the other",
            lambda: asyncio.run(begin(False)),
            unit="ms",
            scale=1e3,
            how=f"five modules on a home with {ARTIFACTS:,} artifacts; the document expects a ratio of 0.4 to 0.6",
        )


@contextmanager
def _host_with_page() -> Iterator[tuple[psutil.Process, Path, Any]]:
    """A host with a page open, its Conductor loaded and the first Player's template warm."""
    with tempfile.TemporaryDirectory() as folder:
        home, project = Path(folder) / "home", Path(folder) / "project"
        project.mkdir()
        (project / "README.md").write_text("# Numbers\n\nA project with a text.\n")
        process = subprocess.Popen(
            [SYMPHONY, "serve", "--project", str(project)],
            env={**os.environ, "SYMPHONY_HOME": str(home)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            address, _, token = process.stdout.readline().strip().partition("/#token=")
            with connect(address.replace("http", "ws", 1) + "/ws", max_size=None) as page:
                _ask(page, "authenticate", token=token)
                _ask(page, "submitPrompt", prompt="Summarise the README")  # loads the Conductor
                yield psutil.Process(process.pid), home, page
        finally:
            process.terminate()
            process.communicate()


def _ask(page: Any, method: str, **params: Any) -> Any:
    page.send(json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params}))
    while True:
        message = json.loads(page.recv())
        if message.get("id") == method:
            return message.get("result")


def _held(process: psutil.Process) -> int:
    """The proportional set of a process and all below it, in bytes."""
    family = [process, *process.children(recursive=True)]
    return sum(int(member.memory_full_info().pss) for member in family)


def memory(name: str) -> Row:
    """All processes of a host at rest with a page open and the encoder loaded."""
    libraries = "uvicorn, starlette.applications, numpy, onnxruntime, tokenizers"
    peer = f"import {libraries}, time; print(flush=True); time.sleep(600)"
    with _host_with_page() as (host, _, _page):
        time.sleep(3)
        value = _held(host)
        other = subprocess.Popen([sys.executable, "-c", peer], stdout=subprocess.PIPE)
        assert other.stdout is not None
        other.stdout.readline()
        peer_value = _held(psutil.Process(other.pid))
        other.kill()
        other.communicate()
    how = "proportional set of host and template, page open, a prompt composed, no Player; aim 150 MB"
    return Row(
        name,
        value / 1e6,
        "MB",
        "Python with the same libraries imported",
        peer_value / 1e6,
        value / peer_value,
        how,
    )


def idle(name: str) -> Row:
    """Processor time of the same host when nothing happens."""
    with _host_with_page() as (host, _, _page):
        time.sleep(3)

        def used() -> float:
            family = [host, *host.children(recursive=True)]
            return sum(sum(member.cpu_times()[:2]) for member in family)

        before = used()
        time.sleep(REST)
        share = (used() - before) / REST
    how = f"share of a core over {REST:g} s, all processes, page open; aim 0.5 %"
    return Row(name, share * 100, "%", "none", None, None, how)


def idle_player(name: str) -> Row:
    """What each idle Python Player adds."""
    from symphony.app.wire import HostClient

    with _host_with_page() as (_, home, _page):
        client = HostClient(home / "host.sock")
        asyncio.run(client.call_function("symphony/files#list", {}))
        pids = {s["pid"] for s in asyncio.run(client.metrics())["players"].values() if s["pid"]}
        time.sleep(1)
        held = [
            sum(int(m.memory_full_info().pss) for m in (p, *p.children(recursive=True)))
            for p in map(psutil.Process, pids)
        ]
    value = sum(held) / len(held)
    how = f"proportional set of {len(held)} Python Player after a call, its sandbox included; aim 12 MB"
    return Row(name, value / 1e6, "MB", "none", None, None, how)


ROWS: dict[str, Callable[[str], Row]] = {
    "application.start with 50 extensions": start,
    "application.import of the host": host_import,
    "application.the Pit's modules at once": pit_phases,
    "application.memory at rest": memory,
    "application.processor at rest": idle,
    "application.memory of an idle Player": idle_player,
}
