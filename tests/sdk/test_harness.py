"""The harness runs a Player's functions in-process, under the manifest's grants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from symphony.sdk import PermissionDenied, PlayerFailure
from symphony.sdk.failures import Cancelled
from symphony.sdk.testing import Harness

MANIFEST = """
[extension]
name = "tests/sample"
version = "1.0.0"
type = "operator"
entry = "player.py"

[[functions]]
name = "count"
outputs = { lines = "integer" }

[[functions]]
name = "shape"
outputs = { record = "record" }

[[functions]]
name = "nothing"
outputs = {}

[capabilities]
files = ["read:project/src/**", "write:project/out/**"]
system = ["exec:echo"]
"""

PLAYER = """
from counting import count_lines
from symphony.sdk import Artifact, Context, player

@player.function
def count(ctx: Context, project, path="src/a.txt"):
    ctx.progress(1, "done")
    return count_lines(ctx.read_text(path))

@player.function
def shape(ctx):
    return {"width": 3}

@player.function
def nothing(ctx):
    import lazy
    lazy.touch(ctx)

@player.function(outputs=["chart", "note"])
def draw(ctx, *, label):
    return {"chart": Artifact("<svg/>", name="c.svg", type="image/svg+xml"), "note": label}

@player.function(name="run", outputs=["text"])
def run_it(ctx, argv, **extra):
    return ctx.exec(argv).text

@player.function
def ask(ctx):
    pieces = []
    answer = ctx.complete("hi", stream=pieces.append)
    return {"pieces": pieces, "text": answer.text}

@player.function
def bad(ctx, what):
    return {"x": {"set": {1}, "key": {1: 2}, "text": "\\ud800", "big": 1 << 70, "ok": (1, 2.5, None)}[what]}

player.serve()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    extension = tmp_path / "extension"
    extension.mkdir()
    (extension / "Symphony.toml").write_text(MANIFEST)
    (extension / "player.py").write_text(PLAYER)
    (extension / "counting.py").write_text("def count_lines(text):\n    return len(text.splitlines())\n")
    (extension / "lazy.py").write_text("def touch(ctx):\n    ctx.write('out/x.txt', 'touched')\n")
    (tmp_path / "project" / "src").mkdir(parents=True)
    (tmp_path / "project" / "src" / "a.txt").write_text("1\n2\n3\n")
    return tmp_path


@pytest.fixture
def harness(folder: Path) -> Harness:
    return Harness(folder / "extension" / "player.py", project=folder / "project")


def test_a_single_value_takes_the_manifests_only_output(harness: Harness) -> None:
    assert harness.call("count") == {"lines": 3}
    assert harness.host.reported("progress") == [{"fraction": 1.0, "note": "done"}]


def test_a_dict_that_is_no_port_is_the_value(harness: Harness) -> None:
    assert harness.call("shape") == {"record": {"width": 3}}


def test_modules_imported_late_are_the_extensions_own(harness: Harness, folder: Path) -> None:
    assert harness.call("nothing") == {}
    assert (folder / "project" / "out" / "x.txt").read_text() == "touched"


def test_artifacts_give_name_and_type(harness: Harness) -> None:
    outputs = harness.call("draw", params={"label": "l"})
    assert outputs == {"chart": "<svg/>", "note": "l"}
    assert harness.artifacts == {"chart": {"name": "c.svg", "type": "image/svg+xml"}}


def test_what_the_manifest_does_not_grant_is_refused(harness: Harness) -> None:
    with pytest.raises(PermissionDenied, match=r"secret\.txt is not granted"):
        harness.call("count", params={"path": "secret.txt"})
    with pytest.raises(PermissionDenied, match="not granted"):
        harness.call("count", params={"path": "src/../secret.txt"})
    with pytest.raises(PermissionDenied, match="running ls is not granted"):
        harness.call("run", params={"argv": ["ls"]})
    assert harness.call("run", params={"argv": ["echo", "ä"], "more": 1}) == {"text": "ä\n"}


def test_wrong_names_are_explained(harness: Harness) -> None:
    with pytest.raises(PlayerFailure, match="no function 'x'; there are: ask, bad, count") as unknown:
        harness.call("x")
    assert unknown.value.code == "bad_input"
    with pytest.raises(PlayerFailure, match="'label' is missing, 'lable' is unknown") as wrong:
        harness.call("draw", params={"lable": "l"})
    assert wrong.value.remedy == "it takes label"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("set", "is a set, which cannot travel"),
        ("key", "has the key 1, which is no text"),
        ("text", "is text that is no valid Unicode"),
        ("big", "is an integer of more than 64 bits"),
    ],
)
def test_what_cannot_travel_is_named(harness: Harness, what: str, words: str) -> None:
    with pytest.raises(PlayerFailure, match=f"bad: output x {words}"):
        harness.call("bad", params={"what": what})


def test_tuples_become_lists(harness: Harness) -> None:
    assert harness.call("bad", params={"what": "ok"}) == {"x": [1, 2.5, None]}


def test_capabilities_are_given_as_functions(folder: Path) -> None:
    def complete(body: dict[str, Any]) -> dict[str, Any]:
        assert body["messages"] == [{"role": "user", "content": "hi"}]
        return {"pieces": ["he", "llo"], "text": "hello", "model": "m", "usage": {}}

    harness = Harness(folder / "extension" / "player.py", capabilities={"model.complete": complete})
    assert harness.call("ask") == {"pieces": ["he", "llo"], "text": "hello"}
    with pytest.raises(Cancelled):
        harness.call("ask", cancelled=True)


def test_two_extensions_with_modules_of_the_same_name(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "counting.py").write_text("def count_lines(text):\n    return -1\n")
    (other / "player.py").write_text(
        "from counting import count_lines\nfrom symphony.sdk import player\n"
        "@player.function(outputs=['n'])\ndef count(ctx):\n    return count_lines('')\n"
    )
    first = Harness(folder / "extension" / "player.py", project=folder / "project")
    second = Harness(other / "player.py")
    assert second.call("count") == {"n": -1}
    assert first.call("count") == {"lines": 3}
    assert second.functions == ["count"]
