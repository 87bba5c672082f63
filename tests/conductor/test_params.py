"""Parameters come from the prompt by the type and wording of each parameter."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from conductor import ProjectFacts
from conductor.params.commands import command_of
from conductor.params.fill import Scope, fill
from conductor.params.mentions import mentions_of
from conductor.params.phrases import exchange
from symphony.types.players import FunctionSpec, ParamSpec

from .conftest import PROJECT

NOW = datetime(2026, 7, 15, 12)

SINCE = ParamSpec("date", "how far back: a date, or a duration such as 90d; empty means all")
SPAN = ParamSpec("duration", "how far back")
UNTIL = ParamSpec("date", "only what came before this date")
PATH = ParamSpec("path", "only this file or folder")
LIMIT = ParamSpec("integer", "at most so many rows", default=10, minimum=1, maximum=100)
PATTERN = ParamSpec("string", "glob of the files wanted", default="**")
QUERY = ParamSpec("string", "the text to look for", required=True)
AUTHOR = ParamSpec("string", "only commits whose author contains this")
KIND = ParamSpec("string", "the kind of chart", default="auto", choices=("auto", "bar", "line", "pie"))
BY = ParamSpec("list", "the columns, the most important first", required=True)
MARKERS = ParamSpec("list", "the words to look for", default=["TODO", "FIXME"])
WHERE = ParamSpec("string", "condition on the columns", required=True)
STAGED = ParamSpec("boolean", "only what is staged", default=False)
COMMAND = ParamSpec("list", "the program and its arguments", required=True)
SENTENCES = ParamSpec("integer", "length of the summary", default=5)
TARGET = ParamSpec("path", "the file to write", required=True)


def filled(
    prompt: str, effects: bool = False, project: ProjectFacts = PROJECT, **params: ParamSpec
) -> dict[str, Any]:
    spec = FunctionSpec("a/b#c", "operator", "", {}, {}, params, effects=effects)
    return fill(spec, Scope(prompt, prompt, mentions_of(prompt, project, NOW), project, NOW)).params


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("commits of the last 90 days", "90d"),
        ("over the past two weeks", "14d"),
        ("in the last month", "30d"),
        ("since last month", "44d"),
        ("this year", "195d"),
        ("in den letzten drei Wochen", "21d"),
        ("seit letztem Monat", "44d"),
        ("les 30 derniers jours", "30d"),
        ("en los últimos 6 meses", "180d"),
        ("since 2026-02-01", "2026-02-01"),
        ("since March", "2026-03-01"),
        ("seit März", "2026-03-01"),
        ("what happened yesterday", "2026-07-14"),
        ("git log -- 7d", "7d"),
        ("a couple of weeks ago", "14d"),
    ],
)
def test_times(prompt: str, expected: str) -> None:
    assert filled(prompt, since=SINCE) == {"since": expected}


def test_what_takes_durations_alone_gets_one() -> None:
    """A date in its place would not be valid."""
    assert filled("since 2026-07-01", since=SPAN) == {"since": "14d"}
    assert filled("the last 30 days", since=SPAN) == {"since": "30d"}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("what was committed between March and May", {"since": "2026-03-01", "until": "2026-05-31"}),
        ("zwischen Januar und März", {"since": "2026-01-01", "until": "2026-03-31"}),
        ("commits from 3 April to 10 June", {"since": "2026-04-03", "until": "2026-06-10"}),
        ("the difference from main to develop", {}),
    ],
)
def test_a_span_has_both_ends_and_a_branch_is_no_month(prompt: str, expected: dict[str, str]) -> None:
    assert filled(prompt, since=SINCE, until=UNTIL) == expected


def test_code_with_a_dot_is_no_file_and_a_file_is() -> None:
    def kinds(prompt: str) -> list[tuple[str, str]]:
        return [
            (m.kind, str(m.value)) for m in mentions_of(prompt, PROJECT, NOW) if m.kind in ("path", "code")
        ]

    assert kinds("where do we call requests.get") == [("code", "requests.get")]
    assert kinds("all dates in access.log") == [("path", "access.log")]
    assert kinds("summarise notes.md and src/new.thing") == [("path", "notes.md"), ("path", "src/new.thing")]
    assert kinds("save it as result.out2") == [("path", "result.out2")]


@pytest.mark.parametrize(
    ("prompt", "command"),
    [
        ("cargo build --release", ["cargo", "build", "--release"]),
        ("make test", ["make", "test"]),
        ("npm run lint", ["npm", "run", "lint"]),
        ("make a chart", None),
        ("find dead code", None),
    ],
)
def test_what_is_typed_as_in_a_terminal_is_a_command(prompt: str, command: list[str] | None) -> None:
    assert command_of(prompt, prompt, [], PROJECT) == command


def test_an_order_may_say_its_column_without_naming_it() -> None:
    assert filled("most recent first", by=BY) == {"by": ["date"]}
    assert filled("alphabetically", by=BY) == {"by": ["name"]}
    assert filled("by amount, newest first", by=BY) == {"by": ["amount"]}


def test_an_end_is_no_beginning() -> None:
    assert filled("commits until 2026-03-31", since=SINCE, until=UNTIL) == {"until": "2026-03-31"}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("TODOs in src/", "src"),
        ("TODOs in the src folder", "src"),
        ("everything under docs", "docs"),
        ("methods in src/api", "src/api"),
        ("explain parser.py", "src/parser.py"),
        ("Summarise the README", "README.md"),
        ("fasse die README zusammen", "README.md"),
        ("what is in data/sales.csv?", "data/sales.csv"),
    ],
)
def test_paths(prompt: str, expected: str) -> None:
    assert filled(prompt, path=PATH) == {"path": expected}


@pytest.mark.parametrize("prompt", ["find dead code", "e.g. version 1.2.3 of it", "explain the app"])
def test_words_that_are_no_paths(prompt: str) -> None:
    assert filled(prompt, path=PATH) == {}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("top 20 files", 20),
        ("the five largest files", 5),
        ("show the 3 most complex ones", 3),
        ("die drei größten Dateien", 3),
        ("first twenty rows", 20),
    ],
)
def test_counts(prompt: str, expected: int) -> None:
    assert filled(prompt, limit=LIMIT) == {"limit": expected}


@pytest.mark.parametrize("prompt", ["last 30 days", "top 5000 files", "the 0 largest files"])
def test_counts_that_are_none(prompt: str) -> None:
    assert filled(prompt, limit=LIMIT) == {}


@pytest.mark.parametrize(
    ("prompt", "params", "expected"),
    [
        ("all *.rs files", {"pattern": PATTERN}, {"pattern": "**/*.rs"}),
        ("every Python file", {"pattern": PATTERN}, {"pattern": "**/*.py"}),
        ("show .toml files", {"pattern": PATTERN}, {"pattern": "**/*.toml"}),
        ("Python files in src/", {"pattern": PATTERN}, {"pattern": "src/**/*.py"}),
        ("search for 'old name' in it", {"query": QUERY}, {"query": "old name"}),
        ("where is parse_config used", {"query": QUERY}, {"query": "parse_config"}),
        ("which lines mention localhost", {"query": QUERY}, {"query": "localhost"}),
        ("commits by Ada Lovelace", {"author": AUTHOR}, {"author": "Ada Lovelace"}),
        ("commits by ada@example.org", {"author": AUTHOR}, {"author": "ada@example.org"}),
        ("grouped by Python version", {"author": AUTHOR}, {}),
        ("a pie chart of it", {"kind": KIND}, {"kind": "pie"}),
        ("sort by size and name", {"by": BY}, {"by": ["size", "name"]}),
        ("problems per rule", {"by": BY}, {"by": ["rule"]}),
        ("only FIXMEs", {"markers": MARKERS}, {"markers": ["FIXME"]}),
        ("rows where status is failed", {"where": WHERE}, {"where": "status == 'failed'"}),
        ("those with more than five commits", {"where": WHERE}, {"where": "commits > 5"}),
        ("price over 100", {"where": WHERE}, {"where": "price > 100"}),
        ("the staged changes", {"staged": STAGED}, {"staged": True}),
        ("run `pytest -q tests`", {"command": COMMAND}, {"command": ["pytest", "-q", "tests"]}),
        ("run cargo test and show it", {"command": COMMAND}, {"command": ["cargo", "test"]}),
        ("summary in three sentences", {"sentences": SENTENCES}, {"sentences": 3}),
    ],
)
def test_texts_lists_and_flags(prompt: str, params: dict[str, ParamSpec], expected: dict[str, Any]) -> None:
    assert filled(prompt, **params) == expected


def test_the_project_tells_how_it_is_tested() -> None:
    assert filled("run the tests", command=COMMAND) == {"command": ["python3", "-m", "pytest"]}
    rust = ProjectFacts(files=("Cargo.toml", "src/lib.rs"))
    assert filled("run the tests", project=rust, command=COMMAND) == {"command": ["cargo", "test"]}
    assert filled("run the tests", project=ProjectFacts(), command=COMMAND) == {}


def test_a_result_goes_where_the_prompt_says() -> None:
    prompt = "summarise README.md and save it to docs/summary.md"
    assert filled(prompt, effects=True, path=TARGET) == {"path": "docs/summary.md"}
    assert filled(prompt, path=PATH) == {"path": "README.md"}


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("overview + open todos, bundled as docs/status.md", "docs/status.md"),
        ("quality check in docs/audit.md", None),
        ("lint, duplicates and dead code, in docs/audit.md", "docs/audit.md"),
        ("API list as markdown table in docs/api.md", "docs/api.md"),
        ("spring cleaning list → docs/cleanup.md", "docs/cleanup.md"),
        ("draft a code of conduct, file CODE_OF_CONDUCT.md", "CODE_OF_CONDUCT.md"),
        ("explícalo y déjalo en docs/parser.md", "docs/parser.md"),
        ("is there dead code in src/nothere.py", None),
    ],
)
def test_a_result_is_sent_to_a_file_without_a_verb(prompt: str, target: str | None) -> None:
    assert filled(prompt, effects=True, path=TARGET) == ({"path": target} if target else {})


def test_a_table_of_the_project_is_known_by_its_name() -> None:
    for prompt in ("amount by region from the sales csv", "are the sales numbers ok?", "les données sales"):
        assert filled(prompt, path=PATH) == {"path": "data/sales.csv"}, prompt
    assert filled("the numbers of the sales team", path=PATH) == {}


def test_what_is_held_against_another_is_the_newer() -> None:
    base = ParamSpec("string", "the revision to compare with", default="HEAD")
    head = ParamSpec("string", "the other revision")
    for prompt in (
        "feature/login against main",
        "feature/login vs main",
        "did feature/login drift away from main",
    ):
        assert filled(prompt, base=base, head=head) == {"base": "main", "head": "feature/login"}, prompt


def test_what_is_said_stands_there_also_when_it_is_the_default() -> None:
    by = ParamSpec("string", "the periods", default="month", choices=("day", "week", "month"))
    assert filled("commits month by month", by=by) == {"by": "month"}
    assert filled("commits", by=by) == {}


def test_revisions_are_taken_in_order() -> None:
    base = ParamSpec("string", "the revision to compare with", default="HEAD")
    head = ParamSpec("string", "the other revision")
    assert filled("diff between main and feature/login", base=base, head=head) == {
        "base": "main",
        "head": "feature/login",
    }


@pytest.mark.parametrize(
    ("prompt", "pair"),
    [
        ("rename foo to bar everywhere", ("foo", "bar")),
        ('replace "foo bar" by "bar" in all files', ("foo bar", "bar")),
        ("rename the class Parser to Reader in the whole project", ("Parser", "Reader")),
        ("change the copyright year from 2025 to 2026 in every file", ("2025", "2026")),
        ("replace tabs in src with spaces", ("tabs", "spaces")),
        ("ersetze 'alt' durch 'neu' in allen Dateien", ("alt", "neu")),
        ("benenne load_file überall in read_file um", ("load_file", "read_file")),
        ("remplace ancien par nouveau dans tous les fichiers", ("ancien", "nouveau")),
        ("reemplaza viejo por nuevo en todos los archivos", ("viejo", "nuevo")),
        ("write httpx instead of requests", ("requests", "httpx")),
        ("s/colour/color/ in docs", ("colour", "color")),
        ("user_id → account_id, whole words", ("user_id", "account_id")),
        ("change AppConfig to Settings everywhere, then push", ("AppConfig", "Settings")),
        ("copyright 2025 should read 2026 in every file", ("2025", "2026")),
        ("parse_line soll überall read_line heißen", ("parse_line", "read_line")),
        ("open todos → docs/handover.md", None),
        ("boil the changelog down to five sentences", None),
        ("the report should be short", None),
        ("Which files change most and are hardest to maintain?", None),
        ("change the chart to a table", None),
        ("replace it", None),
    ],
)
def test_what_is_renamed_and_how(prompt: str, pair: tuple[str, str] | None) -> None:
    assert exchange(prompt) == pair
    old = ParamSpec("string", "the text to replace, such as an old name", required=True)
    new = ParamSpec("string", "what stands in its place, such as the new name", required=True)
    expected = {"text": pair[0], "replacement": pair[1]} if pair else {}
    assert filled(prompt, text=old, replacement=new) == expected


@pytest.mark.parametrize(
    ("prompt", "columns"),
    [
        ("monthly sales from data/sales.csv", ["date:month"]),
        ("wöchentliche Umsätze", ["week"]),
        ("ventas mensuales de data/sales.csv", ["date:month"]),
        ("for my monthly status report", None),
        ("läuft nach meinem Umbau noch alles", None),
        ("how do they depend on each other", None),
    ],
)
def test_periods_are_columns_and_words_without_content_are_none(
    prompt: str, columns: list[str] | None
) -> None:
    by = ParamSpec("list", "the columns whose values make the groups")
    assert filled(prompt, by=by).get("by") == columns


def test_columns_kept_by_only_are_read_where_a_table_is() -> None:
    kept = ParamSpec("list", "the columns; old=new renames")
    assert filled("read config.json and show only name and version", columns=kept) == {
        "columns": ["name", "version"]
    }
    assert filled("only tests and docs", columns=kept) == {}


def test_a_folder_is_known_by_its_bare_name_and_by_there() -> None:
    assert filled("lint src then make a table", path=PATH) == {"path": "src"}
    assert filled("run tests", path=PATH) == {}, "a word that is also a folder is none"
    places = [m.value for m in mentions_of("copied code in src? and what is unused there?", PROJECT, NOW)]
    assert places == ["src", "src"]
    assert [m.kind for m in mentions_of("in src, are there any tests", PROJECT, NOW)] == ["folder"]


def test_a_choice_may_be_said_in_the_plural() -> None:
    by = ParamSpec("string", "the periods", default="month", choices=("day", "month", "weekday"))
    assert filled("on which weekdays do we commit", by=by) == {"by": "weekday"}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("functions longer than 50 lines", "lines > 50"),
        ("those shorter than three lines", "lines < 3"),
        ("files with more than 300 lines", "lines > 300"),
        ("authors with at least 20 commits", "commits >= 20"),
        ("files larger than 2 MB", "bytes > 2000000"),
        ("branches older than 2 years", None),
    ],
)
def test_a_condition_names_a_column_and_no_joint_or_unit(prompt: str, expected: str | None) -> None:
    assert filled(prompt, where=WHERE) == ({} if expected is None else {"where": expected})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("commits that mention security", "security"),
        ("which commits mention the login bug since March", "login bug"),
        ("search the word deprecated anywhere", "deprecated"),
        ("commits that mention 'race condition'", "race condition"),
        ("who mentioned me", None),
    ],
)
def test_what_is_mentioned_is_looked_for(prompt: str, expected: str | None) -> None:
    assert filled(prompt, query=QUERY) == ({} if expected is None else {"query": expected})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("what did commit 3fe2a1c change", "3fe2a1c"),
        ("git show 9f8e7d6c", "9f8e7d6c"),
        ("the patch of HEAD~2", "HEAD~2"),
        ("find the word decade in src", None),
    ],
)
def test_a_commit_is_named_by_its_hash(prompt: str, expected: str | None) -> None:
    revision = ParamSpec("string", "the commit: a revision, branch, tag or hash", default="HEAD")
    assert filled(prompt, revision=revision) == ({} if expected is None else {"revision": expected})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("load data/sales.csv", {"path": "data/sales.csv"}),
        ("read config.json", {}),
        ("everything below src/", {"path": "src"}),
    ],
)
def test_a_parameter_takes_only_files_that_it_is_for(prompt: str, expected: dict[str, str]) -> None:
    assert filled(prompt, path=ParamSpec("path", "this file or folder", files=("*.csv", "*.tsv"))) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("plot at what time of day people commit", "hour"),
        ("zu welcher Uhrzeit wird committet", "hour"),
        ("à quelle heure on commite", "hour"),
        ("a qué horas del día commiteamos", "hour"),
        ("how do commits spread over monday, tuesday and so on", "weekday"),
        ("an welchen Wochentagen", "weekday"),
        ("quels jours de la semaine", "weekday"),
        ("en qué días de la semana", "weekday"),
        ("commits since monday", None),
        ("what did we do in the last 24 hours", None),
    ],
)
def test_a_choice_may_take_several_words(prompt: str, expected: str | None) -> None:
    by = ParamSpec("string", "the periods", default="month", choices=("day", "month", "weekday", "hour"))
    found = filled(prompt, by=by)
    assert found == ({} if expected is None else {"by": expected})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("the diff with 10 lines around each hunk", 10),
        ("mit 8 Zeilen Kontext", 8),
        ("avec 5 lignes de contexte", 5),
        ("con 6 líneas de contexto", 6),
        ("the diff with context 7", 7),
        ("the first 10 lines of the diff", None),
    ],
)
def test_lines_stand_around_a_change(prompt: str, expected: int | None) -> None:
    context = ParamSpec("integer", "lines of context around each change", default=3, minimum=0)
    assert filled(prompt, context=context) == ({} if expected is None else {"context": expected})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("commits that talk about the login", "login"),
        ("die Commits, die von der Migration handeln", "Migration"),
        ("les commits qui parlent du parser", "parser"),
        ("commits donde se hable del login desde mayo", "login"),
        ("let's talk about commits", None),
        ("commits of the last week", None),
    ],
)
def test_what_a_message_speaks_of(prompt: str, expected: str | None) -> None:
    text = ParamSpec("string", "only commits whose message contains this")
    assert filled(prompt, text=text) == ({} if expected is None else {"text": expected})
