"""One open page: its state, what its events do to it, and who is told when it changed."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from symphony.errors import BadInput, SymphonyError
from symphony.ports.host import HostPort
from symphony.ui import memory, words
from symphony.ui.actions import ACTIONS
from symphony.ui.conversation import Conversation
from symphony.ui.live import Feed
from symphony.ui.memory import KeptPage, PageMemory
from symphony.ui.state import Json, PageState, Problem, Question
from symphony.ui.views import VIEWS, panels, shell

logger = logging.getLogger(__name__)

RELOAD_PAUSE = 0.25
"""Seconds within which several changes of one list are loaded once."""

LEFT_PAUSE = 60.0
"""Seconds after which a page that nobody looks at closes what Motifs show on it."""

KEPT_PAGES = 32
"""How many pages' states are kept for a reload; the one unused for longest goes first."""

KEEP_PAUSE = 1.0
"""Seconds after a change until what outlives the host is written down."""


class Page:
    """The state of one page and the tasks that change it; it outlives the connection for a reload."""

    def __init__(self, host: HostPort, state: PageState | None = None, kept: KeptPage | None = None) -> None:
        self.host = host
        self.state = state or PageState()
        self.keeper: Callable[[], None] | None = None
        """Told of each change, so that what outlives the host is written down."""
        self._kept = kept
        if kept is not None:
            memory.begin(self.state, kept)
        self._listeners: set[Callable[[], None]] = set()
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._reloads: set[str] = set()
        self._waiting: set[tuple[str, str]] = set()
        self._conversation: tuple[object, Conversation] = (None, Conversation())

    # --- what actions use --------------------------------------------------------------------
    def changed(self) -> None:
        """Says that the state is not what was drawn last."""
        for listener in self._listeners:
            listener()
        if self.keeper is not None:
            self.keeper()

    def announce(self, text: str, show: bool = False) -> None:
        """Says a change of status to assistive tools, and with `show` to the eye as well."""
        self.state.announcement = text
        self.state.announcements += 1
        self.state.is_shown = show
        if show:  # it stands where an offer would
            self.state.offer = None
        self.changed()

    def fail(self, error: SymphonyError) -> None:
        """Shows an error with its remedy and details."""
        items = [words.finding(item) for item in error.findings]
        self.state.problem = Problem(error.message, error.remedy, items)
        self.announce(str(error))

    def ask(self, kind: str, **data: Any) -> None:
        """Opens a dialog; the view named in `kind` before the dot draws it."""
        self.state.question = Question(kind, data)
        self.changed()

    def answered(self) -> Json:
        """Closes the open dialog and hands back what it was about."""
        question, self.state.question = self.state.question, None
        self.changed()
        return question.data if question else {}

    @contextmanager
    def busy(self, name: str, label: str) -> Iterator[None]:
        """Shows that `label` is under way for as long as the block runs."""
        self.state.busy[name] = label
        self.changed()
        try:
            yield
        finally:
            self.state.busy.pop(name, None)
            self.changed()

    async def open(self, view: str) -> None:
        """Goes to a view and loads what it shows."""
        if view not in VIEWS:
            raise BadInput(f"There is no view {view!r}", remedy=f"choose one of {', '.join(VIEWS)}")
        self.state.is_fresh = False
        left = self.state.view
        if left != view:
            self.state.view = view
            self.changed()
            if leave := VIEWS[left].leave:
                await leave(self)
        await self.load(view)

    async def load(self, view: str) -> None:
        """Loads what a view shows."""
        await VIEWS[view].load(self)
        self.changed()

    # --- tasks -------------------------------------------------------------------------------
    def dispatch(self, key: str, event: str, value: Any) -> None:
        """Starts the action for an event of the page; errors of the action are shown, not raised.

        Raises BadInput when no element answers to that event.
        """
        element, _, argument = key.partition(":")
        action = ACTIONS.get((element, event))
        if action is None:
            raise BadInput(f"Nothing answers to {event!r} of {element!r}", remedy="reload the page")
        if event != "change":  # a problem speaks of the last thing that was done, not of the next
            self.state.problem = None
            self.changed()
        self.spawn(action(self, argument, value), element)

    def spawn(self, work: Coroutine[Any, Any, None] | Awaitable[None], name: str) -> None:
        """Runs `work` beside the connection; its errors are shown on the page."""
        task = asyncio.get_running_loop().create_task(self._guard(work), name=f"page {name}")
        self._tasks[task] = name
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def cancel(self, name: str) -> bool:
        """Cancels what runs under `name`; says whether anything did."""
        tasks = [task for task, known in self._tasks.items() if known == name]
        for task in tasks:
            task.cancel()
        return bool(tasks)

    def reload(self, view: str) -> None:
        """Loads a view again soon; several calls within the pause load once."""
        if view in self._reloads:
            return
        self._reloads.add(view)
        self.spawn(self._reload(view), f"reload {view}")

    async def idle(self) -> None:
        """Waits until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*list(self._tasks), return_exceptions=True)

    async def close(self) -> None:
        """Ends what is under way."""
        await self._conversation[1].close()
        for task in list(self._tasks):
            task.cancel()
        await self.idle()

    async def _reload(self, view: str) -> None:
        try:
            await asyncio.sleep(RELOAD_PAUSE)
        finally:
            self._reloads.discard(view)
        await self.load(view)

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except SymphonyError as error:
            self.fail(error)
        except Exception as error:
            logger.exception("an action of the page failed")
            self.fail(SymphonyError(f"This did not work: {error}", remedy="the log has the details"))

    # --- what happens elsewhere --------------------------------------------------------------
    async def begin(self) -> None:
        """Loads what the first view needs."""
        if self.state.project is None:
            self.state.project = await self.host.project()
        await shell.load_theme(self)
        await panels.load_motifs(self)
        first = panels.layout(self.state.motifs)["first"]
        if self.state.is_fresh and first:
            self.state.view = first
        await shell.load_nodes(self)
        if self._kept is not None:
            kept, self._kept = self._kept, None
            await memory.reopen(self, kept)
        await self.load("board")
        if self.state.view != "board":
            await self.load(self.state.view)

    def notice(self, event: Json) -> None:
        """Takes an event of the host: loads again what it says has changed, and tells the user of ends."""
        kind = event.get("event")
        if kind == "workflowComplete":
            self.announce(shell.end_of_run(event["run"]), show=self.state.view != "board")
            self.reload("board")
        elif kind == "taskProgress":
            self._look_for_question(str(event["run"]), event["node"])
        elif kind == "taskError":
            self.announce(f"{event.get('node', 'A step')} failed")
        elif kind == "learning":
            self.state.learning.ratings.clear()  # one may have been taken back elsewhere
            self._outdated("board")
            self._outdated("learning")
        elif kind == "notice":
            self.announce(str(event.get("message", "")), show=bool(event.get("show")))
        elif kind == "project":
            self.spawn(shell.load_project(self), "project")
        elif kind == "settings":
            self.spawn(shell.load_theme(self), "theme")
            self._outdated("settings")
        elif kind == "question":
            # A dialog that is open stays: nobody's click is to land on another question than the one that was read.
            if self.state.question is None:
                self.ask("market.definitions", **event)
        elif kind == "component":
            panels.notice(self, str(event["id"]))
        elif kind == "extensions":
            self.spawn(shell.load_nodes(self), "nodes")
            self.spawn(panels.load_motifs(self), "motifs")
            self._outdated("market")
        elif kind in _LISTS:
            self._outdated(_LISTS[kind])

    def _look_for_question(self, run: str, node: Json) -> None:
        """A step that waits for the user says so once; what it asks is shown on the board."""
        place = (run, str(node["id"]))
        if node["status"] != "waiting":
            self._waiting.discard(place)
            return
        if place not in self._waiting:
            self._waiting.add(place)
            self.announce(f"{node['id']} waits for your answer", show=self.state.view != "board")
        self.reload("board")

    def _outdated(self, view: str) -> None:
        if view in (self.state.view, "board"):
            self.reload(view)

    def conversation(self, load: object) -> Conversation:
        """What this load of the page has asked so far; that of an earlier load is nobody's any more."""
        if not isinstance(load, str) or load != self._conversation[0]:
            self._conversation = (load, Conversation())
        return self._conversation[1]

    def knows(self, load: object) -> bool:
        """Whether this load of the page was connected before."""
        return isinstance(load, str) and load == self._conversation[0]

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after each change until `forget`."""
        self._listeners.add(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Ends `listen`. What Motifs show ends soon after the last one: nobody looks at it any more."""
        self._listeners.discard(listener)
        if not self._listeners and self.state.motifs.open:
            self.spawn(self._left(), "left")

    async def _left(self) -> None:
        await asyncio.sleep(LEFT_PAUSE)
        if not self._listeners:
            await panels.close_all(self)


