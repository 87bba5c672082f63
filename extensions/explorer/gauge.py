"""Measures of a text."""

from __future__ import annotations

import re

WORDS_A_MINUTE = 238
"""How fast an adult reads prose silently (Brysbaert 2019: 238 words of English a minute)."""


def measure_text(text: str) -> list[tuple[str, str]]:
    """Label and value of each measure."""
    words = len(re.findall(r"\w+(?:['’-]\w+)*", text))
    sentences = len([part for part in re.split(r"[.!?…]+(?:\s|$)", text) if re.search(r"\w", part)])
    minutes = words / WORDS_A_MINUTE
    reading = f"{minutes:.0f} min" if minutes >= 1 else f"{minutes * 60:.0f} s"
    return [
        ("words", str(words)),
        ("sentences", str(sentences)),
        ("characters", str(len(text))),
        ("reading time", reading),
    ]
