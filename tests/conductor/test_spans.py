"""The span reader reads the values of parameters that no pattern knows, and composition goes on without it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor import Conductor
from conductor.core import SPAN_WEIGHTS, WEIGHTS
from conductor.encoder import Encoder
from conductor.params.fill import Filled
from conductor.params.mentions import Mention
from conductor.spans.asking import Spans
from conductor.spans.reader import Asked, Page, SpanReader, SpansInvalid, expected_shapes, question_text
from symphony.app import doctor
from symphony.config.home import Home
from symphony.ports.component import HealthStatus
from symphony.types.players import FunctionSpec, ParamSpec

from .conftest import CONTEXT, ENCODER, bundled

TICKET = FunctionSpec(
    player="acme/tracker#ticket",
    kind="player",
    description="Opens a ticket in the issue tracker",
    inputs={},
    outputs={"ticket": "record"},
    params={
        "subject": ParamSpec("string", "one line that says what is wrong", required=True),
        "assignee": ParamSpec("string", "name of the person who shall look at it"),
        "severity": ParamSpec("integer", "how bad it is, from 1 to 5"),
    },
    examples=("open a ticket for a broken login", "create a ticket in the tracker", "file a bug report"),
)
ROOM = FunctionSpec(
    player="acme/office#book",
    kind="player",
    description="Books a meeting room of the office",
    inputs={},
    outputs={"booking": "record"},
    params={
        "room": ParamSpec("string", "name of the room", required=True),
        "people": ParamSpec("integer", "how many people take part"),
    },
    examples=("book a meeting room", "reserve a room for a meeting", "book the big room"),
)


@pytest.fixture(scope="module")
def known(cache: Path) -> Iterator[tuple[Conductor, Conductor]]:
    """A Conductor over the bundled Players and two invented ones, with the reader and without."""
    functions, lattice = bundled()
    both = []
    for weights in (SPAN_WEIGHTS, None):
        conductor = Conductor.load(ENCODER, WEIGHTS, span_weights=weights)
        conductor.index([*functions, TICKET, ROOM], lattice, cache)
        both.append(conductor)
    yield both[0], both[1]


def params_of(conductor: Conductor, prompt: str, player: str) -> dict[str, Any] | None:
    made = conductor.compose(prompt, CONTEXT)
    nodes = made.melody["nodes"] if made.melody is not None else []
    return next((node["params"] for node in nodes if node["player"] == player), None)


@pytest.mark.parametrize(
    ("prompt", "player", "name", "value"),
    [
        ("book the meeting room Einstein", ROOM.player, "room", "Einstein"),
        (
            "open a ticket with the subject 'login page is broken'", TICKET.player, "subject",
            "login page is broken",
        ),
    ],
)  # fmt: skip
def test_values_that_no_pattern_knows_are_read(
    known: tuple[Conductor, Conductor], prompt: str, player: str, name: str, value: str
) -> None:
    reads, does_not = known
    found = params_of(reads, prompt, player)
    assert found is not None and found[name] == value
    without = params_of(does_not, prompt, player)
    assert without is None, "without the reader a parameter that is needed is missing"


def test_what_the_prompt_does_not_say_is_missing_and_not_made_up(known: tuple[Conductor, Conductor]) -> None:
    reads, _ = known
    made = reads.compose("book a meeting room", CONTEXT)
    players = [n["player"] for n in made.melody["nodes"]] if made.melody is not None else []
    assert ROOM.player not in players and "name of the room" in " ".join(made.missing)


def test_what_a_pattern_found_stays(known: tuple[Conductor, Conductor]) -> None:
    for prompt in (
        "which files changed most in the last month",
        "show the ten longest functions in src as a table",
        "commits by Ada since March as a chart",
        "search for 'TODO' in docs and write it into notes.md",
    ):
        with_reader, without = (
            [(n["player"], n["params"]) for n in made.melody["nodes"]]
            for made in (c.compose(prompt, CONTEXT) for c in known)
            if made.melody is not None
        )
        assert with_reader == without


DEPLOY = FunctionSpec(
    player="acme/deploy#release",
    kind="player",
    description="Deploys a service to an environment",
    inputs={},
    outputs={"deployment": "record"},
    params={
        "service": ParamSpec("string", "name of the service to deploy", required=True),
        "environment": ParamSpec("string", "the environment to deploy to, such as staging", required=True),
        "replicas": ParamSpec("integer", "number of replicas"),
        "limit": ParamSpec("integer", "at most so many at once"),
    },
)
ROLL_OUT = "roll out checkout-api to production with 3 replicas"


def completed(prompt: str, spec: FunctionSpec, *mentions: Mention, uses: bool = False) -> Filled:
    """What the shipped reader adds to a Player of which nothing is known yet."""
    filled = Filled(missing=[name for name, param in spec.params.items() if param.required])
    filled.used += mentions if uses else ()
    asking = Spans(SpanReader.load(SPAN_WEIGHTS), Encoder(ENCODER)).about(prompt)
    if asking is not None:
        asking.complete(spec, filled, mentions)
    return filled


def test_an_optional_number_is_read_when_nothing_else_takes_it() -> None:
    three = Mention("number", 3, ROLL_OUT.index("3"), ROLL_OUT.index("3") + 1)
    assert completed(ROLL_OUT, DEPLOY, three).params["replicas"] == 3
    assert "replicas" not in completed(ROLL_OUT, DEPLOY, three, uses=True).params, "it is somebody else's"
    assert "replicas" not in completed(ROLL_OUT, DEPLOY).params, "no mention, no number"


def test_what_is_unsure_stays_missing() -> None:
    filled = completed("deploy something", DEPLOY)
    assert filled.params == {} and filled.missing == ["service", "environment"]


def test_a_path_is_no_free_text_and_quotes_are_taken_whole() -> None:
    prompt = "book the meeting room Einstein"
    start = prompt.index("Einstein")
    place = Mention("path", "Einstein", start, len(prompt))
    assert completed(prompt, ROOM).params == {"room": "Einstein"}
    assert completed(prompt, ROOM, place).missing == ["room"]
    quoted = Mention("text", "Einstein, second floor", start, len(prompt))
    filled = completed(prompt, ROOM, quoted)
    assert filled.params == {"room": "Einstein, second floor"} and filled.used == [quoted]


def test_only_english_prompts_of_usual_length_are_read() -> None:
    assert completed("buche bitte den Besprechungsraum Einstein für uns", ROOM).missing == ["room"]
    assert completed("book the meeting room Einstein" + " please" * 200, ROOM).missing == ["room"]


def stored() -> dict[str, Any]:
    with np.load(SPAN_WEIGHTS, allow_pickle=False) as opened:
        return {name: opened[name] for name in opened.files}


def written(arrays: dict[str, Any], file: Path) -> Path:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    file.write_bytes(held.getvalue())
    return file


@pytest.mark.parametrize("fault", ["absent", "cut", "lacks", "shape", "infinite", "uncalibrated", "another"])
def test_damaged_weights_are_told_and_composition_goes_on(fault: str, tmp_path: Path) -> None:
    file, arrays = tmp_path / "spans.npz", stored()
    if fault == "cut":
        file.write_bytes(SPAN_WEIGHTS.read_bytes()[:9000])
    elif fault == "lacks":
        arrays.pop("none.weight")
    elif fault == "shape":
        arrays["token.bias"] = arrays["token.bias"][:-1]
    elif fault == "infinite":
        arrays["token.bias"][3] = np.inf
    elif fault in ("uncalibrated", "another"):
        facts = json.loads(bytes(arrays["facts"]))
        facts |= {"calibration": [1.0]} if fault == "uncalibrated" else {"format": "symphony.policy/1"}
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    if fault not in ("absent", "cut"):
        written(arrays, file)
    with pytest.raises(SpansInvalid):
        SpanReader.load(file)
    conductor = Conductor.load(ENCODER, WEIGHTS, span_weights=file)
    functions, lattice = bundled()
    conductor.index(functions, lattice)
    health = conductor.health()
    assert (
        health["status"] == "degraded" and "span reader" in health["detail"]
    ) or "symphony.spans" in health["detail"]
    assert "planner" not in health["detail"], "the policy still decides"
    made = conductor.compose("which files changed most in the last month", CONTEXT)
    assert made.melody is not None


def test_doctor_tells_of_damaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_players", lambda _: [])

    def told() -> HealthStatus:
        return next(s for s in doctor.examine(Home(tmp_path)) if s.name == "span reader")

    assert told().status == "ok"
    (tmp_path / "spans.npz").write_bytes(b"not any more")
    monkeypatch.setattr("conductor.core.SPAN_WEIGHTS", tmp_path / "spans.npz")
    assert told().status == "degraded" and "spans.npz" in told().detail


def test_other_weights_read_worse(tmp_path: Path) -> None:
    """Half of the weights shuffled: what was read before is read no more."""
    arrays = stored()
    dice = np.random.default_rng(0)
    for name in expected_shapes():
        if name.startswith(("first", "last", "near", "token", "none")):
            flat = arrays[name].reshape(-1)
            arrays[name] = dice.permutation(flat).reshape(arrays[name].shape)
    spoilt = SpanReader.load(written(arrays, tmp_path / "spans.npz"))
    encoder = Encoder(ENCODER)
    right = {"shipped": 0, "spoilt": 0}
    for text, name, description, value in ASKED:
        page = Page(text, *encoder.tokens(text))
        vector, tool = encoder.embed([question_text(name, description), "forecast: Forecasts the weather"])
        for which, reader in (("shipped", SpanReader.load(SPAN_WEIGHTS)), ("spoilt", spoilt)):
            asked = [Asked(name, description, "str", True, vector)]
            (read,) = reader.read(page, asked, tool, page.within(0, len(text)))
            right[which] += read is not None and read.value == value and read.sure > 0.5
    assert right["shipped"] >= 5 and right["spoilt"] <= 1


ASKED = [
    ("Tell me the weather in Lisbon tomorrow.", "city", "name of the city", "Lisbon"),
    ("Forecast the weather for Oslo, please.", "location", "where the weather is wanted", "Oslo"),
    ("I want the forecast for the city Quito.", "city", "name of the city", "Quito"),
    ("How warm is it going to be in Nairobi?", "place", "the city to look at", "Nairobi"),
    ("Get the weather forecast of San Francisco.", "city", "name of the city", "San Francisco"),
    ("Show the weather forecast for Berlin on 2026-03-01.", "city", "name of the city", "Berlin"),
]
