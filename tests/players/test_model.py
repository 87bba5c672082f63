"""The model Player: what it asks, what it streams, and what it makes of the answer."""

from __future__ import annotations

import pytest

from symphony.sdk import PlayerFailure


class Model:
    """Answers with one text and keeps what it was asked."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[dict] = []

    def __call__(self, body):
        self.asked.append(body)
        return {"text": self.text, "model": "m", "usage": {}, "pieces": [{"text": c} for c in self.text]}


def test_complete_streams_and_carries_the_context(player):
    model = Model("An answer.")
    harness = player("model", model_complete=model)
    outputs = harness.call(
        "complete", {"prompt": "Why?", "system": "Be brief", "model": "big"}, {"context": "log ``` x"}
    )
    assert outputs["text"] == "An answer."
    assert "".join(body["piece"] for body in harness.host.reported("output")) == "An answer."
    body = model.asked[0]
    assert body["model"] == "big" and body["stream"] is True
    assert body["messages"][0] == {"role": "system", "content": "Be brief"}
    assert body["messages"][1]["content"] == "Why?\n\n````\nlog ``` x\n````"


def test_no_endpoint_passes_through(player):
    def refuse(body):
        return {
            "error": {
                "code": "no_endpoint",
                "message": "No model endpoint is configured",
                "remedy": "Settings",
            }
        }

    with pytest.raises(PlayerFailure, match="No model endpoint is configured") as failure:
        player("model", model_complete=refuse).call("complete", {"prompt": "x"})
    assert (failure.value.code, failure.value.remedy) == ("no_endpoint", "Settings")


def test_explain_reads_the_file(player, history):
    model = Model("It chooses.")
    harness = player("model", history.root, model_complete=model)
    assert harness.call("explain", {"path": "src/engine.py"})["explanation"] == "It chooses."
    assert "def choose" in model.asked[0]["messages"][1]["content"]


def test_a_huge_text_is_cut_and_says_so(player):
    model = Model("x")
    player("model", model_complete=model).call("explain", inputs={"text": "a" * 500_000})
    asked = model.asked[0]["messages"][1]["content"]
    assert len(asked) < 210_000 and "300,000 characters left out" in asked


def test_edit_gives_text_and_difference(player, history):
    before = (history.root / "README.md").read_text()
    model = Model("Here it is:\n```markdown\n# The project\n\nBetter.\n```\nDone.")
    outputs = player("model", history.root, model_complete=model).call(
        "edit", {"path": "README.md", "instruction": "improve"}
    )
    assert outputs["edited"] == "# The project\n\nBetter.\n"
    assert "--- a/README.md\n+++ b/README.md\n" in outputs["diff"] and "+Better.\n" in outputs["diff"]
    assert (history.root / "README.md").read_text() == before


def test_an_answer_without_fence_is_taken_whole(player):
    outputs = player("model", model_complete=Model("b\n")).call("edit", {"instruction": "x"}, {"text": "a\n"})
    assert outputs == {"edited": "b\n", "diff": "--- a/text.txt\n+++ b/text.txt\n@@ -1 +1 @@\n-a\n+b\n"}


@pytest.mark.parametrize(
    ("function", "params", "inputs"),
    [
        ("complete", {"prompt": " "}, {}),
        ("explain", {}, {}),
        ("explain", {"path": "../x"}, {}),
        ("edit", {"instruction": ""}, {"text": "a"}),
        ("edit", {"instruction": "x"}, {"text": "a" * 300_000}),
    ],
)
def test_bad_input_is_named(player, history, function, params, inputs):
    with pytest.raises(PlayerFailure) as failure:
        player("model", history.root, model_complete=Model("x")).call(function, params, inputs)
    assert failure.value.code == "bad_input" and failure.value.remedy


def test_an_empty_answer_is_a_failure(player):
    with pytest.raises(PlayerFailure, match="empty answer"):
        player("model", model_complete=Model("  ")).call("complete", {"prompt": "x"})
