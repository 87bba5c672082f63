"""Local models in the pool of the Players: loaded when held, warmed, measured, unloaded when idle or for room."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from conductor import Conductor
from conductor.core import SPAN_WEIGHTS, read_spans
from conductor.params.fill import Filled
from symphony.app.local_models import ENCODER, LocalModels
from symphony.app.paths import encoder_files
from symphony.errors import NotFound, SymphonyError
from symphony.types.players import FunctionSpec, ParamSpec
from tests.pit.theatre import Theatre


class Model:
    """Says what happens to it; `gone` is set when nothing refers to it any more."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.gone = threading.Event()
        self.is_warm = False

    def warm(self) -> None:
        self.is_warm = True

    def memory_in_use(self) -> int:
        return 7 << 20 if self.is_warm else 0

    def __del__(self) -> None:
        self.gone.set()


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    """A Pit whose pool holds one entry."""
    theatre = Theatre(tmp_path / "t", capacity=1)
    yield theatre
    theatre.close()


def test_a_model_is_loaded_when_it_is_held_and_goes_for_a_player(theatre: Theatre) -> None:
    theatre.runtime.register_model("a", Model, memory=1 << 20)
    assert theatre.runtime.model_states()["a"]["state"] == "unloaded"
    handle = theatre.runtime.hold_model("a")
    gone = handle.value.gone
    seen = theatre.runtime.model_states()["a"]
    assert handle.value.is_warm and seen["state"] == "active" and seen["kind"] == "model"
    assert seen["measured"] and seen["memory"] == 7 << 20 == theatre.runtime.stats()["players"]["memory"]
    handle.release()
    with pytest.raises(SymphonyError, match="released"):
        handle.release()
    with pytest.raises(SymphonyError, match="released"):
        _ = handle.value
    # The Player takes its place.
    theatre.register()
    assert theatre.runtime.prewarm(["test"]) == 1
    theatre.until(lambda e: e["event"] == "player" and e["state"] == "ready")
    assert gone.wait(30) and theatre.runtime.model_states()["a"]["state"] == "unloaded"
    # And it comes back, the Player going.
    with theatre.runtime.hold_model("a", timeout=60) as model:
        assert model.id == "a" and theatre.runtime.player_states()["test"]["state"] == "unloaded"


def test_a_model_that_nobody_uses_goes(theatre: Theatre) -> None:
    theatre.runtime.register_model("a", Model, idle=0.01)
    with theatre.runtime.hold_model("a") as model:
        gone = model.gone
        del model
    assert gone.wait(30)


def test_a_model_that_cannot_be_loaded_says_why(theatre: Theatre) -> None:
    def broken(id: str) -> None:
        raise OSError("no such weights")

    theatre.runtime.register_model("a", broken)
    with pytest.raises(SymphonyError, match="no such weights") as refused:
        theatre.runtime.hold_model("a")
    assert refused.value.code == "load_failed"
    theatre.register()
    for unknown in ("b", "test"):  # a Player is no model
        with pytest.raises(NotFound):
            theatre.runtime.hold_model(unknown)


def test_the_sentence_encoder_embeds_the_same_after_it_was_unloaded(theatre: Theatre) -> None:
    encoder = LocalModels(theatre.runtime, idle=600.0).encoder(encoder_files())
    before = encoder.embed(["find dead code"])
    known = theatre.runtime.model_states()[ENCODER]
    files = sum(file.stat().st_size for file in encoder_files().glob("*.onnx"))
    assert known["state"] == "ready" and known["memory"] >= files
    theatre.runtime.register_model("other", Model)
    with theatre.runtime.hold_model("other"):
        assert theatre.runtime.model_states()[ENCODER]["state"] == "unloaded"
    assert (encoder.embed(["find dead code"]) == before).all()


def test_the_span_reader_reads_through_the_pooled_encoder(theatre: Theatre) -> None:
    encoder = LocalModels(theatre.runtime, idle=600.0).encoder(encoder_files())
    spans = read_spans(encoder, SPAN_WEIGHTS)
    assert spans is not None
    asking = spans.about("book the meeting room Einstein")
    assert asking is not None
    room = ParamSpec("string", "name of the room", required=True)
    filled = Filled(missing=["room"])
    asking.complete(
        FunctionSpec(
            "acme/office#book", "player", "Books a meeting room of the office", {}, {}, {"room": room}
        ),
        filled,
        (),
    )
    assert filled.params == {"room": "Einstein"} and not filled.missing


def test_without_a_readable_encoder_the_conductor_plans_with_less(theatre: Theatre, tmp_path: Path) -> None:
    for name in ("encoder.onnx", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"not what it should be")
    conductor = Conductor.load(tmp_path, None, LocalModels(theatre.runtime, idle=600.0).encoder)
    health = conductor.health()
    assert health["status"] == "degraded" and "cannot be read" in health["detail"]
    assert theatre.runtime.model_states()[ENCODER]["failures"] == 1
