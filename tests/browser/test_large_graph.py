"""A large graph draws those nodes alone that are in sight, from the first frame on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from benches.application_board import melody
from tests.browser.conftest import Served
from tests.ui.fake_host import node_run

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


def test_a_graph_that_is_edited_draws_no_more_than_what_is_in_sight(page: Page, served: Served) -> None:
    """Where its edges begin and end is known although nothing was drawn: the edges stand, too."""
    served.host.melodies = {"large": melody(SIZE)}
    page.get_by_role("link", name="Polyphony Store").click()
    page.get_by_role("link", name="large").click()
    expect(page.locator("[data-node]").first).to_be_visible(timeout=60_000)
    page.evaluate(WATCH)
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(page.locator("[data-handleid]").first).to_be_visible(timeout=60_000)
    expect(page.locator(".react-flow__edge").first).to_be_attached(timeout=60_000)
    assert 0 < page.evaluate("window.most") < SIZE / 2


def test_a_large_run_has_the_room_of_its_graph(page: Page, served: Served) -> None:
    """It is not drawn small enough to be seen whole, so that it needs all the height there is."""
    document = melody(SIZE)
    nodes = [node_run(node) for node in document["nodes"]]
    run = {"id": "run-1", "name": "large", "status": "succeeded", "seconds": 1.0, "project": "", "prompt": ""}
    served.host.played = {"run-1": document}
    served.host.runs = {"run-1": {**run, "created": 1.0, "error": None, "nodes": nodes}}
    page.get_by_role("link", name="Harmony Board").click()
    page.get_by_role("link", name="large").click()
    expect(page.locator("[data-node]").first).to_be_visible(timeout=60_000)
    box = page.locator(".react-flow").bounding_box()
    assert box is not None and box["height"] > 240
