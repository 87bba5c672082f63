"""The shell Player runs what it is told, word by word."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from symphony.sdk import PlayerFailure


def test_outputs_and_exit_code(player, history):
    shell = player("shell", history.root)
    code = "import sys; print('out ä'); print('err', file=sys.stderr); sys.exit(3)"
    outputs = shell.call("run", {"command": [sys.executable, "-c", code], "check": False})
    assert outputs == {"stdout": "out ä\n", "stderr": "err\n", "exit_code": 3}
    assert shell.artifacts["stdout"]["name"] == "stdout.txt"


def test_a_failing_command_fails_with_what_it_said(player, history):
    with pytest.raises(PlayerFailure, match=r"exit code 1(.|\n)*No module named nothing_here"):
        player("shell", history.root).call("run", {"command": [sys.executable, "-m", "nothing_here"]})


def test_it_runs_in_the_project_and_below(player, history):
    shell = player("shell", history.root)
    command = [sys.executable, "-c", "import os; print(os.getcwd(), end='')"]
    assert shell.call("run", {"command": command})["stdout"] == str(history.root)
    assert shell.call("run", {"command": command, "cwd": "src"})["stdout"] == str(history.root / "src")


def test_there_is_no_shell_between(player, history):
    out = player("shell", history.root).call("run", {"command": ["printf", "%s|", "$HOME", "*", "a b;c"]})[
        "stdout"
    ]
    assert out == "$HOME|*|a b;c|"
    assert (
        player("shell", history.root).call("run", {"command": "printf '%s|' 'a b' c"})["stdout"] == "a b|c|"
    )


def test_input_and_timeout(player, history):
    shell = player("shell", history.root)
    assert shell.call("run", {"command": ["cat"]}, {"input": "ü"})["stdout"] == "ü"
    with pytest.raises(PlayerFailure, match="did not end"):
        shell.call("run", {"command": ["sleep", "30"], "timeout": "200ms"})


@pytest.mark.parametrize(
    "params",
    [
        {"command": []},
        {"command": [""]},
        {"command": ["a\0b"]},
        {"command": "echo 'open"},
        {"command": ["ls"], "cwd": "../.."},
        {"command": ["ls"], "timeout": "soon"},
    ],
)
def test_bad_input_is_named(player, history, params):
    with pytest.raises(PlayerFailure) as failure:
        player("shell", history.root).call("run", params)
    assert failure.value.code == "bad_input" and failure.value.remedy


def python_tests(root: Path) -> None:
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "test_it.py").write_text(
        "import time\n"
        "def test_good(): time.sleep(0.02)\n"
        "def test_bad(): assert 1 == 2\n"
        "class TestMore:\n    def test_worse(self): raise ValueError('no: never')\n"
    )


def unit_tests(root: Path) -> None:
    (root / "test_it.py").write_text(
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_good(self): pass\n"
        "    def test_bad(self): self.fail('no')\n"
    )


def node_tests(root: Path) -> None:
    (root / "package.json").write_text(json.dumps({"scripts": {"test": "node --test"}}))
    (root / "it.test.js").write_text(
        "const test = require('node:test');\n"
        "test('good', () => {});\ntest('bad one', () => { throw new Error('no'); });\n"
    )


def rust_tests(root: Path) -> None:
    (root / "Cargo.toml").write_text('[package]\nname = "it"\nedition = "2021"\n')
    (root / "src").mkdir()
    (root / "src/lib.rs").write_text("#[test] fn good() {}\n#[test] fn bad() { panic!() }\n")


def make_tests(root: Path) -> None:
    (root / "Makefile").write_text("test:\n\t@echo 'not ok 2 - bad thing'; exit 1\n")


@pytest.mark.parametrize(
    ("fill", "failed"),
    [
        (python_tests, ["test_it.py::test_bad", "test_it.py::TestMore::test_worse"]),
        (unit_tests, ["test_bad (test_it.T.test_bad)"]),
        (node_tests, ["bad one"]),
        (rust_tests, ["bad"]),
        (make_tests, ["bad thing"]),
    ],
)
def test_the_projects_own_tests_are_found_and_run(player, tmp_path, monkeypatch, fill, failed):
    # Node tells the tests that it starts that they are below another run of it.
    monkeypatch.delenv("NODE_TEST_CONTEXT", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    fill(tmp_path)
    told = player("shell", tmp_path).call("test")
    assert told["passed"] is False
    names = [row["test"].split(" (", 1)[0] if fill is node_tests else row["test"] for row in told["failed"]]
    assert list(dict.fromkeys(names)) == failed, told["output"]
    if fill is python_tests:
        assert told["failed"][1]["message"] == "ValueError: no: never"
        assert told["slowest"][0]["test"] == "test_it.py::test_good"
        assert not (tmp_path / ".pytest_cache").exists() and not (tmp_path / "__pycache__").exists()


def test_tests_that_cannot_be_run_are_a_failure(player, tmp_path):
    with pytest.raises(PlayerFailure, match="does not say how it is tested"):
        player("shell", tmp_path).call("test")
    (tmp_path / "Makefile").write_text("test:\n\t@echo 'no compiler here' >&2; exit 1\n")
    with pytest.raises(PlayerFailure, match=r"make test ended with exit code 2(.|\n)*no compiler here"):
        player("shell", tmp_path).call("test")


def test_tests_that_pass(player, tmp_path):
    (tmp_path / "Makefile").write_text("test:\n\t@echo all is well\n")
    told = player("shell", tmp_path).call("test")
    assert (told["passed"], told["failed"], told["output"]) == (True, [], "all is well\n")


def test_the_project_is_built_as_it_says(player, tmp_path):
    shell = player("shell", tmp_path)
    with pytest.raises(PlayerFailure, match="does not say how it is built"):
        shell.call("build")
    (tmp_path / "Makefile").write_text("all:\n\t@echo built\nbuild:\n\t@echo built well\n")
    assert shell.call("build")["output"] == "built well\n"
    (tmp_path / "Makefile").write_text("all:\n\t@echo half done; false\n")
    with pytest.raises(PlayerFailure, match=r"make ended with exit code 2(.|\n)*half done"):
        shell.call("build")
