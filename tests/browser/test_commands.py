"""The command palette, with the keyboard alone, and named for assistive tools."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served
from tests.browser.test_accessibility import AXE, check

pytestmark = pytest.mark.browser


def opened(page: Page) -> None:
    page.keyboard.press("Control+K")
    expect(page.get_by_role("combobox", name="Search commands")).to_be_focused()


def test_a_few_letters_and_enter_do_it(page: Page, served: Served) -> None:
    opened(page)
    page.keyboard.type("go to market")
    expect(page.get_by_role("option").first).to_have_text("Go to Marketplace")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Marketplace")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    opened(page)
    page.keyboard.type("theme dark")
    page.keyboard.press("Enter")
    expect(page.locator("html.dark")).to_have_count(1)


def test_escape_gives_the_focus_back_and_nothing_is_done(page: Page, served: Served) -> None:
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.focus()
    opened(page)
    page.keyboard.type("zzzz")
    expect(page.get_by_text("Nothing is called that")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(prompt).to_be_focused()


def test_the_palette_breaks_no_rule_of_axe_core(page: Page, served: Served) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    page.get_by_role("button", name="Commands").first.click()
    expect(page.get_by_role("option").first).to_be_visible()
    check(page, "the palette")
