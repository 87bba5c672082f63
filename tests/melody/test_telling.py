"""What a node may take is said in a few words."""

from __future__ import annotations

from symphony.melody.telling import needs_in_words


def test_what_a_node_may_take_is_said() -> None:
    node = {
        "timeout": "5m",
        "retry": {"attempts": 3},
        "resources": {"cpu": 0.5, "memory": "256MiB", "gpu": 1.0},
        "fallback": "acme/other#run",
    }
    assert needs_in_words(node) == "at most 5m, 3 tries, 0.5 cores, 256MiB, 1 GPU, else acme/other#run"
    assert needs_in_words({"retry": {"attempts": 1}}) == ""
