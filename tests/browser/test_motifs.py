"""Motifs in a real browser: framed, accessible, in their colours, and never in the place of the host's dialogs."""

from __future__ import annotations

import copy

import pytest
from playwright.sync_api import Locator, Page, expect

from symphony.stage.manifest import load_manifest
from tests.browser.conftest import Served
from tests.browser.test_accessibility import AXE, HIGH_CONTRAST, check
from tests.browser.test_flows import go
from tests.players.conftest import EXTENSIONS
from tests.ui import fake_content

pytestmark = pytest.mark.browser


@pytest.fixture
def brought(page: Page, served: Served) -> Page:
    """The page of a host that has Motifs."""
    theme = load_manifest(EXTENSIONS / "paper").theme
    assert theme is not None
    content = copy.deepcopy(fake_content.BROUGHT)
    content["themes"] = [{"extension": "symphony/paper", **theme.model_dump()}]
    served.host.brought = content
    served.loop.call_soon_threadsafe(served.host.emit, {"event": "extensions"})
    page.get_by_role("link", name="Panels").wait_for()
    page.evaluate(AXE.read_text("utf-8"))
    return page


def colour(at: Locator, name: str = "background-color") -> str:
    return str(at.evaluate("(element, name) => getComputedStyle(element).getPropertyValue(name)", name))


def wear_paper(page: Page) -> None:
    go(page, "Settings")
    page.get_by_label("Colours", exact=True).select_option("symphony/paper")
    expect(page.locator("body")).to_have_css("background-color", "rgb(246, 241, 231)")


def test_a_panel_answers_and_stays_in_its_frame(brought: Page) -> None:
    go(brought, "Panels")
    frame = brought.get_by_role("region", name="Counter")
    expect(frame).to_contain_text("from acme/counter")
    expect(frame).to_contain_text("pressed 0 times")
    frame.get_by_role("button", name="More").click()
    expect(frame).to_contain_text("pressed 1 times")
    check(brought, "panels")
    box, page = frame.bounding_box(), brought.locator("#view").bounding_box()
    assert box is not None and page is not None
    assert box["x"] >= page["x"] and box["x"] + box["width"] <= page["x"] + page["width"]
    assert colour(frame, "overflow-x") == "hidden" and "paint" in colour(frame, "contain")


def test_a_hostile_tree_leaves_the_page_standing(brought: Page, served: Served) -> None:
    go(brought, "Panels")
    frame = brought.get_by_role("region", name="Counter")
    expect(frame).to_contain_text("pressed 0 times")
    (component,) = served.host.components
    hostile = {"type": "Dialog", "key": "d", "props": {"title": "Allow everything?"}, "children": []}
    served.loop.call_soon_threadsafe(served.host.show, component, hostile)
    expect(frame.get_by_role("alert")).to_contain_text("may not show 'Dialog'")
    expect(brought.get_by_role("dialog")).to_have_count(0)
    go(brought, "Harmony Board")
    go(brought, "Settings")


def test_colours_reach_everything_but_the_hosts_dialogs(brought: Page) -> None:
    own = colour(brought.locator("body"))
    wear_paper(brought)
    check(brought, "settings in paper")
    go(brought, "Panels")
    check(brought, "panels in paper")
    brought.get_by_role("button", name="Project: orchard").first.click()
    dialog = brought.get_by_role("dialog")
    expect(dialog).to_have_css("background-color", "lab(100 0 0)")
    brought.keyboard.press("Escape")
    brought.emulate_media(contrast="more")
    expect(brought.locator("body")).to_have_css("background-color", own)
    brought.emulate_media(contrast="no-preference")
    expect(brought.locator("body")).to_have_css("background-color", "rgb(246, 241, 231)")
    go(brought, "Settings")
    brought.get_by_label("Colours", exact=True).select_option("")
    expect(brought.locator("body")).to_have_css("background-color", own)


def test_colours_are_there_again_after_a_reload(brought: Page) -> None:
    wear_paper(brought)
    brought.reload(wait_until="commit")
    # Before the host has answered, and after it.
    brought.wait_for_function("document.documentElement.style.getPropertyValue('--background') === '#f6f1e7'")
    brought.get_by_role("link", name="Settings").wait_for()
    expect(brought.locator("body")).to_have_css("background-color", "rgb(246, 241, 231)")


def test_a_layout_arranges_the_views(brought: Page) -> None:
    go(brought, "Settings")
    brought.get_by_label("Layout", exact=True).select_option("acme/desk")
    links = brought.get_by_role("navigation", name="Views").get_by_role("link")
    expect(links.nth(0)).to_have_accessible_name("Artifacts")
    expect(links.nth(1)).to_have_accessible_name("Harmony Board")
    expect(brought.locator("html")).to_have_class("dense")
    check(brought, "dense", HIGH_CONTRAST)
