"""The git Player against what git itself says."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

from symphony.sdk import PlayerFailure


def test_log_is_git_rev_list(player, history):
    commits = player("git", history.root).call("log")["commits"]
    assert [c["hash"] for c in commits] == history.git("rev-list", "HEAD").split()
    assert len(commits) == 12
    first = commits[-1]
    assert (first["subject"], first["body"], first["author"], first["email"]) == (
        "Start",
        "With an engine.",
        "Ada Lovelace",
        "ada@example.org",
    )
    assert first["date"] == "2024-01-02T12:00:00+01:00"
    assert [c["subject"] for c in commits if c["merge"]] == ["Merge the tests"]


@pytest.mark.parametrize(
    ("params", "arguments"),
    [
        ({"author": "grace"}, ["--author=Grace"]),
        ({"author": "José"}, ["--author=José"]),
        ({"path": "src/engine.py"}, ["--", "src/engine.py"]),
        ({"path": "daten/überblick größe.csv"}, ["--", "daten/überblick größe.csv"]),
        ({"text": "speed"}, ["-i", "--grep=speed"]),
        ({"limit": 3}, ["-3"]),
        ({"since": "2024-01-06"}, ["--since=2024-01-06T00:00:00"]),
        (
            {"since": "2024-01-04", "until": "2024-01-06"},
            ["--since=2024-01-04T00:00:00", "--until=2024-01-06T23:59:59"],
        ),
        ({"since": "1d"}, ["--since=yesterday"]),
        ({"since": "200y"}, []),
    ],
)
def test_log_filters_as_git_does(player, history, params, arguments):
    commits = player("git", history.root).call("log", params)["commits"]
    expected = history.git("log", "--format=%H", *arguments).split()
    assert [c["hash"] for c in commits] == expected


def test_churn_counts_commits_per_file_across_renames(player, history):
    files = player("git", history.root).call("churn")["files"]
    counts = {row["file"]: row["commits"] for row in files}
    for name in (
        "src/engine.py",
        "src/grammar.py",
        "README.md",
        "daten/überblick größe.csv",
        'odd "name"\tx.txt',
    ):
        followed = history.git("log", "--follow", "--no-merges", "--format=%H", "--", name).split()
        assert counts[name] == len(followed), name
    assert "src/parser.py" not in counts
    assert files[0]["file"] == "src/engine.py"
    gone = next(row for row in files if row["file"] == "docs/read me.md")
    assert gone["exists"] is False and gone["deleted"] == 1


def test_churn_without_renames_is_name_only_counting(player, history):
    files = player("git", history.root).call("churn", {"follow_renames": False})["files"]
    names = history.git("log", "-z", "--name-only", "--no-merges", "--format=", "--no-renames").replace(
        "\0\0", "\0"
    )
    expected = Counter(name.strip("\n") for name in names.split("\0") if name.strip("\n"))
    counted = {row["file"]: row["commits"] for row in files}
    assert counted["src/engine.py"] == expected["src/engine.py"] == 5
    assert set(counted) == set(expected)


@pytest.mark.parametrize("page", [1, 5, 12, 13])
def test_pages_join_without_gap(player, history, page):
    whole = player("git", history.root).call("churn")["files"]
    git = player("git", history.root)
    git.player._functions["log"].function.__globals__["_PAGE"] = page
    assert git.call("churn")["files"] == whole
    assert len(git.call("log")["commits"]) == 12
    assert len(git.call("log", {"limit": 7})["commits"]) == 7


def test_churn_adds_up_lines_and_people(player, history):
    row = player("git", history.root).call("churn", {"path": "src/engine.py"})["files"]
    assert len(row) == 1
    numbers = [
        line.split("\t")[:2]
        for line in history.git("log", "--numstat", "--format=", "--", "src/engine.py").splitlines()
        if line
    ]
    assert row[0]["added"] == sum(int(a) for a, _ in numbers)
    assert row[0]["deleted"] == sum(int(d) for _, d in numbers)
    assert row[0]["authors"] == 2
    assert row[0]["last_author"] == "Grace Hopper"


def test_churn_narrows(player, history):
    git = player("git", history.root)
    assert {r["file"] for r in git.call("churn", {"path": "src"})["files"]} == {
        "src/engine.py",
        "src/grammar.py",
        "src/__init__.py",
    }
    assert len(git.call("churn", {"limit": 2})["files"]) == 2
    assert all(r["exists"] for r in git.call("churn", {"existing_only": True})["files"])
    assert {r["file"] for r in git.call("churn", {"author": "josé"})["files"]} >= {"README.md"}
    assert git.call("churn", {"since": "1d"})["files"] == []


def test_authors_are_git_shortlog(player, history):
    authors = player("git", history.root).call("authors")["authors"]
    shortlog = [line.strip().split("\t") for line in history.git("shortlog", "-sn", "HEAD").splitlines()]
    assert {a["author"]: a["commits"] for a in authors} == {name: int(count) for count, name in shortlog}
    assert [a["commits"] for a in authors] == sorted((a["commits"] for a in authors), reverse=True)
    ada = next(a for a in authors if a["author"] == "Ada Lovelace")
    assert ada["first_commit"] < ada["last_commit"]


def test_authors_follow_the_mailmap(player, repository):
    repository.write(".mailmap", "Grace Hopper <grace@example.org> Ada Lovelace <ada@example.org>\n")
    authors = player("git", repository.root).call("authors")["authors"]
    assert {a["author"] for a in authors} == {"Grace Hopper", "José Müller"}


def test_diff_applies(player, repository):
    repository.write("src/engine.py", "changed = True\n")
    git = player("git", repository.root)
    patch = git.call("diff")["diff"]
    assert git.artifacts["diff"] == {"name": "changes.diff", "type": "text/x-diff"}
    subprocess.run(["git", "apply", "-R", "-"], input=patch.encode(), cwd=repository.root, check=True)
    assert repository.git("status", "--porcelain") == ""


def test_diff_between_revisions_and_since(player, history):
    git = player("git", history.root)
    base = history.git("rev-parse", "HEAD~2").strip()
    between = git.call("diff", {"base": "HEAD~2", "head": "HEAD"})["diff"]
    assert between == history.git("diff", base, "HEAD")
    whole = git.call("diff", {"since": "2020-01-01"})["diff"]
    assert "+++ b/src/engine.py" in whole and "--- /dev/null" in whole
    assert git.call("diff", {"since": "1d"})["diff"] == ""
    only = git.call("diff", {"base": "HEAD~5", "path": "README.md"})["diff"]
    assert only == history.git("diff", "HEAD~5", "--", "README.md")


def test_diff_staged(player, repository):
    repository.write("staged.txt", "s\n")
    repository.git("add", "staged.txt")
    repository.write("README.md", "unstaged\n")
    patch = player("git", repository.root).call("diff", {"staged": True})["diff"]
    assert "staged.txt" in patch and "README.md" not in patch


def test_status_tells_each_state(player, repository):
    repository.write("README.md", "new\n")
    repository.write("neu ä.txt", "n\n")
    repository.write("ignored.log", "n\n")
    repository.git("mv", "src/grammar.py", "src/syntax tree.py")
    (repository.root / "logo.bin").unlink()
    rows = player("git", repository.root).call("status")["files"]
    states = {row["file"]: row["state"] for row in rows}
    assert states == {
        "README.md": "modified",
        "neu ä.txt": "untracked",
        "src/syntax tree.py": "renamed",
        "logo.bin": "deleted",
    }
    renamed = next(row for row in rows if row["state"] == "renamed")
    assert renamed["former"] == "src/grammar.py" and renamed["staged"] is True


def test_status_tells_conflicts(player, repository):
    someone = ("A", "a@example.org")
    repository.git("checkout", "-q", "-b", "other")
    repository.write("README.md", "other\n")
    repository.commit("Other", someone)
    repository.git("checkout", "-q", "main")
    repository.write("README.md", "main\n")
    repository.commit("Main", someone)
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "other")
    rows = player("git", repository.root).call("status")["files"]
    assert rows == [{"file": "README.md", "state": "conflict", "staged": False}]


def test_branches_with_distance(player, history):
    rows = player("git", history.root).call("branches")["branches"]
    by_name = {row["branch"]: row for row in rows}
    assert set(by_name) == {"main", "feature/tests"}
    assert by_name["main"]["current"] and not by_name["feature/tests"]["current"]
    behind, ahead = history.git("rev-list", "--left-right", "--count", "main...feature/tests").split()
    assert (by_name["feature/tests"]["ahead"], by_name["feature/tests"]["behind"]) == (
        int(ahead),
        int(behind),
    )


def test_blame_is_the_file(player, history):
    rows = player("git", history.root).call("blame", {"path": "src/engine.py"})["lines"]
    assert [row["text"] for row in rows] == (history.root / "src/engine.py").read_text().splitlines()
    assert [row["line"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["author"] == "Grace Hopper" and rows[-1]["subject"] == "Speed again"
    assert rows[0]["author"] == "Ada Lovelace" and rows[0]["date"].startswith("2024-01-0")
    first = history.git("rev-list", "--max-parents=0", "HEAD").strip()
    old = player("git", history.root).call("blame", {"path": "src/engine.py", "revision": first})["lines"]
    assert {row["author"] for row in old} == {"Ada Lovelace"}


def test_a_subfolder_of_a_repository_sees_only_itself(player, history):
    git = player("git", history.root / "src")
    files = {row["file"] for row in git.call("churn")["files"]}
    assert files == {"engine.py", "grammar.py", "__init__.py"}
    expected = history.git("log", "--format=%H", "--", "src").split()
    assert [c["hash"] for c in git.call("log")["commits"]] == expected
    assert len(git.call("blame", {"path": "engine.py"})["lines"]) > 5


def test_no_repository_is_one_clear_failure(player, tmp_path):
    with pytest.raises(PlayerFailure, match="is not a git repository") as failure:
        player("git", tmp_path).call("log")
    assert failure.value.code == "bad_input" and "git init" in failure.value.remedy


def test_empty_repository(player, tmp_path):
    root: Path = tmp_path / "empty"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    git = player("git", root)
    for function in ("log", "churn", "authors", "diff"):
        with pytest.raises(PlayerFailure, match="no commits yet"):
            git.call(function)
    assert git.call("branches")["branches"] == []
    (root / "a").write_text("a")
    assert git.call("status")["files"] == [{"file": "a", "state": "untracked", "staged": False}]


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        ("log", {"since": "soonish"}, "neither a duration"),
        ("log", {"path": "../outside"}, "not inside the project"),
        ("log", {"path": "/etc/passwd"}, "not inside the project"),
        ("log", {"path": "no/such.py"}, "no file or folder"),
        ("churn", {"path": "nothing"}, "no file or folder"),
        ("diff", {"base": "--output=/tmp/x"}, "no branch, tag or commit"),
        ("diff", {"base": "nowhere"}, "no branch, tag or commit"),
        ("blame", {"path": "nothing.py"}, "does not know the file"),
    ],
)
def test_bad_input_is_named(player, history, function, params, message):
    with pytest.raises(PlayerFailure, match=message) as failure:
        player("git", history.root).call(function, params)
    assert failure.value.code == "bad_input" and failure.value.remedy


@pytest.mark.parametrize("by", ["day", "week", "month", "year", "weekday", "hour"])
def test_activity_counts_what_git_lists(player, history, by):
    formats = {"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y", "weekday": "%A", "hour": "%H"}
    rows = player("git", history.root).call("activity", {"by": by})["activity"]
    counted = {row["period"]: row["commits"] for row in rows if row["commits"]}
    if by == "week":
        days = history.git("log", "--format=%ad", "--date=format:%Y-%m-%d").split()
        mondays = [date.fromisoformat(day) for day in days]
        expected = Counter((day - timedelta(days=day.weekday())).isoformat() for day in mondays)
    else:
        expected = Counter(history.git("log", "--format=%ad", f"--date=format:{formats[by]}").split())
    assert counted == expected
    assert sum(row["added"] for row in rows) == sum(
        int(line.split()[0]) for line in numbered(history) if line.split()[0] != "-"
    )


def numbered(history):
    return [line for line in history.git("log", "--numstat", "--format=").splitlines() if line]


def test_activity_leaves_no_period_out(player, repository):
    for month in ("2023-11-30", "2024-02-01", "2024-02-29"):
        repository.write("a.txt", month)
        environment = {"GIT_AUTHOR_DATE": f"{month}T10:00:00Z", "GIT_COMMITTER_DATE": f"{month}T10:00:00Z"}
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(
            ["git", "-C", repository.root, *who, "commit", "-qam", month, "--allow-empty"],
            check=True,
            env={**os.environ, **environment},
        )
    rows = player("git", repository.root).call("activity", {"since": "2000-01-01", "author": "a@b"})[
        "activity"
    ]
    assert [(row["period"], row["commits"]) for row in rows] == [
        ("2023-11", 1),
        ("2023-12", 0),
        ("2024-01", 0),
        ("2024-02", 2),
    ]


def test_one_commit_shows_its_message_and_its_patch(player, history):
    git = player("git", history.root)
    last = git.call("show")["change"]
    subject = history.git("log", "-1", "--format=%s").strip()
    assert subject in last and last.startswith(f"commit {history.git('rev-parse', 'HEAD').strip()}")
    assert history.git("show", "--format=", "HEAD").strip() in last
    before = git.call("show", {"revision": "HEAD~1"})["change"]
    assert history.git("log", "-1", "--format=%s", "HEAD~1").strip() in before and before != last


def test_tags_newest_first(player, repository):
    git = player("git", repository.root)
    assert git.call("tags")["tags"] == []
    repository.git("tag", "v1", "HEAD~3")
    repository.git("tag", "-a", "v2", "-m", "The second", "HEAD~1")
    rows = git.call("tags")["tags"]
    assert [row["tag"] for row in rows] == ["v2", "v1"]
    assert rows[0]["subject"] == "The second"
    for row, revision in zip(rows, ("HEAD~1", "HEAD~3"), strict=True):
        assert repository.git("rev-parse", revision).startswith(row["commit"])
    assert len(git.call("tags", {"limit": 1})["tags"]) == 1


def test_what_nobody_touched_is_told_oldest_first(player, history):
    git = player("git", history.root)
    tracked = set(history.git("ls-files", "-z").split("\0")) - {""}
    rows = git.call("untouched", {"age": "1d"})["files"]
    assert {row["file"] for row in rows} == tracked
    assert [row["last_change"] for row in rows] == sorted(row["last_change"] for row in rows)
    for row in rows[:3]:
        assert history.git("log", "-1", "--format=%an", "--", row["file"]).strip() == row["last_author"]
    middle = rows[len(rows) // 2]["last_change"][:10]
    since = {row["file"] for row in git.call("untouched", {"age": middle})["files"]}
    assert since == {row["file"] for row in rows if row["last_change"][:10] <= middle}
    assert git.call("untouched", {"age": "9000d"})["files"] == []
