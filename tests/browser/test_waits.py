"""The Harmony Board says what a step that is ready waits for, in the arbiter's words."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served
from tests.browser.test_flows import compose

pytestmark = pytest.mark.browser

WORDS = "waits for 1.2 GiB of memory held by churn"


def test_a_ready_step_says_what_it_waits_for(page: Page, served: Served) -> None:
    served.hold()
    served.host.waits = {"complexity": WORDS}
    compose(page)
    page.get_by_role("button", name="Play").click()
    step = page.locator('[data-node="complexity"]')
    expect(step).to_have_attribute("data-state", "ready")
    expect(step).to_contain_text(WORDS)
    expect(step).to_have_attribute("title", f"complexity {WORDS}")
    expect(page.locator('[data-node="churn"]')).not_to_contain_text("waits for")
    step.click()
    details = page.get_by_role("region", name="complexity")
    expect(details).to_contain_text(WORDS)
    served.let_go()
    expect(step).to_have_attribute("data-state", "succeeded")
    expect(step).not_to_contain_text("waits for")
    expect(details).not_to_contain_text("waits for")
