"""A Markdown text in a narrow terminal: whole words, the first columns, and no address of a picture."""

from __future__ import annotations

from symphony.cli import progress
from symphony.cli.narrow import narrowed

TABLE = ["| File | Commits | Worst function |", "|---|---:|---|", "| `src/app.py` | 12 | `add_url_rule` |"]


def test_a_table_that_fits_stays_as_it_is() -> None:
    assert narrowed(["text", *TABLE, "more"], 80) == ["text", *TABLE, "more"]


def test_columns_fall_away_before_words_are_cut_and_are_named() -> None:
    shown = narrowed([*TABLE, "after"], 30)
    assert shown == [
        "| File | Commits |",
        "| --- | ---: |",
        "| `src/app.py` | 12 |",
        "",
        "*more columns: Worst function*",
        "after",
    ]
    assert narrowed(TABLE, 5)[0] == "| File | Commits |", "two stay, however narrow it is"


def test_a_bar_that_is_a_part_of_a_cell_divides_nothing() -> None:
    assert (
        narrowed(["| a \\| b | c | d |", "|---|---|---|", "| x | y | " + "z" * 99 + " |"], 40)[0]
        == r"| a \| b | c |"
    )


def test_rows_of_different_lengths_are_no_trouble() -> None:
    assert narrowed(["| a | b | c |", "|---|", "|"], 4)[-1] == "*more columns: c*"


def test_a_picture_is_named_and_its_data_left_out() -> None:
    assert narrowed(["![Score](data:image/png;base64,AAAA) and ![](x.png)"], 80) == [
        "*picture: Score* and *picture*"
    ]


def test_what_a_step_said_last_is_not_told_of_one_that_has_ended() -> None:
    node = {"id": "n", "status": "running", "progress": 0.83, "note": "testing.py"}
    assert progress._note(node) == "83% testing.py"
    assert progress._note({**node, "status": "succeeded"}) == ""
