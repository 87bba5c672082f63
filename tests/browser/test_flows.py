"""What a person does on the page, by the names that the contracts fix, in a real browser."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Served

pytestmark = pytest.mark.browser

PROMPT = "Which files change most and are hardest to maintain? Write me a report with a chart"
VIEWS = ["Compose", "Harmony Board", "Artifacts", "Polyphony Store", "Marketplace", "Settings"]


def go(page: Page, view: str) -> None:
    link = page.get_by_role("navigation", name="Views").get_by_role("link", name=view, exact=True)
    link.click()
    expect(link).to_have_attribute("aria-current", "page")


def compose(page: Page) -> None:
    page.get_by_role("textbox", name="Prompt").fill(PROMPT)
    page.get_by_role("button", name="Compose").click()
    page.get_by_role("button", name="Play").wait_for()


def play(page: Page) -> None:
    compose(page)
    page.get_by_role("button", name="Play").click()
    page.locator('[data-run-state="succeeded"]').wait_for()


def test_a_prompt_becomes_a_report(page: Page, served: Served) -> None:
    served.hold()
    compose(page)
    expect(page.locator("[data-node]")).to_have_count(6)
    expect(page.locator('[data-node="churn"]')).to_have_attribute("data-state", "pending")
    page.get_by_role("button", name="Play").click()
    expect(page.locator('[data-node="churn"]')).to_have_attribute("data-state", "running")
    expect(page.locator('[data-node="report"]')).to_have_attribute("data-state", "pending")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    served.let_go()
    expect(page.locator('[data-node][data-state="succeeded"]')).to_have_count(6)
    expect(page.get_by_role("status")).to_contain_text("hotspots succeeded")
    page.get_by_role("link", name="report.md").click()
    expect(page.get_by_role("heading", name="Hotspots", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="Chart", exact=True)).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_each_kind_of_artifact_has_its_viewer(page: Page) -> None:
    play(page)
    go(page, "Artifacts")
    page.get_by_role("link", name="churn.files.json").click()
    expect(page.get_by_role("table", name="churn.files.json").get_by_role("row")).to_have_count(25)
    page.get_by_role("button", name="complexity").click()
    page.get_by_role("searchbox", name="Filter rows").fill("module_7")
    expect(page.get_by_role("table", name="churn.files.json").get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Source").click()
    expect(page.get_by_role("textbox", name="churn.files.json")).to_contain_text("module_0.py")
    page.get_by_role("link", name="chart.svg").click()
    picture = page.get_by_role("img", name="chart.svg")
    expect(picture).to_have_js_property("naturalWidth", 420)
    assert page.get_by_text("engine.py").count() == 0
    page.get_by_role("searchbox", name="Search artifacts").fill("hardest to maintain")
    expect(page.get_by_role("link", name=re.compile(r"\.(md|svg|csv|json)$"))).to_have_count(1)


def test_an_artifact_is_downloaded_whole(page: Page, tmp_path: Path) -> None:
    play(page)
    page.get_by_role("link", name="report.md").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "report.md"
    download.value.save_as(tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text("utf-8").startswith("# Hotspots")


def test_a_failed_step_shows_its_error_and_resumes(page: Page, served: Served) -> None:
    served.host.fail_node = "chart"
    compose(page)
    page.get_by_role("button", name="Play").click()
    expect(page.locator('[data-node="chart"]')).to_have_attribute("data-state", "failed")
    page.locator('[data-node="chart"]').click()
    details = page.get_by_role("region", name="chart")
    expect(details).to_contain_text("ruff is not installed")
    expect(details.get_by_role("log")).to_contain_text("symphony/report#chart")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator('[data-node][data-state="succeeded"]')).to_have_count(6)
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)


def test_an_extension_is_installed_with_consent_and_removed(page: Page) -> None:
    go(page, "Marketplace")
    page.get_by_role("searchbox", name="Search extensions").fill("changelog")
    expect(page.get_by_role("article")).to_have_count(1)
    entry = page.get_by_role("article", name="acme/changelog")
    entry.get_by_role("button", name="Install").click()
    dialog = page.get_by_role("dialog", name="Permissions")
    expect(dialog).to_contain_text("change CHANGELOG.md of the open project")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    entry.get_by_role("button", name="Install").click()
    dialog.get_by_role("button", name="Allow and install").click()
    entry.get_by_role("button", name="Remove").click()
    expect(entry.get_by_role("button", name="Install")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("acme/changelog was removed")


def test_what_is_not_possible_leads_to_the_marketplace(page: Page) -> None:
    page.get_by_role("textbox", name="Prompt").fill("tell me the weather")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("The installed Players cannot do this").first).to_be_visible()
    page.get_by_role("link", name="acme/weather").click()
    expect(page.get_by_role("article", name="acme/weather")).to_be_visible()


def test_a_melody_is_edited_by_drag_and_saved(page: Page, served: Served) -> None:
    compose(page)
    page.get_by_role("button", name="Edit").click()
    expect(page.locator(".react-flow__handle").first).to_be_visible()
    page.get_by_role("button", name="Add data · top").drag_to(
        page.locator(".react-flow__pane"), target_position={"x": 120, "y": 330}
    )
    expect(page.locator('[data-node="top2"]')).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("The input rows is not connected")
    expect(page.get_by_role("button", name="Play")).to_be_disabled()
    source = page.locator('.react-flow__node[data-id="join"] .react-flow__handle-right')
    source.drag_to(page.locator('.react-flow__node[data-id="top2"] .react-flow__handle-left'))
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("textbox", name="Name").fill("mine")
    page.get_by_role("button", name="Save Melody").click()
    go(page, "Polyphony Store")
    page.get_by_role("link", name="mine").click()
    expect(page.locator("[data-node]")).to_have_count(7)


def test_a_parameter_is_changed_in_the_preview(page: Page, served: Served) -> None:
    compose(page)
    page.get_by_text("Parameters: count 10").click()
    page.get_by_role("textbox", name="count").fill("3")
    page.get_by_role("button", name="Play").click()
    page.locator('[data-run-state="succeeded"]').wait_for()
    document = served.host.calls[-1][1][0]
    assert next(node for node in document["nodes"] if node["id"] == "top")["params"]["count"] == 3


def test_a_saved_melody_is_played_in_manual_mode(page: Page) -> None:
    page.get_by_role("radio", name="Manual").click()
    page.get_by_role("button", name="review-risk").click()
    page.get_by_role("button", name="Play").click()
    expect(page.locator('[data-run-state="succeeded"]')).to_be_visible()


def test_a_reload_finds_the_page_as_it_was(page: Page) -> None:
    play(page)
    go(page, "Marketplace")
    page.get_by_role("searchbox", name="Search extensions").fill("weather")
    expect(page.get_by_role("article")).to_have_count(1)
    assert "token" not in page.url
    page.reload()
    expect(page.get_by_role("searchbox", name="Search extensions")).to_have_value("weather")
    expect(page.get_by_role("article")).to_have_count(1)
    go(page, "Compose")
    expect(page.locator("[data-node]")).to_have_count(6)


def test_a_gap_in_the_patches_brings_the_whole_tree(page: Page, served: Served) -> None:
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda text: frames.append(str(text))))
    drop = """
        const real = WebSocket
        window.WebSocket = class extends real {
          set onmessage(handler) {
            super.onmessage = (event) => {
              if (window.dropNext && event.data.includes('"ui.patch"')) { window.dropNext = false; return }
              handler(event)
            }
          }
        }
    """
    page.add_init_script(drop)
    page.reload()
    page.get_by_role("textbox", name="Prompt").wait_for()
    page.evaluate("window.dropNext = true")
    page.get_by_role("button", name=re.compile("Theme")).click()
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Marketplace").click()
    expect(page.get_by_role("article").first).to_be_visible()
    assert any('"ui.reset"' in frame for frame in frames)
    expect(page.locator("html")).not_to_have_class(re.compile("dark"))


def test_the_whole_path_by_keyboard_alone(page: Page) -> None:
    def reach(role: str, name: str) -> None:
        wanted = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
        wanted.wait_for()
        for _ in range(80):
            if wanted.evaluate("element => element === document.activeElement"):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"{role} {name} cannot be reached by Tab")

    reach("textbox", "Prompt")
    page.keyboard.type(PROMPT)
    page.keyboard.press("Control+Enter")
    reach("button", "Play")
    page.keyboard.press("Enter")
    page.locator('[data-run-state="succeeded"]').wait_for()
    reach("link", "report.md")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Hotspots")).to_be_visible()
    reach("link", "Marketplace")
    page.keyboard.press("Enter")
    reach("searchbox", "Search extensions")
    page.keyboard.type("acme/words")
    expect(page.get_by_role("article")).to_have_count(1)
    reach("button", "Install")
    page.keyboard.press("Enter")
    reach("button", "Allow and install")
    page.keyboard.press("Enter")
    reach("button", "Remove")


def test_a_dialog_gives_the_focus_back(page: Page) -> None:
    compose(page)
    save = page.get_by_role("button", name="Save")
    for close in ("Escape", "Enter"):
        save.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("textbox", name="Name")).to_be_focused()
        (page.keyboard if close == "Escape" else dialog.get_by_role("button", name="Cancel")).press(close)
        expect(dialog).to_have_count(0)
        expect(save).to_be_focused()


def test_the_theme_follows_the_system_and_the_choice(page: Page) -> None:
    html = page.locator("html")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_class(re.compile("dark"))
    go(page, "Settings")
    page.get_by_role("radio", name="Light").click()
    expect(html).not_to_have_class(re.compile("dark"))


def test_a_lost_connection_is_joined_again(page: Page, served: Served) -> None:
    go(page, "Marketplace")
    expect(page.get_by_role("article").first).to_be_visible()
    served.drop_connections()
    page.get_by_role("alert").filter(has_text="The connection to the host is lost").wait_for()
    expect(page.get_by_text("The connection to the host is lost")).to_have_count(0)
    go(page, "Settings")
    expect(page.get_by_role("searchbox", name="Search settings")).to_be_visible()


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_every_view_fits_its_width(page: Page, width: int) -> None:
    play(page)
    page.set_viewport_size({"width": width, "height": 844})
    for view in VIEWS:
        go(page, view)
        over = page.evaluate(
            "document.getElementById('view').scrollWidth - document.getElementById('view').clientWidth"
        )
        assert over <= 0, view
    if width == 390:
        go(page, "Compose")
        expect(page.get_by_role("button", name="Play")).to_be_visible()


EDGES_OFF = """() => [...document.querySelectorAll('.react-flow__edge')].filter((edge) => {
    const path = edge.querySelector('.react-flow__edge-path')
    const matrix = path.getScreenCTM()
    const at = (length) => path.getPointAtLength(length).matrixTransform(matrix)
    const [from, to] = [at(0), at(path.getTotalLength())]
    const [source, target] = edge.dataset.id.split('→').map(
        (end) => document.querySelector(`[data-node="${end.split('.')[0]}"]`).getBoundingClientRect())
    const middle = (box) => [(box.left + box.right) / 2, (box.top + box.bottom) / 2]
    const far = (point, x, y) => Math.max(Math.abs(point.x - x), Math.abs(point.y - y))
    const across = Math.max(
        far(from, source.right, middle(source)[1]), far(to, target.left, middle(target)[1]))
    const down = Math.max(
        far(from, middle(source)[0], source.bottom), far(to, middle(target)[0], target.top))
    return Math.min(across, down) > 6
}).length"""


def test_edges_end_at_their_nodes_whichever_way_the_graph_turns(page: Page, served: Served) -> None:
    chain = copy.deepcopy(served.host.melodies["m-1"])
    chain["nodes"], chain["edges"] = chain["nodes"][2:5], chain["edges"][2:4]
    served.host.melodies["m-1"] = chain
    go(page, "Polyphony Store")
    page.get_by_role("link", name="review-risk").click()
    expect(page.locator("[data-node]")).to_have_count(3)
    ways = set()
    for width in (1440, 390, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_function(f"() => ({EDGES_OFF})() === 0")
        first, last = (page.locator(f'[data-node="{node}"]').bounding_box() for node in ("join", "chart"))
        assert first and last
        ways.add("across" if last["x"] > first["x"] + first["width"] else "down")
        in_view = page.evaluate(
            "() => [...document.querySelectorAll('[data-node]')].every((node) => {"
            "const a = node.getBoundingClientRect(), b = node.closest('.react-flow').getBoundingClientRect();"
            "return a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom })"
        )
        assert in_view, width
    assert ways == {"across", "down"}


def test_a_page_without_the_token_says_what_to_do(page: Page, served: Served) -> None:
    page.evaluate("sessionStorage.setItem('token', 'of another start')")
    page.reload()
    expect(page.get_by_role("heading", name="This page is not signed in")).to_be_visible()


def test_a_long_list_scrolls_beside_what_it_opens(page: Page, served: Served) -> None:
    for number in range(150):
        served.host.keep(f"note-{number}.md", "text/markdown", f"# Note {number}".encode())
    go(page, "Artifacts")
    link = page.get_by_role("link", name="note-60.md")
    link.scroll_into_view_if_needed()
    link.click()
    expect(page.get_by_role("heading", name="Note 60")).to_be_in_viewport()
    expect(link).to_be_in_viewport()
    expect(page.get_by_role("button", name="Show more")).to_have_count(1)


def test_what_is_not_shown_whole_is_said(page: Page, served: Served) -> None:
    served.host.keep("large.txt", "text/plain", b"a line of a large text\n" * 100_000)
    served.host.keep("nothing.txt", "text/plain", b"")
    go(page, "Artifacts")
    page.get_by_role("link", name="large.txt").click()
    expect(page.get_by_text("The first 2.1 MB of the text are shown")).to_be_visible()
    page.get_by_role("link", name="nothing.txt").click()
    expect(page.get_by_text("It is empty.")).to_be_visible()
