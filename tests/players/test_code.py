"""The code Player against Python's own parser and hand-counted sources in each language."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from symphony.sdk import PlayerFailure

SOURCES = {
    "a.ts": """import { x } from './b';
export interface Shape { area(): number }
export type Id = string;
export enum Kind { A }
export class Box<T> {
  size(): number { return 1; }
}
export const twice = (n: number) => n * 2;
function plain() {}
""",
    "b.tsx": """import React from 'react';
export function View() { return <p>hi</p>; }
""",
    "c.js": """const fs = require('fs');
class A { run() {} }
function* gen() {}
module.exports = { A };
""",
    "d.rs": """use std::collections::{HashMap, HashSet};
use crate::x;
mod inner;
pub struct P { a: u8 }
enum E { A }
trait T { fn must(&self); }
impl P { fn new() -> P { P { a: 1 } } }
fn free() {}
macro_rules! m { () => {} }
""",
    "e.go": """package main

import (
\t"fmt"
\t"os"
)

type Server struct{ port int }
type Doer interface{ Do() }
type Id string

func (s *Server) Start() { fmt.Println(os.Args) }

func main() {}
""",
    "f.c": """#include <stdio.h>
#include "own.h"
#define MAX(a, b) ((a) > (b) ? (a) : (b))
struct point { int x; };
enum color { RED };
typedef struct point point_t;
static int *find(int **p) { return *p; }
int main(void) { return 0; }
""",
}
SYMBOLS = {
    "a.ts": [("interface", "Shape"), ("type", "Id"), ("enum", "Kind"), ("class", "Box"), ("method", "size"),
             ("function", "twice"), ("function", "plain")],
    "b.tsx": [("function", "View")],
    "c.js": [("class", "A"), ("method", "run"), ("function", "gen")],
    "d.rs": [("module", "inner"), ("struct", "P"), ("enum", "E"), ("trait", "T"), ("method", "must"), ("method", "new"),
             ("function", "free"), ("macro", "m")],
    "e.go": [("struct", "Server"), ("interface", "Doer"), ("type", "Id"), ("method", "Start"), ("function", "main")],
    "f.c": [("macro", "MAX"), ("struct", "point"), ("enum", "color"), ("type", "point_t"), ("function", "find"),
            ("function", "main")],
}  # fmt: skip


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", SOURCES)
def test_outline_of_each_language(player, sources, name):
    rows = player("code", sources).call("outline", {"path": name})["symbols"]
    assert [(row["kind"], row["name"]) for row in rows] == SYMBOLS[name]
    for row in rows:
        assert row["name"] in SOURCES[name].splitlines()[row["line"] - 1]


def test_outline_knows_what_a_method_belongs_to(player, sources):
    rows = player("code", sources).call("outline")["symbols"]
    parents = {row["name"]: row["parent"] for row in rows if row["kind"] == "method"}
    assert parents == {"size": "Box", "run": "A", "must": "T", "new": "P", "Start": "Server"}


def test_outline_of_python_is_what_its_parser_says(player, history):
    rows = player("code", history.root).call("outline", {"language": "python"})["symbols"]
    expected = set()
    for file in history.root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                expected.add((file.relative_to(history.root).as_posix(), node.lineno, node.name))
    assert {(row["file"], row["line"], row["name"]) for row in rows} == expected and expected
    kinds = {row["name"]: row["kind"] for row in rows}
    assert kinds["Engine"] == "class" and kinds["start"] == "method" and kinds["choose"] == "function"
    only = player("code", history.root).call("outline", {"kind": "Class"})["symbols"]
    assert [row["name"] for row in only] == ["Engine"]


def test_imports(player, sources, history):
    rows = player("code", sources).call("imports")["imports"]
    found = {(row["file"], row["module"], row["origin"]) for row in rows}
    assert found == {
        ("a.ts", "./b", "project"), ("b.tsx", "react", "outside"), ("c.js", "fs", "outside"),
        ("d.rs", "std::collections", "outside"), ("d.rs", "crate::x", "project"),
        ("e.go", "fmt", "outside"), ("e.go", "os", "outside"),
        ("f.c", "stdio.h", "outside"), ("f.c", "own.h", "project"),
    }  # fmt: skip
    rows = player("code", history.root).call("imports", {"path": "src/grammar.py"})["imports"]
    assert [(row["module"], row["origin"]) for row in rows] == [("re", "outside"), ("src", "project")]


def test_complexity_by_hand(player, history):
    outputs = player("code", history.root).call("complexity")
    functions = {row["function"].rpartition(".")[2]: row for row in outputs["functions"]}
    # if, elif, and, for, if, or: six decisions and one.
    assert functions["choose"]["complexity"] == 7
    assert outputs["functions"][0]["function"] == "choose"
    assert functions["choose"]["line"] == 4 and functions["choose"]["parameters"] == 2
    files = {row["file"]: row for row in outputs["files"]}
    engine = files["src/engine.py"]
    assert engine["complexity"] == 7 + 1 and engine["functions"] == 2 and engine["worst_function"] == "choose"
    assert outputs["files"][0] == engine
    assert files["src/__init__.py"]["complexity"] == 1


def test_complexity_narrows(player, history):
    outputs = player("code", history.root).call("complexity", {"minimum": 5})
    assert [row["function"] for row in outputs["functions"]] == ["choose"]
    assert len(outputs["files"]) > 1
    assert len(player("code", history.root).call("complexity", {"limit": 1})["files"]) == 1


def test_hotspots_rank_by_the_product(player, history):
    churn = player("git", history.root).call("churn")["files"]
    code = player("code", history.root)
    complexity = code.call("complexity")["files"]
    spots = code.call("hotspots", inputs={"churn": churn, "complexity": complexity})["hotspots"]
    assert spots[0]["file"] == "src/engine.py" and spots[0]["score"] == 100
    commits = {row["file"]: row["commits"] for row in churn}
    hard = {row["file"]: row["complexity"] for row in complexity}
    products = sorted(((commits[f] * hard[f], f) for f in hard if f in commits), key=lambda p: (-p[0], p[1]))
    assert [row["file"] for row in spots] == [file for _, file in products]
    assert "README.md" not in {row["file"] for row in spots}
    assert code.call("hotspots", inputs={"churn": [], "complexity": complexity})["hotspots"] == []


def test_lint_finds_what_is_planted(player, repository):
    repository.write("bad.py", "import os\nimport sys\nprint(sys.argv)\nx = undefined_name\n")
    rows = player("code", repository.root).call("lint", {"path": "bad.py", "select": ["F"]})["findings"]
    assert [(row["file"], row["line"], row["rule"]) for row in rows] == [
        ("bad.py", 1, "F401"),
        ("bad.py", 4, "F821"),
    ]
    assert rows[0]["fixable"] is True and "os" in rows[0]["message"]
    only = player("code", repository.root).call("lint", {"select": ["F821"]})["findings"]
    assert {row["rule"] for row in only} == {"F821"}
    with pytest.raises(PlayerFailure, match="ruff failed"):
        player("code", repository.root).call("lint", {"select": ["NOSUCH"]})
    assert not (repository.root / ".ruff_cache").exists()


def test_lint_names_a_syntax_error(player, repository):
    repository.write("broken.py", "def f(:\n")
    rows = player("code", repository.root).call("lint", {"path": "broken.py"})["findings"]
    assert rows and "syntax" in rows[0]["rule"]


def test_dead_code(player, history):
    rows = player("code", history.root).call("dead_code")["unused"]
    names = {row["name"] for row in rows}
    assert "unused_helper" in names and "choose" not in names
    assert player("code", history.root).call("dead_code", {"confidence": 100})["unused"] == []
    here = player("code", history.root).call("dead_code", {"path": "src/engine.py"})["unused"]
    assert {row["file"] for row in here} == {"src/engine.py"}


def test_dead_code_survives_a_broken_file(player, repository):
    repository.write("broken.py", "def f(:\n")
    assert player("code", repository.root).call("dead_code")["unused"]


@pytest.mark.parametrize(
    ("line", "marker", "text", "person"),
    [
        ("# TODO: write this", "TODO", "write this", ""),
        ("x = 1  # FIXME(ada): off by one", "FIXME", "off by one", "ada"),
        ("// HACK around it", "HACK", "around it", ""),
        ("/* XXX: slow */", "XXX", "slow", ""),
        ("<!-- TODO: picture -->", "TODO", "picture", ""),
        (" * TODO: in a block", "TODO", "in a block", ""),
        ("-- see TODO: index", "TODO", "index", ""),
    ],
)
def test_todos(player, tmp_path, line, marker, text, person):
    (tmp_path / "x.txt").write_text(f"first\n{line}\n")
    rows = player("code", tmp_path).call("todos")["todos"]
    assert rows == [{"file": "x.txt", "line": 2, "marker": marker, "text": text, "person": person}]


@pytest.mark.parametrize("line", ["the todo list", "TODOS = 3", "# a TODOLIST", "print('nothing to do')"])
def test_no_todos(player, tmp_path, line):
    (tmp_path / "x.py").write_text(line + "\n")
    assert player("code", tmp_path).call("todos")["todos"] == []


def test_unknown_places(player, history):
    for function in ("outline", "complexity", "lint", "todos", "imports"):
        with pytest.raises(PlayerFailure, match="no file or folder"):
            player("code", history.root).call(function, {"path": "nowhere"})
    with pytest.raises(PlayerFailure, match="no grammar"):
        player("code", history.root).call("outline", {"language": "cobol"})


DESCRIBED = {
    "a.py": '''def told(
    a, b,
):
    """What it does."""
def bare(): pass
class Box:
    """A box."""
    @property
    def size(self): return 1
    def _own(self): return 2
''',
    "b.ts": """/** Told. */
