"""The host holds outputs against what extensions declare of their types, whatever the Player's own check says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pit.theatre import Theatre, node

LIAR = Path(__file__).with_name("player_that_lies.py")
COMMITS = "list<git/commit>"
TYPES = [("git/commit", ["record"]), ("record", ["json"]), ("git/merge", ["git/commit"])]


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    """A Pit with a Player that checks nothing."""
    theatre = Theatre(tmp_path / "t")
    theatre.register(entry=LIAR)
    theatre.runtime.declare_types(TYPES)
    yield theatre
    theatre.close()


WRONG: list[tuple[str, Any, str]] = [
    (COMMITS, [1, 2], "a list in which item 0 is a map, but an integer came"),
    (COMMITS, [{"hash": "1"}, "x"], "a list in which item 1 is a map, but text came"),
    ("git/merge", "x", "a map, but text came"),
]


def test_a_node_with_numbers_in_the_place_of_commits_fails(theatre: Theatre) -> None:
    for number, (kind, value, words) in enumerate(WRONG):
        run = f"wrong{number}"
        step = node("say", "say", params={"value": value}, outputs={"items": kind})
        assert theatre.play(theatre.plan([step], run=run))["state"] == "failed"
        error = theatre.nodes(run)["say"]["error"]
        assert error["code"] == "bad_output" and words in error["message"], error
    step = node("say", "say", params={"value": [{"hash": "1"}]}, outputs={"items": COMMITS})
    assert theatre.play(theatre.plan([step], run="right"))["state"] == "succeeded"


def test_a_function_called_alone_is_held_to_the_same(theatre: Theatre) -> None:
    def call(token: int, value: Any, outputs: dict[str, str]) -> dict[str, Any]:
        body = {
            "function": "say",
            "params": {"value": value},
            "inputs": {},
            "outputs": outputs,
            "context": {},
        }
        theatre.runtime.call_player(token, "test", body, 30.0)
        return theatre.until(lambda e: e["event"] == "call_done" and e["token"] == token)

    for token, (kind, value, words) in enumerate(WRONG):
        error = call(token, value, {"items": kind})["error"]
        assert error["code"] == "bad_output" and words in error["message"]
    assert call(10, [{}], {"items": COMMITS})["outputs"] == {"items": [{}]}
    missing = call(11, [{}], {"items": COMMITS, "more": "text"})["error"]
    assert missing["code"] == "protocol" and "lacks the output more" in missing["message"]
