"""The text Player on texts whose answer is plain, with embeddings that know words only."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from symphony.sdk import PlayerFailure
from tests.players.conftest import embed

ARTICLE = """# Sandboxes

[![badge](https://example.org/b.svg)](https://example.org)

A sandbox runs a program that nobody trusts. The sandbox hides the files of the user from the program.
Dr. Smith wrote the first sandbox for the program in version 1.2.3. Cats sleep all day.

```python
print("no prose at all in this code block")
```

- The sandbox of the program ends with the program.
- Bananas are yellow.

| a | table |
| --- | --- |
"""


def test_summary_takes_central_sentences_in_order(player):
    summary = player("text").call("summary", {"sentences": 2}, {"text": ARTICLE})["summary"]
    assert "sandbox" in summary and "Bananas" not in summary and "Cats" not in summary
    assert "print(" not in summary and "badge" not in summary and "table" not in summary
    sentences = re.split(r"(?<=[a-z3]\.) ", summary)
    assert len(sentences) == 2
    assert ARTICLE.replace("\n", " ").index(sentences[0]) < ARTICLE.replace("\n", " ").index(
        sentences[1].strip(".")
    )


def test_a_short_text_is_its_own_summary_and_needs_no_encoder(player):
    def refuse(body):
        raise AssertionError("nothing to embed")

    text = "Only one sentence stands in this text."
    assert player("text", model_embed=refuse).call("summary", inputs={"text": text})["summary"] == text


def test_a_host_without_encoder_is_named(player):
    def refuse(body):
        return {
            "error": {"code": "unavailable", "message": "the encoder is not built", "remedy": "make build"}
        }

    with pytest.raises(PlayerFailure, match="encoder is not built"):
        player("text", model_embed=refuse).call("summary", {"sentences": 1}, {"text": ARTICLE})


def test_abbreviations_do_not_end_sentences(player):
    text = "We met Dr. Smith at 5 p.m. in the old town. He was late again, as always he is."
    assert player("text").call("summary", {"sentences": 2}, {"text": text})["summary"] == text


def test_keywords_name_the_topic(player):
    rows = player("text").call("keywords", {"limit": 5}, {"text": ARTICLE})["keywords"]
    words = " ".join(row["keyword"] for row in rows)
    assert "sandbox" in words and len(rows) == 5
    weights = [row["weight"] for row in rows]
    assert weights == sorted(weights, reverse=True) and weights[0] == 1.0 and min(weights) > 0
    assert all(row["keyword"] not in ("the", "of") for row in rows)
    assert player("text").call("keywords", inputs={"text": ""})["keywords"] == []


def test_keywords_know_other_languages(player):
    text = "Der Hund und die Katze schlafen in dem Haus. Die Katze ist müde, und der Hund ist nicht im Haus."
    rows = player("text").call("keywords", inputs={"text": text})["keywords"]
    assert {"und", "die", "der"}.isdisjoint({row["keyword"] for row in rows}) and rows


def test_similarity_finds_the_passage(player):
    rows = player("text").call("similarity", {"query": "yellow bananas", "limit": 2}, {"text": ARTICLE})[
        "passages"
    ]
    assert rows[0]["passage"] == "Bananas are yellow." and rows[0]["heading"] == "Sandboxes"
    assert ARTICLE.splitlines()[rows[0]["line"] - 1] == "- Bananas are yellow."
    assert rows[0]["score"] > rows[1]["score"] and len(rows) == 2


def test_count_words_is_counting(player, history):
    text = (history.root / "README.md").read_text()
    outputs = player("text", history.root).call("count_words", {"path": "README.md", "common": True})
    words = re.findall(r"[^\W\d_]+", text.lower())
    assert outputs["total"] == len(words)
    assert {row["word"]: row["count"] for row in outputs["words"]} == Counter(words)
    fewer = player("text", history.root).call("count_words", {"path": "README.md"})["words"]
    assert {"the", "it", "an"}.isdisjoint({row["word"] for row in fewer})


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The cat is in the house and it does not want to go out with us."),
        ("de", "Die Katze ist im Haus und sie will nicht mit uns hinausgehen."),
        ("fr", "Le chat est dans la maison et il ne veut pas sortir avec nous."),
        ("es", "El gato está en la casa y no quiere salir con nosotros."),
    ],
)
def test_languages_are_told_apart(player, language, text):
    text_player = player("text")
    with text_player._inside():
        import prose

        assert prose.detect_language(text) == language


def test_a_long_document_stays_quick(player):
    asked = []

    def count(body):
        asked.append(len(body["texts"]))
        return embed(body)

    text = " ".join(f"Sentence number {i} speaks about topic {i % 7} at length." for i in range(3000))
    player("text", model_embed=count).call("summary", inputs={"text": text})
    assert sum(asked) <= 600 and max(asked) <= 256


def test_no_text(player, tmp_path: Path):
    (tmp_path / "b.bin").write_bytes(b"\0\1")
    text = player("text", tmp_path)
    for function, params in (
        ("summary", {}),
        ("keywords", {"path": "../x"}),
        ("count_words", {"path": "b.bin"}),
        ("similarity", {"query": " "}),
    ):
        with pytest.raises(PlayerFailure) as failure:
            text.call(function, params)
        assert failure.value.code == "bad_input" and failure.value.remedy
