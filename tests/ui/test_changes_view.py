"""The changes of a run on the board: seen, applied and undone from there."""

from __future__ import annotations

from typing import Any

import pytest

from symphony.ui.page import Page
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find, labels, played

SET = {
    "id": "c0ffee00",
    "node": "edit",
    "program": "sh -c true",
    "counts": {"added": 1, "changed": 1, "removed": 0, "refused": 1},
    "refused": [{"path": ".git", "reason": "git runs it"}],
    "state": "open",
}


@pytest.fixture
async def page() -> Any:
    host = FakeHost()
    page = Page(host)
    await page.begin()
    yield page
    await page.close()
    await host.close()


async def test_changes_are_shown_with_their_run_and_wait_for_a_word(page: Page) -> None:
    await played(page)
    host = page.host
    assert isinstance(host, FakeHost)
    assert "Apply changes" not in labels(page)
    host.changes.append({**SET, "run": page.state.board.run})
    await page.load("board")
    assert find(page, "Badge", text="waits for your word")
    assert "Undo changes" not in labels(page)
    assert ".git" in find(page, "Bullets")[0]["props"]["items"][0]
    await do(page, "changes.look:c0ffee00")
    (table,) = find(page, "Table", label="Difference")
    assert [row.get("tone") for row in table["props"]["rows"][:4]] == [None, None, "bad", "good"]
    await do(page, "changes.look:c0ffee00")
    assert not find(page, "Table", label="Difference")
    await do(page, "changes.apply:c0ffee00")
    assert host.changes[0]["state"] == "applied" and "Apply changes" not in labels(page)
    await do(page, "changes.undo:c0ffee00")
    assert host.changes[0]["state"] == "undone" and "Apply changes" in labels(page)
