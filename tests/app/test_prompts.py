"""Natural prompts on a real repository: composed, played in the sandbox, checked against facts found another way."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def play(symphony: Callable[..., Any], prompt: str, project: Path) -> dict[str, Any]:
    done = symphony("run", prompt, "--project", project, "--yes", "--json")
    assert done.code == 0, (done.err, done.out[-2000:])
    answer: dict[str, Any] = json.loads(done.out)
    assert answer["run"]["status"] == "succeeded"
    assert all(node["status"] == "succeeded" for node in answer["run"]["nodes"])
    return answer


def content(symphony: Callable[..., Any], answer: dict[str, Any], ending: str = "") -> str:
    """The text of the result whose name ends so, or of the last result that is one."""
    texts = [a for a in answer["artifacts"] if a["type"] != "image/png"]
    chosen = [a for a in texts if a["name"].endswith(ending)][-1]
    done = symphony("artifacts", "show", chosen["id"])
    assert done.code == 0, done.err
    return str(done.out)


def players(answer: dict[str, Any]) -> set[str]:
    return {node["player"] for node in answer["run"]["nodes"]}


def commits_by_file(project: Path, since: str = "") -> Counter[str]:
    command = ["git", "-c", "core.quotePath=false", "log", "--no-merges", "--format=", "--name-only"]
    listing = subprocess.run(
        [*command, *([f"--since={since}"] if since else [])],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return Counter(line for line in listing.splitlines() if line)


def test_the_showcase_on_a_small_history(symphony: Callable[..., Any], repository: Path) -> None:
    prompt = "Which files change most and are hardest to maintain? Write me a report with a chart"
    answer = play(symphony, prompt, repository)
    assert {"symphony/git#churn", "symphony/report#markdown", "symphony/report#chart"} <= players(answer)
    assert any(p.startswith("symphony/code#") for p in players(answer))
    report = content(symphony, answer, "report.md")
    top, _ = commits_by_file(repository).most_common(1)[0]
    assert top == "src/core.py"
    assert top in report
    assert "svg" in report or any(a["type"] == "image/svg+xml" for a in answer["artifacts"])


def test_the_showcase_on_this_repository(symphony: Callable[..., Any]) -> None:
    answer = play(
        symphony, "Report with a chart: the files that change most and are hardest to maintain", ROOT
    )
    assert len(content(symphony, answer, "report.md")) > 500


def test_a_chart_as_a_png(symphony: Callable[..., Any], repository: Path, tmp_path: Path) -> None:
    answer = play(symphony, "Which files change most? Show me a bar chart as a PNG", repository)
    [picture] = [a for a in answer["artifacts"] if a["type"] == "image/png"]
    assert (picture["name"], picture["quality"]) == ("chart.png", 1.0) and picture["bytes"] > 5000


def test_commits_by_author(symphony: Callable[..., Any], repository: Path) -> None:
    answer = play(symphony, "How many commits did each author make?", repository)
    lines = subprocess.run(
        ["git", "shortlog", "-sn", "HEAD"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    ).stdout.splitlines()
    shown = content(symphony, answer)
    for line in lines:
        assert line.split("\t")[1] in shown


def test_last_days_limit_what_is_counted(symphony: Callable[..., Any], repository: Path) -> None:
    answer = play(symphony, "Which files changed in the last 30 days?", repository)
    shown = content(symphony, answer)
    assert "src/web.ts" in shown
    assert "README.md" not in shown


def test_todos_in_a_folder(symphony: Callable[..., Any], repository: Path) -> None:
    answer = play(symphony, "List all TODO comments in src/ and write them to a report", repository)
    report = content(symphony, answer, "report.md")
    assert "step 7" in report
    assert "core.py" in report


def test_complex_functions(symphony: Callable[..., Any], repository: Path) -> None:
    answer = play(symphony, "Which functions are the most complex?", repository)
    assert "branchy7" in "".join(content(symphony, answer, a["name"]) for a in answer["artifacts"])


def test_dead_code(symphony: Callable[..., Any], repository: Path) -> None:
    assert "unused" in content(symphony, play(symphony, "Find dead code", repository))


def test_rows_of_a_table(symphony: Callable[..., Any], repository: Path) -> None:
    answer = play(symphony, "Read data/sales.csv and sum the amount by region", repository)
    shown = content(symphony, answer)
    assert "north" in shown
    assert "15" in shown


def test_summary_of_a_text(symphony: Callable[..., Any], repository: Path) -> None:
    assert "Proj" in content(symphony, play(symphony, "Summarise the README", repository))


def test_an_outline(symphony: Callable[..., Any], repository: Path) -> None:
    shown = content(symphony, play(symphony, "Show the outline of src/lib.rs", repository))
    assert "add" in shown


@pytest.mark.parametrize("prompt", ["Book a flight to Paris", "Deploy this to Kubernetes"])
def test_what_cannot_be_done_is_said(symphony: Callable[..., Any], repository: Path, prompt: str) -> None:
    done = symphony("run", prompt, "--project", repository, "--yes", "--json")
    assert done.code == 1
    assert json.loads(done.out)["error"]["code"] == "not_possible"
    done = symphony("compose", prompt, "--project", repository, "--json")
    assert done.code == 1
    answer = json.loads(done.out)
    assert answer["possible"] is False
    assert answer["missing"]


@pytest.mark.parametrize(
    ("prompt", "extension"),
    [
        ("Which licences do the dependencies of this project have?", "symphony/licenses"),
        ("Write release notes from the commits", "symphony/changelog"),
    ],
)
def test_an_extension_that_would_help_is_named(
    symphony: Callable[..., Any], repository: Path, prompt: str, extension: str
) -> None:
    done = symphony("compose", prompt, "--project", repository, "--json")
    assert done.code == 1, done.out
    assert json.loads(done.out)["extensions"] == [extension]
    # What is installed is not refused for it.
    assert symphony("compose", "Find dead code", "--project", repository, "--json").code == 0


def test_each_file_of_a_kind_is_summarised_in_one_report(
    symphony: Callable[..., Any], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "notes").mkdir()
    for name in ("apples", "pears"):
        (project / "notes" / f"{name}.md").write_text(
            f"The {name} grow on trees and are eaten fresh in autumn.\n"
        )
    (project / "notes" / "plums.txt").write_text("Nothing about plums.\n")
    answer = play(symphony, "summarise every Markdown file under notes and write a report", project)
    assert {"symphony/control#map", "symphony/report#markdown"} <= players(answer)
    report = content(symphony, answer, "report.md")
    for name in ("apples", "pears"):
        assert f"## notes/{name}.md" in report and f"The {name} grow on trees" in report
    assert "plums" not in report
    assert report.index("notes/apples.md") < report.index("notes/pears.md")


def test_tests_are_run_again_until_they_pass(symphony: Callable[..., Any], tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "test_luck.py").write_text(
        "import pathlib, unittest\n\n\nclass Luck(unittest.TestCase):\n    def test_third(self):\n"
        "        tries = pathlib.Path('tries.txt')\n"
        "        with tries.open('a') as opened:\n            opened.write('x')\n"
        "        self.assertEqual(tries.read_text(), 'xxx')\n"
    )
    answer = play(symphony, "run the tests until they pass, at most 5 times", project)
    assert players(answer) == {"symphony/control#loop"}
    (loop,) = answer["run"]["nodes"]
    told = "".join(symphony("artifacts", "show", one).out for one in loop["artifacts"])
    assert "'x' != 'xxx'" in told and "'xx' != 'xxx'" in told and "'xxxx'" not in told, (
        "it ends with the third"
    )
