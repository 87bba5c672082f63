"""No view breaks a rule of axe-core, in any theme, empty, full, failed, asking or without a connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served
from tests.browser.test_flows import VIEWS, compose, go, play

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
DARK = {"color_scheme": "dark", "contrast": "no-preference"}
HIGH_CONTRAST = (
    {"color_scheme": "dark", "contrast": "more"},
    {"color_scheme": "light", "contrast": "more"},
)
LIGHT = {"color_scheme": "light", "contrast": "no-preference"}


@pytest.fixture
def themed(page: Page) -> Page:
    """The page with axe-core in it."""
    page.evaluate(AXE.read_text("utf-8"))
    return page


def wear(page: Page, theme: dict[str, str]) -> None:
    """Puts a theme on and waits until every colour has changed."""
    page.emulate_media(**theme)  # type: ignore[arg-type]
    page.wait_for_function(
        """dark => document.documentElement.classList.contains('dark') === dark
            && document.getAnimations().length === 0""",
        arg=theme["color_scheme"] == "dark",
        timeout=60_000,
    )


def check(page: Page, where: str, themes: tuple[dict[str, str], ...] = (DARK,)) -> None:
    """Fails with the rules that are broken, and by what: all rules in one theme, colours in the others."""
    assert broken(page, {"type": "tag", "values": RULES}) == [], where
    for theme in themes:
        wear(page, theme)
        assert broken(page, {"type": "rule", "values": ["color-contrast"]}) == [], (where, theme)
    wear(page, LIGHT)


def broken(page: Page, rules: dict[str, object]) -> list[str]:
    found: list[str] = page.evaluate(
        """async (rules) => {
            const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ['violations'] })
            return violations.flatMap(({ id, nodes }) => nodes.map(
                ({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`))
        }""",
        rules,
    )
    return found


def test_every_view_with_nothing_in_it(themed: Page, served: Served) -> None:
    served.host.melodies.clear()
    for view in VIEWS:
        go(themed, view)
        check(themed, view)


def test_every_view_with_much_in_it(themed: Page, served: Served) -> None:
    served.host.fail_node = "chart"
    compose(themed)
    check(themed, "preview", (DARK, *HIGH_CONTRAST))
    themed.get_by_text("Parameters: count 10").click()
    themed.get_by_role("button", name="Edit").click()
    themed.locator('[data-node="top"]').click()
    expect(themed.get_by_role("searchbox", name="Search steps")).to_be_visible()
    check(themed, "editor")
    themed.get_by_role("button", name="Save").click()
    check(themed, "dialog")
    themed.keyboard.press("Escape")
    themed.get_by_role("button", name="Play").click()
    expect(themed.get_by_role("region", name="chart")).to_contain_text("ruff is not installed")
    check(themed, "failed run", (DARK, *HIGH_CONTRAST))
    for part in ("Logs", "Metrics"):
        themed.get_by_role("radio", name=part).click()
        check(themed, part)
    go(themed, "Polyphony Store")
    themed.get_by_role("link", name="review-risk").click()
    themed.get_by_role("button", name="Validate").click()
    expect(themed.get_by_text("The Melody is valid").last).to_be_visible()
    check(themed, "saved Melody", (DARK, *HIGH_CONTRAST))
    go(themed, "Marketplace")
    themed.get_by_role("article", name="acme/changelog").get_by_role("button", name="Install").click()
    themed.get_by_role("dialog", name="Permissions").wait_for()
    check(themed, "permissions")
    themed.keyboard.press("Escape")
    themed.get_by_role("button", name="Uses of permissions").click()
    themed.get_by_role("table", name="Uses of permissions").wait_for()
    check(themed, "Marketplace", (DARK, *HIGH_CONTRAST))
    go(themed, "Settings")
    themed.get_by_role("searchbox", name="Search settings").fill("capacity")
    box = themed.get_by_role("textbox", name="pit.pool.capacity")
    box.fill("0")
    box.press("Enter")
    expect(themed.get_by_text("whole number").first).to_be_visible()
    check(themed, "Settings", (DARK, *HIGH_CONTRAST))


def test_every_viewer(themed: Page, served: Served) -> None:
    play(themed)
    go(themed, "Artifacts")
    for name, role, shown in (
        ("report.md", "checkbox", "Done"),
        ("chart.svg", "img", "chart.svg"),
        ("churn.files.json", "table", "churn.files.json"),
    ):
        themed.get_by_role("link", name=name).click()
        themed.locator("#view").get_by_role(role, name=shown).last.wait_for()  # type: ignore[arg-type]
        check(themed, name)
    themed.get_by_role("button", name="Source").click()
    themed.get_by_role("textbox", name="churn.files.json").wait_for()
    check(themed, "source")


def test_what_goes_wrong(themed: Page, served: Served) -> None:
    themed.get_by_role("button", name="Compose").click()
    expect(themed.get_by_text("The prompt is empty").last).to_be_visible()
    check(themed, "empty prompt")
    themed.get_by_role("textbox", name="Prompt").fill("tell me the weather")
    themed.keyboard.press("Control+Enter")
    themed.get_by_role("link", name="acme/weather").wait_for()
    check(themed, "not possible")
    themed.get_by_role("button", name="Project").click()
    themed.get_by_role("textbox", name="Folder").fill("/missing")
    themed.keyboard.press("Enter")
    expect(themed.get_by_role("dialog").get_by_text("does not exist")).to_be_visible()
    check(themed, "unknown folder")


def test_a_narrow_page(themed: Page) -> None:
    play(themed)
    themed.set_viewport_size({"width": 390, "height": 844})
    for view in VIEWS:
        go(themed, view)
        check(themed, view)
