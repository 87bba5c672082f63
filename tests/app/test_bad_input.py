"""Bad input gets one clear line, the right exit code, and loses nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def one_line(done: Any, code: int, *words: str) -> None:
    assert done.code == code, (done.code, done.out, done.err)
    lines = [line for line in done.err.splitlines() if line.startswith("symphony:")]
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err


def test_an_unknown_project(symphony: Run, tmp_path: Path) -> None:
    one_line(symphony("run", "list files", "--project", tmp_path / "nowhere"), 2, "nowhere", "--project")


def test_a_file_as_project(symphony: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    one_line(symphony("compose", "list files", "--project", tmp_path / "file"), 2, "no folder")


def test_an_empty_prompt(symphony: Run, tmp_path: Path) -> None:
    one_line(symphony("run", "  ", "--project", tmp_path), 2, "empty")


def test_a_very_long_prompt(symphony: Run, tmp_path: Path) -> None:
    one_line(symphony("run", "word " * 20_000, "--project", tmp_path), 2, "characters")


def test_no_git_repository_for_a_git_player(symphony: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    done = symphony("ext", "call", "symphony/git#log", "--project", tmp_path)
    one_line(done, 1, "git")


def test_a_malformed_melody(symphony: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("format: symphony.melody/1\nname: x\nnodes:\n  - id: a\n   kind: operator\n")
    done = symphony("melody", "validate", file)
    one_line(done, 2, "line")
    done = symphony("play", file, "--project", tmp_path)
    one_line(done, 2, "line")


def test_an_unknown_key_in_a_melody(symphony: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("format: symphony.melody/1\nname: x\nnodes: []\nedges: []\nextra: 1\n")
    one_line(symphony("melody", "validate", file), 2, "extra")


def test_a_melody_with_several_faults(symphony: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "format: symphony.melody/1\nname: x\nnodes:\n"
        "  - {id: a, kind: operator, player: symphony/nosuch#thing}\n"
        "  - {id: b, kind: operator, player: symphony/report#markdown}\n"
        "edges:\n  - {kind: data, from: a.x, to: b.sections}\n"
    )
    done = symphony("melody", "validate", file, "--json")
    assert done.code == 2
    answer = json.loads(done.out)
    assert answer["valid"] is False
    assert "unknown" in " ".join(f["code"] for f in answer["findings"])


def test_an_unknown_command(symphony: Run) -> None:
    one_line(symphony("dance"), 2, "--help")


def test_an_unknown_run(symphony: Run) -> None:
    one_line(symphony("runs", "show", "nosuch"), 2, "nosuch")


def test_an_unknown_setting(symphony: Run) -> None:
    one_line(symphony("config", "set", "no.such", "1"), 2, "no.such")


def test_a_port_in_use(symphony: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one_line(symphony("serve", "--port", taken.getsockname()[1]), 3, "Port")


def test_an_address_that_is_not_this_machine(symphony: Run) -> None:
    one_line(symphony("serve", "--host", "0.0.0.0"), 2, "0.0.0.0")


def test_json_errors_are_one_document(symphony: Run, tmp_path: Path) -> None:
    done = symphony("run", "", "--project", tmp_path, "--json")
    assert done.code == 2
    assert json.loads(done.out)["error"]["code"] == "bad_input"
    assert done.err == ""


@pytest.mark.parametrize(
    "command", ["run", "compose", "play", "melody", "runs", "artifacts", "ext", "config", "doctor"]
)
def test_every_command_has_help(symphony: Run, command: str) -> None:
    done = symphony(command, "--help")
    assert done.code == 0
    assert "Usage" in done.out


def test_a_setting_that_keeps_the_host_from_starting_can_be_taken_back(symphony: Run) -> None:
    assert symphony("config", "set", "pit.store.encryption", "passphrase").code == 0
    one_line(symphony("artifacts", "list"), 3, "passphrase")
    assert symphony("config", "get", "pit.store.encryption").out.strip() == "passphrase"
    assert symphony("config", "set", "pit.store.encryption", "off").code == 0
    assert symphony("artifacts", "list").code == 0


MALFORMED_KEYRING = """
from keyring.backend import KeyringBackend
class Keyring(KeyringBackend):
    priority = 1
    def get_password(self, service, name): return "not base64!"
    def set_password(self, service, name, password): pass
    def delete_password(self, service, name): pass
"""


def test_a_host_with_a_malformed_keyring_ends_with_one_line(
    symphony: Run, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "malformed_keyring.py").write_text(MALFORMED_KEYRING)
    home.mkdir()
    (home / "store-key").write_text("artifact store")
    (home / "config.toml").write_text('[pit.store]\nencryption = "keyring"\n')
    done = symphony(
        "runs", "list", PYTHONPATH=str(tmp_path), PYTHON_KEYRING_BACKEND="malformed_keyring.Keyring"
    )
    one_line(done, 3, "does not hold a key")
    assert not any((home / "store").iterdir())
