"""Natural prompts over the bundled Players become valid Melodies that do what was asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conductor import ComposeContext, Conductor, ProjectFacts
from conductor.core import WEIGHTS
from symphony.errors import BadInput

from .conftest import CONTEXT, ENCODER, NOW, bundled, conductor_over
from .judging import faults, invalidities, prompts

LEAST_RIGHT = 0.9
"""Of the natural prompts, held or raised, never lowered; the aim is .85."""
LEAST_RIGHT_UNSEEN = 0.85
"""Of those that were looked at once."""

PARAPHRASES = (
    "Which files change most and are hardest to maintain? Write me a report with a chart",
    "which files change the most and are the hardest to maintain? report with chart please",
    "What are the files that change most often and are hard to maintain? I want a report and a chart.",
    "Write a report with a chart: which files are edited all the time and too complex?",
    "Find the files that are modified most frequently and are most complex, draw a chart and write a report",
    "report + chart of files with high churn and high complexity",
    "Show churn and complexity per file, chart it, and put everything in a markdown report",
)


@pytest.mark.parametrize("prompt", PARAPHRASES)
def test_the_showcase_prompt_in_many_wordings(conductor: Conductor, prompt: str) -> None:
    composition = conductor.compose(prompt, CONTEXT)
    assert composition.possible and composition.melody
    players = {node["player"] for node in composition.melody["nodes"]}
    assert {"symphony/git#churn", "symphony/code#complexity"} <= players
    assert {"symphony/report#chart", "symphony/report#markdown"} <= players
    edges = {(e["from"], e["to"]) for e in composition.melody["edges"]}
    assert ("chart.chart", "report.sections") in edges
    assert not any(target.startswith(("churn.", "complexity.")) for _, target in edges), "both run at once"
    assert not composition.missing


def test_what_one_sentence_asks_of_the_same_files_is_joined(conductor: Conductor) -> None:
    melody = conductor.compose(PARAPHRASES[0], CONTEXT).melody
    assert melody is not None
    edges = {(e["from"], e["to"]) for e in melody["edges"]}
    assert ("churn.files", "hotspots.churn") in edges and ("complexity.files", "hotspots.complexity") in edges
    assert ("hotspots.hotspots", "chart.items") in edges and ("hotspots.hotspots", "report.sections") in edges


@pytest.mark.parametrize(
    "prompt",
    [
        "Which files change most? Show me a bar chart as a PNG",
        "Who commits most? As a PNG please",
        "How many files per language? Export a pie chart as PNG",
        "Welche Dateien wurden am häufigsten geändert? Zeig mir ein Balkendiagramm als PNG",
    ],
)
def test_a_picture_may_be_asked_for_by_its_format(conductor: Conductor, prompt: str) -> None:
    composition = conductor.compose(prompt, CONTEXT)
    assert composition.melody and not composition.missing
    [chart] = [n for n in composition.melody["nodes"] if n["player"] == "symphony/report#chart"]
    made = next(spec for spec in bundled()[0] if spec.player == chart["player"]).outputs
    assert "image/png" in made.values()


def test_every_melody_is_valid_and_most_do_what_was_asked(conductor: Conductor) -> None:
    functions, lattice = bundled()
    catalogue = {spec.player: spec for spec in functions}
    wrong = {}
    for line in prompts():
        composition = conductor.compose(line["prompt"], CONTEXT)
        if composition.melody is not None:
            assert invalidities(composition.melody, catalogue, lattice) == [], line["prompt"]
            named = {node["id"] for node in composition.melody["nodes"]}
            assert named <= {e["node"] for e in composition.explanations}
            assert composition.predicted_seconds > 0
        if found := faults(line, composition):
            wrong[line["prompt"]] = found
    share = 1 - len(wrong) / len(prompts())
    assert share >= LEAST_RIGHT, f"{share:.2f} right; " + "\n".join(f"{k}: {v}" for k, v in wrong.items())


@pytest.mark.parametrize(
    ("file", "least"), [("natural_sealed7", 0.7), ("natural_dev8", 0.55), ("natural_sealed8", 0.5)]
)
def test_what_is_said_in_words_far_from_every_player_is_seldom_refused(
    conductor: Conductor, file: str, least: float
) -> None:
    """Far from the aim of .85; held or raised, never lowered."""
    lines = prompts(f"{file}.jsonl")
    made = [conductor.compose(line["prompt"], CONTEXT) for line in lines]
    right = [not faults(line, one) for line, one in zip(lines, made, strict=True)]
    assert sum(right) >= least * len(lines)
    refused = [
        line["prompt"] for line, one in zip(lines, made, strict=True) if line["possible"] > one.possible
    ]
    assert len(refused) <= 0.15 * len(lines), refused


def test_a_file_is_for_a_player_of_its_kind(conductor: Conductor) -> None:
    """No other takes it, however near its words are: complexity is measured of code, not of a table."""
    for prompt in ("what is worst in data/sales.csv", "which product sold worst according to data/sales.csv"):
        melody = conductor.compose(prompt, CONTEXT).melody
        assert melody is not None
        assert {"player": "symphony/data#parse_csv", "path": "data/sales.csv"} in [
            {"player": node["player"], "path": node["params"].get("path")} for node in melody["nodes"]
        ]
        assert not any(node["player"].startswith("symphony/code#") for node in melody["nodes"])


@pytest.mark.parametrize("file", ["unseen", "natural_dev", "natural_sealed", "natural_last", "natural_dev7"])
def test_prompts_that_were_written_before_tuning_are_served_and_what_is_impossible_is_refused(
    conductor: Conductor, file: str
) -> None:
    lines = prompts(f"{file}.jsonl")
    made = [conductor.compose(line["prompt"], CONTEXT) for line in lines]
    wrong = {
        line["prompt"]: found for line, one in zip(lines, made, strict=True) if (found := faults(line, one))
    }
    assert len(wrong) <= (1 - LEAST_RIGHT_UNSEEN) * len(lines), wrong
    assert not [
        line["id"] for line, one in zip(lines, made, strict=True) if one.possible and not line["possible"]
    ]
    possible = [one.possible for line, one in zip(lines, made, strict=True) if line["possible"]]
    assert sum(possible) >= 0.95 * len(possible)


def test_chance_under_the_same_masks_is_valid_and_far_worse(conductor: Conductor) -> None:
    functions, lattice = bundled()
    catalogue = {spec.player: spec for spec in functions}
    right = {"uniform": 0, "policy": 0}
    for line in prompts():
        for arm in right:
            composition = conductor.compose(line["prompt"], CONTEXT, arm=arm)
            right[arm] += not faults(line, composition)
            if composition.melody is not None:
                assert invalidities(composition.melody, catalogue, lattice) == [], (arm, line["prompt"])
    assert right["policy"] - right["uniform"] >= 0.15 * len(prompts())


def test_the_same_prompt_gives_the_same_melody(conductor: Conductor, cache: Path) -> None:
    again = conductor_over(*bundled(), cache, WEIGHTS)
    for line in prompts()[:12]:
        first = conductor.compose(line["prompt"], CONTEXT)
        assert first == conductor.compose(line["prompt"], CONTEXT)
        assert first == again.compose(line["prompt"], CONTEXT)


def test_damaged_weights_compose_worse(cache: Path, tmp_path: Path) -> None:
    with np.load(WEIGHTS) as stored:
        arrays = {name: stored[name] for name in stored.files}
    dice = np.random.default_rng(3)
    for name in arrays:
        if name.startswith("policy."):
            arrays[name] = dice.permutation(arrays[name].ravel()).reshape(arrays[name].shape)
    damaged = tmp_path / "damaged.npz"
    np.savez(damaged, **arrays)
    # For prompts like those that it knows the past makes up for a policy that is gone: both are weights.
    with np.load(ENCODER / "past.npz") as stored:
        taught = {name: stored[name] for name in stored.files}
    for name in ("weights", "by_word"):
        taught[name] = dice.permutation(taught[name].ravel()).reshape(taught[name].shape)
    np.savez(tmp_path / "past.npz", **taught)
    for name in ("encoder.onnx", "tokenizer.json"):
        (tmp_path / name).symlink_to(ENCODER / name)
    whole = conductor_over(*bundled(), cache, WEIGHTS)
    broken = Conductor.load(tmp_path, damaged)
    broken.index(*bundled(), cache)
    lines = [line for line in prompts() if line["possible"]]
    right = [
        sum(not faults(line, c.compose(line["prompt"], CONTEXT)) for line in lines) for c in (whole, broken)
    ]
    assert right[1] <= right[0] - 0.2 * len(lines), right


def test_without_policy_or_encoder_it_still_composes_and_says_so(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.npz").write_bytes(b"not weights")
    planner = conductor_over(*bundled(), cache, tmp_path / "policy.npz")
    assert planner.health()["status"] == "degraded"
    assert "planner" in planner.health()["detail"]
    assert planner.compose("find dead code", CONTEXT).possible
    blind = Conductor.load(tmp_path / "nothing", WEIGHTS)
    blind.index(*bundled(), cache)
    assert blind.health()["status"] == "degraded"
    composition = blind.compose("find dead code", CONTEXT)
    assert composition.melody and composition.melody["nodes"][0]["player"] == "symphony/code#dead_code"


def test_health_of_the_whole_is_ok(conductor: Conductor) -> None:
    assert conductor.health()["status"] == "ok"


@pytest.mark.parametrize("prompt", ["", "   \n", "?!…"])
def test_an_empty_prompt_is_bad_input(conductor: Conductor, prompt: str) -> None:
    with pytest.raises(BadInput, match="empty"):
        conductor.compose(prompt, CONTEXT)


def test_an_absurdly_long_prompt_is_bad_input_in_one_line(conductor: Conductor) -> None:
    with pytest.raises(BadInput, match="100,000 characters") as caught:
        conductor.compose("churn " * 16_666 + "file", CONTEXT)
    assert "\n" not in str(caught.value)


def test_a_long_prompt_is_composed(conductor: Conductor) -> None:
    story = "We had a long discussion about quality yesterday. " * 40
    assert conductor.compose(story + "Find dead code in the project.", CONTEXT).melody is not None


def test_a_prompt_without_project_or_time_is_composed(conductor: Conductor) -> None:
    assert conductor.compose("how many lines of code per language", ComposeContext()).possible


def test_observed_durations_change_the_prediction(conductor: Conductor, cache: Path) -> None:
    own = conductor_over(*bundled(), cache, WEIGHTS)
    before = own.compose("find dead code", CONTEXT).predicted_seconds
    own.observe({"symphony/code#dead_code": 42.0})
    assert own.compose("find dead code", CONTEXT).predicted_seconds == pytest.approx(42.0)
    assert before < 42.0


def test_file_names_that_are_no_words_do_no_harm(conductor: Conductor) -> None:
    strange = ProjectFacts(
        path="/p", is_git=False, files=("Größe und Maß.md", "a b/c d.txt", "日本.py", "-x")
    )
    composition = conductor.compose("summarise 'Größe und Maß.md'", ComposeContext(project=strange, now=NOW))
    assert composition.possible


@pytest.mark.parametrize(
    ("prompt", "players"),
    [
        ("find dead code and TODOs", {"symphony/code#dead_code", "symphony/code#todos"}),
        ("compare 3.0.0 and 3.1.0", {"symphony/git#diff"}),
        ("rename foo to bar everywhere", {"symphony/files#replace"}),
    ],
)
def test_what_stands_on_both_sides_of_a_joint(conductor: Conductor, prompt: str, players: set[str]) -> None:
    """Both of two wishes are served; two ends of a range, and an old and a new name, are one wish."""
    made = conductor.compose(prompt, CONTEXT)
    assert made.melody is not None
    assert {node["player"] for node in made.melody["nodes"]} == players
    if "3.0.0" in prompt:
        assert made.melody["nodes"][0]["params"] == {"base": "3.0.0", "head": "3.1.0"}


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [("top 3 authors by lines added as a bar chart", "bar"), ("line chart of commits per month", "line")],
)
def test_a_kind_is_what_is_said_of_the_chart(conductor: Conductor, prompt: str, kind: str) -> None:
    melody = conductor.compose(prompt, CONTEXT).melody
    assert melody is not None
    [chart] = [node for node in melody["nodes"] if node["player"] == "symphony/report#chart"]
    assert chart["params"]["kind"] == kind


@pytest.mark.parametrize(
    "prompt", ["is there dead code in src/nothere.py", "list the functions in src/nothere.py"]
)
def test_what_is_asked_of_a_file_is_never_written_to_it(conductor: Conductor, prompt: str) -> None:
    """Though no file has that name: a slip of the fingers must not become a new file."""
    melody = conductor.compose(prompt, CONTEXT).melody
    assert melody is not None
    assert "symphony/files#write" not in {node["player"] for node in melody["nodes"]}
    written = conductor.compose("save the list of TODOs in open.csv", CONTEXT).melody
    assert written is not None
    [write] = [node for node in written["nodes"] if node["player"] == "symphony/files#write"]
    assert write["params"]["path"] == "open.csv"
