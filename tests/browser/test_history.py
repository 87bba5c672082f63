"""The history of actions in a real browser: by keyboard alone, at every width, and without a finding of axe-core."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served
from tests.browser.test_accessibility import AXE, DARK, HIGH_CONTRAST, check
from tests.browser.test_commands import opened
from tests.ui.fake_actions import action, yesterday

pytestmark = pytest.mark.browser


@pytest.fixture
def acted(page: Page, served: Served) -> Page:
    """A page whose host has done several things."""
    now = time.time()
    served.host.done = [
        action(6, "Played review-risk", now, kind="run", subject="none", can="", status="succeeded"),
        action(5, "Set ui.theme to dark", now - 60),
        action(4, "Took read:project/** back from symphony/git", now - 90, kind="extension"),
        action(3, "Removed acme/changelog", yesterday(), kind="extension", by="Symphony"),
        action(2, "Installed acme/outline", yesterday(), kind="extension", error="the disk is full", can=""),
        action(
            1, "Deleted the Melody nightly", yesterday() - 8 * 86_400, kind="melody", undone=True, can="redo"
        ),
    ]
    return page


def test_the_last_action_is_taken_back_by_keys_alone(acted: Page, served: Served) -> None:
    offer = acted.get_by_role("region", name="What was just done")
    prompt = acted.get_by_role("textbox", name="Prompt")
    prompt.fill("words")
    prompt.press("Control+z")  # in a text field it is the field's own
    acted.evaluate("document.activeElement.blur()")
    expect(offer).to_have_count(0)
    acted.keyboard.press("Control+z")
    expect(offer).to_contain_text("Set ui.theme to dark")
    assert not served.host.done[1]["undone"]
    acted.keyboard.press("Control+z")
    expect(offer).to_contain_text("Undone: Set ui.theme to dark")
    assert served.host.done[1]["undone"]
    offer.get_by_role("button", name="Redo").focus()
    acted.keyboard.press("Enter")
    expect(offer).to_contain_text("Done again")
    offer.get_by_role("button", name="Undo").focus()
    acted.keyboard.press("Escape")
    expect(offer).to_have_count(0)


def test_every_width_and_theme(acted: Page) -> None:
    acted.evaluate(AXE.read_text("utf-8"))
    acted.get_by_role("link", name="History").click()
    expect(acted.get_by_role("heading", name="Yesterday")).to_be_visible()
    for width in (390, 768, 1440, 2560):
        acted.set_viewport_size({"width": width, "height": 900})
        acted.keyboard.press("Control+z")
        expect(acted.get_by_role("region", name="What was just done")).to_be_visible()
        check(acted, f"history at {width}", (DARK, *HIGH_CONTRAST))
        assert acted.evaluate("document.documentElement.scrollWidth <= innerWidth")
        acted.get_by_role("button", name="Put away").click()


def test_the_palette_leads_there(acted: Page) -> None:
    opened(acted)
    acted.keyboard.type("go to history")
    acted.keyboard.press("Enter")
    expect(acted.get_by_role("heading", name="History", level=1)).to_be_visible()
    undo = acted.get_by_role("button", name="Undo").first
    undo.focus()
    acted.keyboard.press("Enter")
    expect(acted.get_by_text("undone").first).to_be_visible()
