"""The limit of bytes a second, on a clock of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from symphony.tiers.bandwidth import Bandwidth


class Time:
    """A clock that only sleeping and `wait` move."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 3)), min_size=1, max_size=40),
    st.integers(100, 10_000),
)
def test_no_span_of_time_sees_more_than_the_rate_and_one_second_of_burst(
    steps: list[tuple[int, float]], rate: int
) -> None:
    time = Time()
    limit = Bandwidth(rate, clock=time.clock, sleep=time.sleep)
    sent: list[tuple[float, int]] = []

    def pieces():  # type: ignore[no-untyped-def]
        for size, pause in steps:
            time.now += pause
            yield bytes(size)

    for piece in limit.limited(pieces()):
        sent.append((time.now, len(piece)))
    assert [size for _, size in sent] == [size for size, _ in steps], "everything passes, in order"
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            passed = sum(size for _, size in sent[first : last + 1])
            span = sent[last][0] - sent[first][0]
            # The piece that opens a span may have waited for its own bytes.
            assert passed <= rate * (span + 1) + sent[first][1] + 1e-6


def test_it_is_as_fast_as_it_may_be() -> None:
    time = Time()
    limit = Bandwidth(1000, clock=time.clock, sleep=time.sleep)
    for _ in limit.limited([bytes(500)] * 22):
        pass
    assert time.now == 110.0, "1000 bytes at once, then 1000 a second"


def test_without_a_limit_nothing_waits() -> None:
    def never(_: float) -> None:
        raise AssertionError("it waited")

    assert list(Bandwidth(0, sleep=never).limited([b"a", b"b"])) == [b"a", b"b"]
