"""A large graph draws those nodes alone that are in sight, from the first frame on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from benches.application_board import melody
from tests.browser.conftest import Served

pytestmark = pytest.mark.browser

SIZE = 2_000
WATCH = """() => {
    window.most = 0
    const count = () => { window.most = Math.max(window.most, document.querySelectorAll('[data-node]').length) }
    new MutationObserver(count).observe(document.body, { childList: true, subtree: true })
}"""


def test_what_is_out_of_sight_is_never_drawn(page: Page, served: Served) -> None:
    served.host.melodies = {"large": melody(SIZE)}
    page.get_by_role("link", name="Polyphony Store").click()
    page.evaluate(WATCH)
    page.get_by_role("link", name="large").click()
    expect(page.locator("[data-node]").first).to_be_visible(timeout=60_000)
    zoom_out = page.get_by_role("button", name="Zoom Out")
    for _ in range(12):
        zoom_out.click(force=True)
    page.wait_for_function("document.getAnimations().length === 0")
    assert 0 < page.evaluate("window.most") < SIZE / 2
