"""The Player symphony/text: summary, keywords, similarity and word counts, on this machine alone."""

from __future__ import annotations

import re
import warnings
from collections import Counter

import prose
import ranking

from symphony.sdk import Artifact, Context, PlayerFailure, player
from symphony.sdk.project import text_or_file

Rows = list[dict[str, object]]

_SENTENCES = 600
"""A longer document is thinned out evenly: comparing all with all grows with the square."""
_PHRASES = 80


@player.function
def summary(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    sentences: int = 5,
) -> Artifact:
    """The most central sentences, in their order."""
    document = text_or_file(project, text, path)
    found = prose.sentences(document, prose.detect_language(document))
    found = [s for s in dict.fromkeys(found) if 4 <= len(prose.WORD.findall(s)) <= 80] or found
    if not found:
        raise PlayerFailure(
            "The text has no sentences", remedy="give a text with prose in it", code="bad_input"
        )
    if len(found) > _SENTENCES:
        found = [found[i * len(found) // _SENTENCES] for i in range(_SENTENCES)]
    if len(found) > sentences:
        vectors = ranking.embed(ctx, found)
        chosen = ranking.diverse(vectors, ranking.central(vectors), sentences)
        found = [found[i] for i in sorted(chosen)]
    return Artifact(" ".join(found), name="summary.txt", type="text/plain")


@player.function
def keywords(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    limit: int = 15,
    language: str = "auto",
) -> Rows:
    """Words and phrases with their weight from 0 to 1: candidates by RAKE, ranked by meaning."""
    document = text_or_file(project, text, path)
    found = [p.text for p in prose.passages(document)] or [document]
    candidates = _phrases(
        found, prose.detect_language(document) if language == "auto" else language.lower(), limit
    )
    if not candidates:
        return []
    phrases = list(candidates)
    vectors = ranking.embed(ctx, [*phrases, *found[:100]])
    about = vectors[len(phrases) :].mean(axis=0)
    # What is said often matters, and each further time less.
    often = ranking.scaled([count**0.5 for count in candidates.values()])
    relevance = vectors[: len(phrases)] @ about + 0.3 * often
    order = ranking.diverse(vectors[: len(phrases)], relevance, limit)
    weights = ranking.scaled([float(relevance[i]) for i in order], floor=0.05)
    rows: Rows = [
        {"keyword": phrases[i], "weight": round(float(weight), 3), "count": candidates[phrases[i]]}
        for i, weight in zip(order, weights, strict=True)
    ]
    return sorted(rows, key=lambda row: -float(str(row["weight"])))


@player.function
def similarity(
    ctx: Context,
    query: str,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    limit: int = 10,
) -> Rows:
    """Passages by how close they are in meaning to a query."""
    if not query.strip():
        raise PlayerFailure("There is nothing to compare with", remedy="give a query", code="bad_input")
    found = [p for p in prose.passages(text_or_file(project, text, path)) if prose.WORD.search(p.text)][:4000]
    if not found:
        return []
    vectors = ranking.embed(ctx, [query, *(f"{p.heading}: {p.text}" if p.heading else p.text for p in found)])
    scores = vectors[1:] @ vectors[0]
    order = sorted(range(len(found)), key=lambda i: (-float(scores[i]), found[i].line))[:limit]
    return [
        {
            "passage": found[i].text,
            "score": round(float(scores[i]), 3),
            "line": found[i].line,
            "heading": found[i].heading,
        }
        for i in order
    ]


@player.function
def count_words(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    limit: int = 50,
    common: bool = False,
) -> dict[str, object]:
    """How often each word occurs, and how many words there are."""
    document = text_or_file(project, text, path)
    words = Counter(word.lower() for word in prose.WORD.findall(document))
    hidden = frozenset[str]() if common else prose.stop_words(prose.detect_language(document))
    ranked = sorted(
        ((w, n) for w, n in words.items() if w not in hidden), key=lambda item: (-item[1], item[0])
    )
    return {
        "words": [{"word": word, "count": count} for word, count in ranked[:limit]],
        "total": sum(words.values()),
    }


def _phrases(passages: list[str], language: str, wanted: int) -> dict[str, int]:
    """Candidates by RAKE (Rose et al. 2010) with how often each occurs.

    Phrases that occur once fill up only what those that repeat leave open: they are rarely what a text is about.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import RAKE
    stops = sorted(prose.stop_words(language) or prose.stop_words("en"))
    # Passages end like sentences, so that no phrase runs from one into the next.
    text = ". ".join(" ".join(passage.split()) for passage in passages)
    lowered = text.lower()
    repeated: dict[str, int] = {}
    single: dict[str, int] = {}
    for phrase, _ in RAKE.Rake(stops).run(text, minCharacters=3, maxWords=3):
        if prose.WORD.search(phrase) is None:
            continue
        count = len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", lowered))
        (repeated if count > 1 else single).setdefault(phrase, max(count, 1))
    best = dict(sorted(repeated.items(), key=lambda item: (-item[1], item[0]))[:_PHRASES])
    for phrase, count in single.items():
        if len(best) >= wanted:
            break
        best[phrase] = count
    return best


if __name__ == "__main__":
    player.serve()
