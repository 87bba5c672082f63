"""A Marketplace of many: what is shown is what was asked of the host, and more comes when it is asked for."""

from __future__ import annotations

import copy

from symphony.ui.page import Page
from symphony.ui.views.market import PAGE
from tests.ui.fake_host import FakeHost
from tests.ui.test_views import do, find

MANY = 2 * PAGE + 10


async def test_more_of_what_is_on_offer_is_loaded_when_it_is_asked_for() -> None:
    host = FakeHost()
    offered = next(row for row in host.extensions if not row["installed"])
    host.extensions = [{**copy.deepcopy(offered), "name": f"acme/chart{number}"} for number in range(MANY)]
    page = Page(host)
    await page.begin()
    await page.open("market")
    try:
        for shown, button in ((PAGE, f"Show {PAGE} more"), (2 * PAGE, "Show 10 more"), (MANY, None)):
            assert len(page.state.market.items) == len(find(page, "Article")) == shown
            labels = [b["props"]["label"] for b in find(page, "Button") if b.get("key") == "market.more"]
            assert labels == ([button] if button else [])
            if button:
                await do(page, "market.more")
        await do(page, "market.search", "change", "chart1")
        assert page.state.market.shown == PAGE and page.state.market.more == 0
        await do(page, "market.only", "change", "installed")
        assert not find(page, "Article") and not find(page, "Button", label="Show 10 more")
    finally:
        await page.close()
        await host.close()