export function told() {}
export function bare() {}
// A box.
@sealed
class Box {
  private own() {}
  size() {}
}
/** Told. */
export const arrow = () => 1
const other = () => 2
""",
    "c.rs": """/// Told.
#[inline]
pub fn told() {}
pub fn bare() {}
fn own() {}
/// A box.
pub struct Box;
""",
    "d.go": """package d
// Told does.
func Told() {}
func Bare() {}
func own() {}
// Box is one.
type Box struct{}
type Lid struct{}
""",
    "e.c": """/* Told. */
int told(void) { return 1; }
int bare(void) { return 2; }
static int own(void) { return 3; }
""",
}


@pytest.mark.parametrize(
    ("name", "public", "private"),
    [
        ("a.py", ["bare", "size"], ["_own"]),
        ("b.ts", ["bare", "size", "other"], ["own"]),
        ("c.rs", ["bare"], ["own"]),
        ("d.go", ["Bare", "Lid"], ["own"]),
        ("e.c", ["bare"], ["own"]),
    ],
)
def test_undocumented_definitions_of_each_language(player, tmp_path, name, public, private):
    (tmp_path / name).write_text(DESCRIBED[name])
    code = player("code", tmp_path)
    assert [row["name"] for row in code.call("undocumented")["symbols"]] == public
    found = {row["name"] for row in code.call("undocumented", {"private": True})["symbols"]}
    assert found == {*public, *private}


def test_duplicates_are_the_longest_equal_passages(player, tmp_path):
    passage = "".join(f"    step_{n}(value)\n\n" for n in range(12))
    (tmp_path / "a.py").write_text(f"def a(value):\n{passage}    return 1\n")
    (tmp_path / "b.py").write_text(
        f"import x\n\nclass B:\n    def b(value):\n{passage.replace('    ', '        ')}"
    )
    (tmp_path / "c.py").write_text("def c(value):\n    step_1(value)\n    step_2(value)\n")
    rows = player("code", tmp_path).call("duplicates")["duplicates"]
    assert rows == [{"file": "a.py", "line": 2, "lines": 23, "other": "b.py", "other_line": 5}]
    assert player("code", tmp_path).call("duplicates", {"minimum": 13})["duplicates"] == []


def test_duplicates_within_one_file_do_not_overlap_themselves(player, tmp_path):
    (tmp_path / "a.py").write_text("f(1)\n" * 20)
    (row,) = player("code", tmp_path).call("duplicates", {"limit": 1})["duplicates"]
    assert row["file"] == row["other"] == "a.py" and row["line"] + row["lines"] <= row["other_line"]
