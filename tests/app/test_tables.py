"""The columns of a project's tables are read from the beginning of plain files, and from nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from symphony.app.tables import columns_of


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("a.csv", "date,Region , amount\n1,2,3\n", ("date", "Region", "amount")),
        ("b.csv", "\ufeffname;sum\r\n1;2\r\n", ("name", "sum")),
        ("c.tsv", "x\ty, z\n", ("x", "y, z")),
        ("d.csv", '"a, b",c\n', ("a, b", "c")),
        ("e.json", '[{"name": 1, "size": 2}]', ("name", "size")),
        ("f.jsonl", '{"id": 1, "text": ""}\n{"id": 2}\n', ("id", "text")),
    ],
)
def test_columns_are_read(tmp_path: Path, name: str, content: str, columns: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert columns_of(tmp_path, [name]) == {name: columns}


def test_what_is_no_table_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"a": 1}')
    (tmp_path / "broken.json").write_text("[{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "secret.txt").write_text("password,x\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(tmp_path / "pipe.csv")
    names = ["settings.json", "broken.json", "deep.json", "empty.csv", "link.csv", "pipe.csv", "gone.csv"]
    assert columns_of(tmp_path, names) == {}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("old,x\n")
    assert columns_of(tmp_path, ["a.csv"]) == {"a.csv": ("old", "x")}
    file.write_text("newer,x\n")
    assert columns_of(tmp_path, ["a.csv"]) == {"a.csv": ("newer", "x")}
