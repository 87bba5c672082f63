"""The page of the real host in a real browser: prompt, preview, run, artifact, marketplace; and the real window."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.app.test_survival import melody, started, until

SHOWCASE = "Which files change most and are hardest to maintain? Write me a report with a chart"
PATIENCE = 60_000

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = playwright.chromium.launch(
        executable_path="/usr/bin/chromium",
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
        ],
    )
    yield chromium
    chromium.close()


@pytest.fixture
def page(browser: Browser, home: Path, repository: Path) -> Iterator[Page]:
    """The page of a host that has the small repository open; no error of the page goes unseen."""
    with started(home, "serve", "--project", repository) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield page
        context.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert troubles == []


def test_a_prompt_is_played_and_its_report_read(page: Page) -> None:
    page.get_by_role("textbox", name="Prompt").fill(SHOWCASE)
    page.get_by_role("button", name="Compose").click()
    expect(page.locator("[data-node]").first).to_be_visible()
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("link", name="Harmony Board").click()
    nodes = page.locator("[data-node]")
    expect(nodes.first).to_be_visible()
    expect(page.locator("[data-node]:not([data-state=succeeded])")).to_have_count(0)
    assert nodes.count() >= 3
    page.get_by_role("link", name="Artifacts").click()
    page.get_by_role("link", name=re.compile("report.md")).first.click()
    expect(page.get_by_text("src/core.py").first).to_be_visible()


def test_an_extension_is_installed_with_consent_and_removed(page: Page) -> None:
    page.get_by_role("link", name="Marketplace").click()
    page.get_by_role("searchbox", name="Search extensions").fill("licenses")
    # The list is the search's answer before anything in it is pressed: rows that move take no click.
    expect(page.get_by_role("article")).to_have_count(1)
    entry = page.get_by_role("article", name=re.compile("licenses"))
    entry.get_by_role("button", name="Install").click()
    dialog = page.get_by_role("dialog", name="Permissions")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(entry.get_by_role("button", name="Install")).to_be_visible()
    entry.get_by_role("button", name="Install").click()
    dialog.get_by_role("button", name="Allow and install").click()
    expect(entry.get_by_role("button", name="Remove")).to_be_visible()
    entry.get_by_role("button", name="Remove").click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Remove")
    if confirm.count():
        confirm.click()
    expect(entry.get_by_role("button", name="Install")).to_be_visible()


def import_melody(page: Page, file: Path) -> None:
    page.get_by_role("link", name="Polyphony Store").click()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("dialog", name="Permissions").get_by_role("button", name="Allow and play").click()
    page.locator("[data-run-state]").wait_for()


def test_a_failed_step_is_opened_with_its_error_and_its_log(page: Page, tmp_path: Path) -> None:
    import_melody(page, melody(tmp_path, "echo fine", "echo broken pipe >&2; exit 3", "echo never"))
    expect(page.locator("[data-node=s1]")).to_have_attribute("data-state", "failed")
    expect(page.locator("[data-node=s2]")).to_have_attribute("data-state", "skipped")
    details = page.get_by_role("region", name="s1")
    expect(details.get_by_role("log")).to_contain_text("broken pipe")
    expect(page.get_by_role("alert").filter(has_text="broken pipe")).to_have_count(1)
    expect(page.get_by_text("1 of 3 done")).to_be_visible()


def test_a_step_that_asks_is_answered_on_the_board(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "format: symphony.melody/1\nname: ask\nnodes:\n"
        "  - {id: first, kind: operator, player: symphony/shell#run, params: {command: [echo, one]}}\n"
        "  - {id: gate, kind: control, player: symphony/control#approve, params: {message: Go on?}}\n"
        "edges:\n  - {kind: control, from: first, to: gate}\n"
    )
    import_melody(page, file)
    expect(page.get_by_role("heading", name="Go on?")).to_be_visible()
    page.get_by_role("textbox", name="Comment").fill("seen")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator('[data-run-state="succeeded"]')).to_be_visible()
    expect(page.get_by_role("heading", name="Go on?")).to_have_count(0)


def test_what_cannot_be_done_is_said(page: Page) -> None:
    page.get_by_role("textbox", name="Prompt").fill("Book a flight to Paris")
    page.get_by_role("button", name="Compose").click()
    expect(page.get_by_text("book a flight to Paris", exact=False).last).to_be_visible()
    expect(page.locator("[data-node]")).to_have_count(0)


@pytest.mark.desktop
def test_the_real_window_opens(home: Path, repository: Path) -> None:
    """`symphony app` under Xvfb: the window is there, titled, and shows the page."""
    read, write = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1440x900x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as display:
        number = display.readline().strip()
    try:
        _look_for_window(number, home, repository)
    finally:
        screen.terminate()
        screen.wait()


def _look_for_window(number: str, home: Path, repository: Path) -> None:
    env = {**os.environ, "SYMPHONY_HOME": str(home), "DISPLAY": f":{number}", "QT_QUICK_BACKEND": "software"}
    process = subprocess.Popen(
        [str(Path(sys.prefix) / "bin" / "symphony"), "app", "--project", str(repository)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        page = "a page that has authenticated"

        def shown() -> bool:
            assert process.poll() is None, process.communicate()[1]
            log = (
                "".join(f.read_text() for f in (home / "logs").glob("*.jsonl"))
                if (home / "logs").exists()
                else ""
            )
            return "page connected" in log

        until(shown, page, 60)
    finally:
        process.terminate()
        process.communicate(timeout=30)
