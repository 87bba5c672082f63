"""Budgets of a day and the rule about crashes, over moments of the test's own; models are charged what they used."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.stage.budgets import Budget, BudgetSpent, Ledger
from symphony.stage.capabilities import models
from symphony.stage.crashes import Crash, Crashes
from tests.stage.test_http import caller, site

DAY = 86_400.0


def test_a_budget_ends_with_what_is_used_and_begins_again_the_next_day(tmp_path: Path) -> None:
    now = [DAY * 20_000]
    ledger = Ledger(
        tmp_path / "usage.json", lambda name: Budget(calls=2, tokens=100, cost=1.0), lambda: now[0]
    )
    ledger.charge("a/b", calls=1, tokens=60)
    ledger.check("a/b", model=True)
    assert ledger.longest_answer("a/b", 0, (0.0, 0.0)) == 40
    ledger.charge("a/b", tokens=60)
    ledger.check("a/b")
    with pytest.raises(BudgetSpent, match="tokens"):
        ledger.check("a/b", model=True)
    ledger.check("a/other", model=True)
    ledger.close()
    again = Ledger(tmp_path / "usage.json", lambda name: Budget(tokens=100), lambda: now[0])
    with pytest.raises(BudgetSpent):
        again.check("a/b", model=True)
    now[0] += DAY
    again.check("a/b", model=True)


@pytest.mark.parametrize("junk", [b"", b"[]", b'{"day": 1}', b'{"day": 1, "used": {"a/b": {"x": 1}}}'])
def test_a_file_that_cannot_be_read_begins_anew(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "usage.json").write_bytes(junk)
    assert Ledger(tmp_path / "usage.json", lambda name: Budget()).about("a/b")["calls"] == 0


@given(st.lists(st.floats(0, 2000), max_size=30), st.integers(1, 4))
def test_an_extension_is_given_up_when_and_only_when_the_window_is_full(
    gaps: list[float], limit: int
) -> None:
    rule, now, recent = Crashes(limit=limit, window=300.0), 0.0, list[float]()
    for gap in gaps:
        now += gap
        recent = [at for at in recent if at > now - 300.0] + [now]
        found = rule.note("a/b", Crash(now, "x"))
        assert bool(found) == (len(recent) >= limit)
        if found:
            assert [crash.at for crash in found] == recent
            recent = []
    assert Crashes(limit=0).note("a/b", Crash(now, "x")) == []


class Model(BaseHTTPRequestHandler):
    """A chat endpoint that says what it used, or breaks off in the middle."""

    asked: list[dict[str, Any]] = []
    breaks = False

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        chunks: list[Any] = [{"choices": [{"delta": {"content": "twelve chars"}}]}]
        if self.breaks:
            chunks.append("not json")
        else:
            chunks.append({"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 20}})
        for chunk in chunks:
            self.wfile.write(f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def endpoint() -> Iterator[models.Endpoint]:
    Model.asked = []
    Model.breaks = False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield models.Endpoint(f"http://127.0.0.1:{server.server_address[1]}/v1", "small", price=(1.0, 2.0))
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_charged_what_it_used_and_asked_for_no_more_than_is_left(
    tmp_path: Path, endpoint: models.Endpoint
) -> None:
    ledger = Ledger(tmp_path / "usage.json", lambda name: Budget(tokens=60))
    doors = models.capabilities(lambda: endpoint, lambda texts: texts, lambda *_: None, ledger)
    pieces: list[Any] = []
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1000, "stream": True}
    who = caller("model:small", pieces=pieces)
    answer = asyncio.run(doors["model.complete"].handler(who, body))
    assert answer["text"] == "twelve chars" and pieces == [{"text": "twelve chars"}]
    assert Model.asked[0]["max_tokens"] == 52 and Model.asked[0]["stream_options"] == {"include_usage": True}
    used = ledger.about("test/door")
    assert used["tokens"] == 50 and used["cost"] == pytest.approx(70 / 1e6)
    Model.breaks = True
    with pytest.raises(Exception, match="OpenAI"):
        asyncio.run(doors["model.complete"].handler(who, body))
    assert ledger.about("test/door")["tokens"] > 50  # what came before it broke off was made all the same


@pytest.mark.parametrize(
    ("budget", "question", "price", "answer"),
    [
        (Budget(), 10**9, (1.0, 1.0), None),
        (Budget(calls=1), 10, (1.0, 1.0), None),
        (Budget(tokens=100), 40, (0.0, 0.0), 60),
        (Budget(tokens=100), 100, (0.0, 0.0), 0),
        (Budget(cost=1.0), 500_000, (1.0, 2.0), 250_000),
        (Budget(cost=1.0), 1_000_000, (1.0, 2.0), 0),
        (Budget(cost=1.0), 500_000, (1.0, 0.0), None),
        (Budget(cost=1.0), 2_000_000, (1.0, 0.0), 0),
        (Budget(tokens=300_000, cost=1.0), 100_000, (1.0, 2.0), 200_000),
    ],
)
def test_an_answer_is_as_long_as_the_day_still_pays_for(
    tmp_path: Path, budget: Budget, question: int, price: tuple[float, float], answer: int | None
) -> None:
    ledger = Ledger(tmp_path / "usage.json", lambda name: budget)
    if answer == 0:
        with pytest.raises(BudgetSpent, match="question"):
            ledger.longest_answer("a/b", question, price)
    else:
        assert ledger.longest_answer("a/b", question, price) == answer


@pytest.mark.parametrize("budget", [Budget(tokens=60), Budget(cost=100 / 1e6)])
def test_questions_at_once_spend_no_more_than_one_after_the_other(
    tmp_path: Path, endpoint: models.Endpoint, budget: Budget
) -> None:
    """Twenty are asked before any is answered: each costs 50 tokens, for 70 millionths."""
    ledger = Ledger(tmp_path / "usage.json", lambda name: budget)
    doors = models.capabilities(lambda: endpoint, lambda texts: texts, lambda *_: None, ledger)
    body = {"messages": [{"role": "user", "content": "hi"}]}

    async def ask_all() -> list[Any]:
        who = caller("model:small")
        asked = (doors["model.complete"].handler(who, body) for _ in range(20))
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask_all())
    spent = [answer for answer in answers if isinstance(answer, BudgetSpent)]
    assert len(spent) >= 18 and len(Model.asked) == 20 - len(spent), answers
    assert ledger.about("test/door")["tokens"] <= 100
    assert all(0 < request["max_tokens"] <= 52 for request in Model.asked)


def test_a_question_that_costs_more_than_is_left_is_not_asked(
    tmp_path: Path, endpoint: models.Endpoint
) -> None:
    ledger = Ledger(tmp_path / "usage.json", lambda name: Budget(tokens=1000))
    doors = models.capabilities(lambda: endpoint, lambda texts: texts, lambda *_: None, ledger)
    long = {"messages": [{"role": "user", "content": "x" * 100_000}], "max_tokens": 1}
    with pytest.raises(BudgetSpent, match="question"):
        asyncio.run(_handled(doors, long))
    assert Model.asked == []


async def test_a_question_that_nobody_waits_for_is_charged_all_the_same(tmp_path: Path) -> None:
    """Else who withdraws each question before its answer begins asks for nothing, as often as it likes."""
    ledger = Ledger(tmp_path / "usage.json", lambda name: Budget(tokens=1000))
    has_come = asyncio.Event()

    async def think(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        has_come.set()
        await asyncio.Event().wait()

    async with site(think) as (port, _):
        endpoint = models.Endpoint(f"http://127.0.0.1:{port}/v1", "small")
        doors = models.capabilities(lambda: endpoint, lambda texts: texts, lambda *_: None, ledger)
        body = {"messages": [{"role": "user", "content": "x" * 2000}]}
        asking = asyncio.create_task(_handled(doors, body))
        await asyncio.wait_for(has_come.wait(), 30)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert 500 <= ledger.about("test/door")["tokens"] <= 520
    with pytest.raises(Exception, match="did not answer"):
        await _handled(doors, {"messages": [{"role": "user", "content": "x"}]})
    assert ledger.about("test/door")["tokens"] <= 520, "a question that reaches nobody costs nothing"


async def _handled(doors: Any, body: dict[str, Any]) -> Any:
    return await doors["model.complete"].handler(caller("model:small"), body)
