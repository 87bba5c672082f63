"""One minute of the soak; `make nightly` soaks for twenty."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.soak.course import Soak, lines
from tests.soak.page import BadPatch, patched
from tests.soak.tally import PROMISED, Tally

SECONDS = float(os.environ.get("SYMPHONY_SOAK", "60"))


@pytest.mark.xdist_group("soak")
def test_everything_at_once_with_kills(tmp_path: Path) -> None:
    said: list[str] = []
    report = asyncio.run(Soak(tmp_path, SECONDS, 1, said.append).run())
    print(*said, *lines(report), sep="\n")
    assert report["problems"] == [], report
    assert report["kills"]["host"] >= 1 and report["kills"]["players"] >= 1
    assert all(layer["well"] for layer in report["layers"].values())


def test_a_broken_promise_is_a_problem() -> None:
    tally = Tally()
    for layer in PROMISED:
        for _ in range(999):
            tally.note(layer, "something")
    assert tally.broken() == []
    tally.note("bus", "something", "it was lost", injected=True)
    assert tally.broken() == [], "a kill of ours breaks no promise"
    tally.note("Pit", "something", "it was lost")
    assert [said.partition(":")[0] for said in tally.broken()] == ["Pit"]
    assert Tally().broken(), "what was never seen is not kept"


def test_a_patch_that_does_not_fit_is_found() -> None:
    tree = {"children": [{"key": "a"}, {"key": "b"}]}
    moved = patched(tree, [{"op": "move", "path": "/children/1", "from": "/children/0"}])
    assert [child["key"] for child in moved["children"]] == ["b", "a"]
    for operation in (
        {"op": "remove", "path": "/children/7"},
        {"op": "replace", "path": "/children/0/text", "value": "x"},
        {"op": "add", "path": "/children/9", "value": {}},
        {"op": "copy", "path": "/children/0", "from": "/children/1"},
    ):
        with pytest.raises((BadPatch, IndexError, KeyError)):
            patched(tree, [operation])