_LISTS = {
    "runs": "board",
    "changes": "board",
    "melodies": "store",
    "artifacts": "artifacts",
    "actions": "history",
}


class Pages:
    """All open pages of a host, and the one stream of its events that feeds them.

    With a memory, the first page takes up where the last one of the host before was left.
    """

    def __init__(self, host: HostPort, memory: PageMemory | None = None) -> None:
        self.host = host
        self._memory = memory
        self._written: dict[str, str] = {}
        self._changed: set[str] = set()
        self._keeping: asyncio.Task[None] | None = None
        self.shown = asyncio.Event()
        """Set once a page has its first tree."""
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._feeds: set[Feed] = set()
        self._task: asyncio.Task[None] | None = None

    def page(self, name: str) -> Page:
        """The page that calls itself `name` (a word that the page keeps across reloads), or a new one."""
        page = self._pages.pop(name, None) or self._new(name)
        self._pages[name] = page
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)
        return page

    def continues(self, params: Json) -> bool:
        """Whether these parameters of `authenticate` are those of a page that was connected before and asks on."""
        name = params.get("page")
        page = self._pages.get(name) if isinstance(name, str) else None
        return page is not None and page.knows(params.get("load"))

    def _new(self, name: str) -> Page:
        if self._memory is None:
            return Page(self.host)
        kept = self._memory.read(name, or_latest=not self._written)
        page = Page(self.host, kept=memory.recall(kept) if kept else None)
        self._written[name] = kept or ""
        page.keeper = partial(self._outdated, name)
        return page

    def _outdated(self, name: str) -> None:
        self._changed.add(name)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.get_running_loop().create_task(self._keep_soon(), name="pages keep")

    async def _keep_soon(self) -> None:
        while self._changed:
            await asyncio.sleep(KEEP_PAUSE)
            await asyncio.to_thread(self._keep, self._news())

    def _news(self) -> dict[str, str]:
        """What is to be written of the pages that changed."""
        names, self._changed = self._changed, set()
        texts = {name: memory.keep(self._pages[name].state) for name in names if name in self._pages}
        return {name: text for name, text in texts.items() if text != self._written.get(name)}

    def _keep(self, texts: dict[str, str]) -> None:
        if self._memory is None:
            return
        for name, text in texts.items():
            self._memory.write(name, text)
            self._written[name] = text

    def attach(self, feed: Feed) -> None:
        """Feeds a connection with the events of the host."""
        self._feeds.add(feed)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="pages watch")

    def detach(self, feed: Feed) -> None:
        """Ends `attach`."""
        self._feeds.discard(feed)

    async def close(self) -> None:
        """Ends all tasks of all pages."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        self._keep(self._news())
        for page in self._pages.values():
            await page.close()

    async def _watch(self) -> None:
        try:
            async for event in self.host.watch():
                for feed in self._feeds:
                    feed.push(event)
                for page in self._pages.values():
                    page.notice(event)
        except Exception:
            logger.exception("the host's events ended")
