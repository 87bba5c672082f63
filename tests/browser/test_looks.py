"""What a person sees: at every width, in forced colours, and by the keyboard from the prompt to the artifact."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Served
from tests.browser.test_accessibility import AXE, RULES, broken, check, wear
from tests.browser.test_commands import opened
from tests.browser.test_flows import PROMPT, VIEWS, compose, go, play

pytestmark = pytest.mark.browser

FORCED = {"color_scheme": "dark", "contrast": "more", "forced_colors": "active"}
PLAIN = {"color_scheme": "light", "contrast": "no-preference", "forced_colors": "none"}
TOO_WIDE = """() => [document.documentElement, document.getElementById('view')]
    .map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth).filter(over => over > 0)"""


def background(place: Locator) -> str:
    found: str = place.evaluate("element => getComputedStyle(element).backgroundColor")
    return found


@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_no_view_is_wider_than_the_window(page: Page, served: Served, width: int) -> None:
    play(page)
    page.locator('[data-node="chart"]').click()
    expect(page.get_by_role("region", name="chart")).to_be_visible()
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate(TOO_WIDE) == [], "a step"
    for view in VIEWS:
        go(page, view)
        assert page.evaluate(TOO_WIDE) == [], view
    go(page, "Artifacts")
    for name in ("report.md", "churn.files.json", "chart.svg"):
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        assert page.evaluate(TOO_WIDE) == [], name


def test_a_wide_window_is_used(page: Page, served: Served) -> None:
    play(page)
    page.set_viewport_size({"width": 2560, "height": 1300})
    graph = page.get_by_role("group", name="Run of").or_(page.locator(".react-flow")).first
    box = graph.bounding_box()
    assert box is not None and box["width"] > 1700


def test_forced_colours_still_say_what_is_chosen_and_how_far_things_are(page: Page, served: Served) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    play(page)
    page.emulate_media(**FORCED)  # type: ignore[arg-type]
    views = page.get_by_role("navigation", name="Views")
    board, market = (views.get_by_role("link", name=name) for name in ("Harmony Board", "Marketplace"))
    assert background(board) != background(market)
    timeline, logs = (page.get_by_role("radio", name=name) for name in ("Timeline", "Logs"))
    assert background(timeline) != background(logs)
    bar = page.locator("[data-timeline] [data-bar]").first
    assert background(bar) != background(page.locator("body"))
    page.locator('[data-node="chart"]').click()
    expect(page.locator(".react-flow__node.selected > *")).to_have_css("outline-style", "solid")
    check(page, "a step in forced colours", (FORCED,))
    page.emulate_media(**FORCED)  # type: ignore[arg-type]
    go(page, "Marketplace")
    switches = page.get_by_role("switch")
    on, off = (
        switches.and_(page.locator('[data-state="checked"]')),
        switches.locator('xpath=self::*[@data-state="unchecked"]'),
    )
    on.first.click()
    expect(off.first).to_be_visible()
    assert background(off.first) != background(on.first)
    opened(page)
    options = page.get_by_role("option")
    assert background(options.first) != background(options.nth(1))
    page.keyboard.press("Escape")
    page.emulate_media(**PLAIN)  # type: ignore[arg-type]


def test_no_view_breaks_a_rule_in_forced_colours(page: Page, served: Served) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    play(page)
    for view in (*VIEWS, "History"):
        page.get_by_role("link", name=view, exact=True).click()
        expect(page.get_by_role("heading", level=1, name=view)).to_be_visible()
        wear(page, FORCED)
        assert broken(page, {"type": "tag", "values": RULES}) == [], view


@pytest.mark.parametrize("theme", [PLAIN, FORCED], ids=["plain", "forced"])
def test_every_element_that_has_the_focus_shows_it(page: Page, served: Served, theme: dict[str, str]) -> None:
    page.emulate_media(**theme)  # type: ignore[arg-type]
    play(page)
    page.locator("body").click(position={"x": 1430, "y": 890})
    unseen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        unseen += page.evaluate(
            """() => {
                const element = document.activeElement
                if (!element || element === document.body) return []
                // What covers a whole row shows it by what lies over the row.
                const shown = [getComputedStyle(element), getComputedStyle(element, '::after')]
                    .some(({ outlineStyle, outlineWidth }) => outlineStyle !== 'none' && parseFloat(outlineWidth) > 0)
                    || getComputedStyle(element).boxShadow !== 'none'
                return shown ? [] : [element.outerHTML.slice(0, 160)]
            }"""
        )
    assert unseen == []


def test_from_the_prompt_to_the_artifact_by_the_keyboard_alone(page: Page, served: Served) -> None:
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.focus()
    page.keyboard.type(PROMPT[:12])
    expect(page.locator("[data-rest]")).to_contain_text(PROMPT[12:])
    page.keyboard.press("ArrowRight")
    expect(prompt).to_have_value(PROMPT)
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Play").wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Play":
            break
    page.keyboard.press("Enter")
    page.locator('[data-run-state="succeeded"]').wait_for()
    opened(page)
    page.keyboard.type("open report.md")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Artifacts")).to_be_visible()
    expect(page.get_by_role("heading", name="Hotspots", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Hotspots", exact=True)).to_be_visible()
    go(page, "Compose")
    prompt.focus()
    prompt.press("Control+Home")
    prompt.press("ArrowUp")
    expect(prompt).to_have_value(PROMPT)


def test_several_pasted_lines_stay_several_lines(page: Page, served: Served) -> None:
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.focus()
    page.keyboard.insert_text("first, list the files\nthen, draw a chart\nof their sizes")
    expect(prompt).to_have_value("first, list the files\nthen, draw a chart\nof their sizes")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Play").wait_for()
    assert served.host.calls[-1] == (
        "submit_prompt",
        ("first, list the files\nthen, draw a chart\nof their sizes",),
    )


def test_the_keys_are_shown_but_not_while_one_writes(page: Page, served: Served) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.focus()
    page.keyboard.type("what?")
    expect(prompt).to_have_value("what?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Commands").first.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Ctrl K")
    check(page, "keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_two_runs_are_compared(page: Page, served: Served) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    compose(page)
    page.get_by_role("button", name="Play").click()
    page.locator('[data-run-state="succeeded"]').wait_for()
    page.get_by_role("button", name="Play again").click()
    page.get_by_role("button", name="Compare").click()
    region = page.get_by_role("region", name="Two runs compared")
    expect(region.get_by_role("table")).to_contain_text("the same")
    check(page, "compared")
    region.get_by_role("button", name="churn").click()
    expect(page.get_by_role("region", name="churn", exact=True)).to_contain_text("In the plan because")
