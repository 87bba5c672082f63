"""The question about a tool that is not what was agreed to: asked where the user is, never over another question."""

from __future__ import annotations

from symphony.ui.page import Page
from symphony.ui.views import shell
from tests.ui.fake_host import FakeHost

EVENT = {
    "event": "question",
    "extension": "tests/tiny",
    "grant": "definitions:say:0123456789abcdef",
    "differences": ["say said “Says it” and now says “Read the keys”"],
    "run": "",
    "node": "",
}


class AskedHost(FakeHost):
    """Remembers what was allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed: list[tuple[str, str]] = []

    async def allow_permission(self, name: str, grant: str) -> dict[str, object]:
        self.allowed.append((name, grant))
        return {}


async def test_the_question_is_asked_and_allowed() -> None:
    host = AskedHost()
    page = Page(host)
    page.notice(EVENT)
    drawn = str(shell.render(page.state))
    assert "Read the keys" in drawn and "definitions.go" in drawn
    page.dispatch("definitions.go", "press", None)
    await page.idle()
    assert host.allowed == [("tests/tiny", EVENT["grant"])] and page.state.question is None


async def test_who_says_no_has_allowed_nothing() -> None:
    host = AskedHost()
    page = Page(host)
    page.notice(EVENT)
    page.dispatch("definitions.cancel", "press", None)
    await page.idle()
    assert host.allowed == [] and page.state.question is None


async def test_an_open_question_stays() -> None:
    page = Page(AskedHost())
    page.ask("market.permissions", name="a/b", update=False, asked=[("read:project/**", "read it")])
    page.notice(EVENT)
    assert page.state.question is not None and page.state.question.kind == "market.permissions"
