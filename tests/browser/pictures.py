"""Takes the pictures of the documentation from the real host: `python -m tests.browser.pictures docs/pictures`.

Every view in both themes, after the prompt of the README was played on this repository. The picture shows the project
as `~/symphony`, wherever it lies.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.app.test_page import SHOWCASE
from tests.app.test_survival import started
from tests.browser.conftest import ARGUMENTS, chromium

ROOT = Path(__file__).parents[2]
SIZE = {"width": 1280, "height": 800}
PATIENCE = 120_000
VIEWS = ("Artifacts", "Polyphony Store", "Marketplace", "Learning", "Settings", "History")
THEMES = ("light", "dark")

RENAME = """([path, shown]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const node = texts.currentNode
    if (node.data.includes(path)) node.data = node.data.replaceAll(path, shown)
  }
}"""


def _command(page: Page, name: str) -> None:
    """Does what is called `name` in the command palette."""
    page.keyboard.press("Control+K")
    page.get_by_role("combobox", name="Search commands").fill(name)
    page.get_by_role("option", name=name).first.click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def _open(page: Page, view: str) -> None:
    _command(page, f"Go to {view}")
    expect(page.get_by_role("heading", level=1, name=view)).to_be_visible()


@contextmanager
def _opened(folder: Path, project: Path) -> Iterator[Page]:
    """The page of a host that has the project open."""
    (folder / "home").mkdir()
    with started(folder / "home", "serve", "--project", project) as process, sync_playwright() as playwright:
        assert process.stdout is not None
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_context(viewport=SIZE, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(process.stdout.readline().strip())
        yield page
        browser.close()
        process.terminate()
        process.wait(30)


class Camera:
    """Takes a view in both themes into a folder."""

    def __init__(self, page: Page, folder: Path, project: Path) -> None:
        self._page, self._folder, self._project = page, folder, project

    def take(self, name: str) -> None:
        """`name-light.png` and `name-dark.png`."""
        for theme in THEMES:
            self._page.emulate_media(color_scheme=theme)
            self._page.evaluate(RENAME, [str(self._project), "~/symphony"])
            self._page.screenshot(path=self._folder / f"{name}-{theme}.png", animations="disabled")
            print(self._folder / f"{name}-{theme}.png")


def main(target: Path) -> None:
    """Plays the showcase and walks through the views."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "symphony"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(project)], check=True)
        with _opened(Path(folder), project) as page:
            camera = Camera(page, target, project)
            page.get_by_role("textbox", name="Prompt").fill(SHOWCASE)
            expect(page.get_by_role("heading", name="Try one of these")).to_be_visible()
            camera.take("prompt")
            page.get_by_role("button", name="Compose").click()
            expect(page.locator("[data-node]").first).to_be_visible()
            camera.take("compose")
            page.get_by_role("button", name="Save", exact=True).click()
            page.get_by_role("dialog").get_by_role("button", name="Save").click()
            expect(page.get_by_role("dialog")).to_have_count(0)
            page.get_by_role("button", name="Play", exact=True).click()
            expect(page.locator('[data-run-state="succeeded"]')).to_be_visible()
            expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
            expect(page.get_by_role("img", name="Score by file")).to_be_attached()
            camera.take("board")
            page.locator('[data-node="hotspots"]').click()
            expect(page.get_by_role("heading", name="Made")).to_be_visible()
            camera.take("step")
            page.get_by_role("button", name="Close", exact=True).click()
            page.keyboard.press("Control+K")
            expect(page.get_by_role("combobox", name="Search commands")).to_be_visible()
            camera.take("commands")
            page.keyboard.press("Escape")
            for view in VIEWS:
                _open(page, view)
                if view == "Artifacts":
                    page.get_by_role("link", name=re.compile("report.md")).first.click()
                if view == "Polyphony Store":
                    page.locator("#view").get_by_role("link").first.click()
                    expect(page.locator("[data-node]").first).to_be_visible()
                expect(page.locator("#view").get_by_role("heading").nth(1)).to_be_visible()
                camera.take(view.lower().replace(" ", "-"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
