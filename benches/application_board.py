"""The Harmony Board in a real Chromium: how long a large graph takes to stand, how it moves, what it leaves behind."""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from benches.measure import Row

RANK = 40
"""Nodes side by side."""
EVENTS = 500
"""States of nodes a second while a Melody plays."""
MOVING = 5.0
"""Seconds for which frames are counted."""
LONG = 60.0
"""Seconds of moving between two looks at the heap."""
FRAMES = """() => { window.frames_ = []; const tick = (at) => { window.frames_.push(at); requestAnimationFrame(tick) };
requestAnimationFrame(tick) }"""


def melody(size: int) -> dict[str, Any]:
    """Ranks of RANK nodes, each of which takes what two of the rank before made."""
    player = "symphony/data#join"
    nodes = [{"id": f"n{i}", "kind": "operator", "player": player} for i in range(size)]
    edges = [
        {"kind": "data", "from": f"n{source}.rows", "to": f"n{i}.{port}"}
        for i in range(RANK, size)
        for port, source in (("left", i - RANK), ("right", i - RANK + (1 if i % RANK < RANK - 1 else 0)))
    ]
    return {
        "format": "symphony.melody/1",
        "id": "large",
        "name": "large",
        "version": "1.0.0",
        "description": "",
        "nodes": nodes,
        "edges": edges,
    }


@contextmanager
def _store(size: int) -> Iterator[Any]:
    """The page at the store, with one saved Melody of so many nodes."""
    from tests.ui.fake_host import FakeHost

    host = FakeHost()
    host.melodies = {"large": melody(size)}
    with _page(host) as page:
        page.get_by_role("link", name="Polyphony Store").click()
        page.get_by_role("link", name="large").wait_for()
        yield page


@contextmanager
def _page(host: Any, work: Callable[[], Coroutine[Any, Any, None]] | None = None) -> Iterator[Any]:
    """A page in a Chromium, served by a host in memory; `work` runs on the loop that serves it."""
    import uvicorn
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import ARGUMENTS, chromium
    from tests.browser.serve_fake import TOKEN, application

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(host), log_level="warning", ws_max_size=1 << 28))

    async def serve() -> None:
        working = asyncio.create_task(work()) if work is not None else None
        await server.serve(sockets=[listener])
        if working is not None:
            working.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/#token={TOKEN}")
            yield page
            browser.close()
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()


def _stand(page: Any) -> float:
    """Opens the graph; seconds until its nodes stand where they belong."""
    began = time.perf_counter()
    page.get_by_role("link", name="large").click()
    page.locator("[data-node]").first.wait_for()
    return time.perf_counter() - began


def _move(page: Any, seconds: float) -> None:
    """Drags the graph about."""
    box = page.locator(".react-flow__pane").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] - 40
    ends = time.monotonic() + seconds
    page.mouse.move(x, y)
    page.mouse.down()
    step = 0
    while time.monotonic() < ends:
        step += 1
        page.mouse.move(x + 150 * ((step // 10) % 3 - 1), y - 60 * ((step // 7) % 3), steps=8)
    page.mouse.up()


def standing(name: str) -> Row:
    """From the click on a saved Melody of 10,000 nodes to its nodes in their places, the host's answer included."""
    with _store(10_000) as page:
        took = _stand(page)
    how = "10,000 nodes and 19,920 edges, from the click to the nodes in their places: tree, patch, layout, drawing"
    return Row(name, took, "s", "none", None, None, how)


def _frames(size: int) -> Callable[[str], Row]:
    def measure(name: str) -> Row:
        with _store(size) as page:
            _stand(page)
            page.wait_for_timeout(1000)
            page.evaluate(FRAMES)
            _move(page, MOVING)
            at: list[float] = page.evaluate("window.frames_")
        pauses = [after - before for before, after in pairwise(at)]
        slow = sorted(pauses)[int(len(pauses) * 0.95)]
        how = f"{size:,} nodes, dragged about for {MOVING:g} s in headless Chromium without a graphics processor; "
        how += f"median frame {statistics.median(pauses):.0f} ms, the slowest twentieth {slow:.0f} ms or more"
        return Row(name, 1000 * len(pauses) / (at[-1] - at[0]), "fps", "none", None, None, how)

    return measure


def playing(name: str) -> Row:
    """A run of 10,000 nodes on the board while 500 of them change their state in a second."""
    from tests.ui.fake_host import FakeHost, node_run

    host, on = FakeHost(), threading.Event()
    document = melody(10_000)
    nodes = [node_run(node) for node in document["nodes"]]
    host.played = {"run-1": document}
    host.runs = {
        "run-1": {
            **{"id": "run-1", "name": "large", "status": "running", "seconds": 0.0, "project": ""},
            **{"prompt": "", "created": 1.0, "error": None, "nodes": nodes},
        }
    }

    async def play() -> None:
        """Each node begins, and ends when the next fifty have begun."""
        told, began = 0, time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            if not on.is_set():
                told, began = 0, time.monotonic()
            while told < (time.monotonic() - began) * EVENTS:
                at, ends = divmod(told, 2)
                node = nodes[(at - 50 if ends else at) % len(nodes)]
                clock = time.monotonic() - began
                node.update(
                    {"status": "succeeded", "ended": clock}
                    if ends
                    else {"status": "running", "started": clock}
                )
                host.emit({"event": "taskProgress", "run": "run-1", "node": dict(node)})
                told += 1

    with _page(host, play) as page:
        page.get_by_role("link", name="Harmony Board").click()
        page.get_by_role("link", name="large").click()
        page.locator("[data-node]").first.wait_for()
        page.wait_for_timeout(4000)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def busy() -> float:
            metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            return float(metrics["TaskDuration"])

        shares = []
        for plays in (False, True):
            (on.set if plays else on.clear)()
            page.wait_for_timeout(1000)
            before, began = busy(), time.monotonic()
            page.wait_for_timeout(1000 * MOVING)
            shares.append((busy() - before) / (time.monotonic() - began))
        page.evaluate(FRAMES)
        _move(page, MOVING)
        at: list[float] = page.evaluate("window.frames_")
    how = f"a run of 10,000 nodes, {EVENTS} states a second to the page: share of a core that its main thread works, "
    how += f"{100 * shares[0]:.1f} % when nothing comes; dragged about meanwhile it has "
    how += f"{1000 * (len(at) - 1) / (at[-1] - at[0]):.0f} frames a second"
    return Row(name, 100 * shares[1], "%", "none", None, None, how)


def heap(name: str) -> Row:
    """What a minute of moving leaves in the page's heap, the garbage collected before and after."""
    with _store(1_000) as page:
        _stand(page)
        session = page.context.new_cdp_session(page)

        def used() -> float:
            session.send("HeapProfiler.collectGarbage")
            return float(session.send("Runtime.getHeapUsage")["usedSize"])

        _move(page, MOVING)
        used()  # what is moved after the first collection takes 3 MB once, and no more in the minutes after it
        _move(page, MOVING)
        first = used()
        _move(page, LONG)
        last = used()
    how = f"1,000 nodes dragged about for {LONG:g} s, {first / 1e6:.1f} MB before; the 3 MB that come once, after the "
    how += "first collection, are not counted"
    return Row(name, 100 * (last / first - 1), "%", "none", None, None, how)


ROWS: dict[str, Callable[[str], Row]] = {
    "application.board, 10,000 nodes stand": standing,
    "application.board, frames at 1,000 nodes": _frames(1_000),
    "application.board, frames at 10,000 nodes": _frames(10_000),
    "application.board, 10,000 nodes play": playing,
    "application.board, growth of the heap": heap,
}
