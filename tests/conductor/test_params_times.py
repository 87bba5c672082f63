"""Days and spans of days in four languages, as people write them."""

from __future__ import annotations

from datetime import datetime

import pytest

from conductor.params.times import time_mentions

NOW = datetime(2026, 7, 15, 12)


@pytest.mark.parametrize(
    ("prompt", "first", "last"),
    [
        ("everything committed from 2026-05-01 to 2026-06-30", "2026-05-01", "2026-06-30"),
        ("vom 1.5.2026 bis 30.6.2026", "2026-05-01", "2026-06-30"),
        ("du 1er mars 2026 au 30 avril 2026", "2026-03-01", "2026-04-30"),
        ("entre el 1 de enero y el 31 de marzo de 2026", "2026-01-01", "2026-03-31"),
        ("de mai à juin", "2026-05-01", "2026-06-30"),
        ("depuis le 1er mars 2026", "2026-03-01", None),
        ("seit dem 1. April", "2026-04-01", None),
        ("what landed since the first of June", "2026-06-01", None),
        ("desde el 3 de mayo de 2026", "2026-05-03", None),
    ],
)
def test_a_span_has_a_first_and_a_last_day(prompt: str, first: str, last: str | None) -> None:
    found = {m.kind: m.value for m in time_mentions(prompt, NOW)}
    assert found == {"date": first} | ({"until": last} if last is not None else {})


@pytest.mark.parametrize(
    "prompt", ["depuis le début", "from main to develop", "ab dem ersten Commit", "since the first release"]
)
def test_what_is_no_day_is_none(prompt: str) -> None:
    assert time_mentions(prompt, NOW) == []


@pytest.mark.parametrize("piece", ["from the 1st of ", "vom 1.1.2026 ", "2026-01-01 ", "1er mars ", "12"])
def test_pasted_days_cost_little(piece: str) -> None:
    assert len(time_mentions((piece * 8000)[:8000], NOW)) < 1000
