"""What stands under conductor/ and what importing it costs."""

from __future__ import annotations

import re
import subprocess
import sys

from conductor.past import shipped_requests

from .conftest import ROOT, bundled

HEAVY = ("torch", "numpy", "onnxruntime", "tokenizers", "dateparser", "networkx", "gymnasium", "rapidfuzz")


def test_importing_the_conductor_is_light() -> None:
    code = f"import sys, conductor; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_no_player_is_named_under_conductor() -> None:
    names = {spec.player for spec in bundled()[0]} | {spec.extension for spec in bundled()[0]}
    for file in (ROOT / "conductor").rglob("*"):
        if file.suffix not in (".py", ".toml", ".txt", ".json"):
            continue
        text = file.read_text(encoding="utf-8")
        assert not [n for n in names if re.search(rf"(?<![\w/]){re.escape(n)}(?![\w/])", text)], file


def test_only_what_learns_knows_torch() -> None:
    for file in (ROOT / "conductor").rglob("*.py"):
        if not {"training", "evaluate", "ppo.py"} & set(file.parts):
            assert not re.search(r"^\s*(?:import|from)\s+torch", file.read_text(encoding="utf-8"), re.M), file


def test_no_prompt_copies_an_example() -> None:
    from conductor.words import content_words

    from .judging import prompts

    examples = [set(content_words(e)) for spec in bundled()[0] for e in spec.examples]
    copied = []
    for line in [*prompts(), *prompts("unseen.jsonl")]:
        words = set(content_words(line["prompt"]))
        if len(words) > 3 and any(len(words & e) / len(words) > 0.8 for e in examples if e):
            copied.append(line["prompt"])
    assert copied == []


def test_no_natural_prompt_shares_most_of_its_words_with_an_example_or_a_request() -> None:
    from .judging import prompts

    def words(text: str) -> set[str]:
        return set(re.findall(r"\w+", text.lower()))

    examples = {e: words(e) for spec in bundled()[0] for e in spec.examples}
    earlier = {line["prompt"]: words(line["prompt"]) for line in [*prompts(), *prompts("unseen.jsonl")]}
    earlier |= {one.prompt: words(one.prompt) for one in shipped_requests(ROOT / "extensions")}
    near = [
        (line["prompt"], other)
        for line in prompts("natural_*.jsonl")
        for other, theirs in {**examples, **earlier}.items()
        if len(words(line["prompt"]) & theirs) >= 0.6 * len(words(line["prompt"]))
    ]
    assert near == []
