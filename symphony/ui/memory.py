"""What of a page outlives the host: where the user was, what was searched for, and the plan that was not played yet."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from symphony.errors import SymphonyError
from symphony.ui.state import PageState
from symphony.ui.views import VIEWS, artifacts

if TYPE_CHECKING:
    from symphony.ui.page import Page

PLAN_LIMIT = 1 << 20
"""Characters of a kept page. A plan that makes it longer is left out; the rest is kept."""


class PageMemory(Protocol):
    """Where pages are kept, by the word that a page calls itself."""

    def read(self, name: str, or_latest: bool) -> str | None:
        """What was kept of that page, else with `or_latest` of the page used last; None when there is nothing."""

    def write(self, name: str, text: str) -> None:
        """Keeps what there is to keep of a page."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore")


class KeptPlan(_Kept):
    """The prompt and the Melody in the preview."""

    mode: Literal["maestro", "manual"] = "maestro"
    prompt: str = ""
    answer: dict[str, Any] | None = None
    melody: dict[str, Any] | None = None
    draft: str | None = None
    changed: bool = False
    editing: bool = False


class KeptPage(_Kept):
    """What is kept of a page. A field that an older or newer Symphony wrote otherwise makes the page begin anew."""

    view: str = ""
    plan: KeptPlan = Field(default_factory=KeptPlan)
    run: str = ""
    node: str = ""
    part: str = "timeline"
    artifacts: str = ""
    artifact: str = ""
    melodies: str = ""
    melody: str = ""
    market: str = ""
    only: str = "all"
    settings: str = ""


def keep(state: PageState) -> str:
    """What is kept of `state`, as JSON of at most `PLAN_LIMIT` characters."""
    compose = state.compose
    plan = KeptPlan.model_construct(
        mode=compose.mode,
        prompt=compose.prompt,
        answer=compose.answer,
        melody=compose.melody,
        draft=compose.draft,
        changed=compose.changed,
        editing=compose.editing,
    )
    kept = KeptPage(
        view="" if state.is_fresh else state.view,
        plan=plan,
        run=state.board.run,
        node=state.board.selected,
        part=state.board.part,
        artifacts=state.artifacts.query,
        artifact=str((state.artifacts.selected or {}).get("id") or ""),
        melodies=state.store.query,
        melody=state.store.selected,
        market=state.market.query,
        only=state.market.only,
        settings=state.settings.query,
    )
    text = kept.model_dump_json(exclude_defaults=True)
    if len(text) > PLAN_LIMIT:
        kept.plan = KeptPlan(prompt=compose.prompt)
        text = kept.model_dump_json(exclude_defaults=True)
    return text


def recall(text: str) -> KeptPage:
    """The kept page in `text`; an empty one when it cannot be read."""
    try:
        return KeptPage.model_validate_json(text)
    except ValidationError:
        return KeptPage()


def begin(state: PageState, kept: KeptPage) -> None:
    """Puts into a new state what needs no answer of the host."""
    if kept.view in VIEWS:
        state.view, state.is_fresh = kept.view, False
    plan, compose = kept.plan, state.compose
    compose.mode, compose.prompt, compose.answer = plan.mode, plan.prompt, plan.answer
    compose.melody, compose.draft = plan.melody, plan.draft
    compose.changed, compose.editing = plan.changed, plan.editing
    state.board.part = kept.part
    state.artifacts.query, state.store.query = kept.artifacts, kept.melodies
    state.market.query, state.market.only, state.settings.query = kept.market, kept.only, kept.settings


async def reopen(page: Page, kept: KeptPage) -> None:
    """Opens again what was open. What is no longer there stays closed, without a word."""
    state, host = page.state, page.host
    if kept.run:
        with contextlib.suppress(SymphonyError):
            await host.get_run(kept.run)
            state.board.run, state.board.selected = kept.run, kept.node
    if kept.artifact:
        with contextlib.suppress(SymphonyError):
            await artifacts.show(page, kept.artifact)
    if kept.melody:
        with contextlib.suppress(SymphonyError):
            state.store.melody = await host.get_melody(kept.melody)
            state.store.selected = kept.melody
