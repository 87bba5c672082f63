"""The shell Player runs what it is told, word by word."""

from __future__ import annotations

import sys

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
