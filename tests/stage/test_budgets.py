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
from tests.stage.test_http import caller

DAY = 86_400.0


def test_a_budget_ends_with_what_is_used_and_begins_again_the_next_day(tmp_path: Path) -> None:
    now = [DAY * 20_000]
    ledger = Ledger(
        tmp_path / "usage.json", lambda name: Budget(calls=2, tokens=100, cost=1.0), lambda: now[0]
    )
    ledger.charge("a/b", calls=1, tokens=60)
    ledger.check("a/b", model=True)
    assert ledger.tokens_left("a/b") == 40
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
    assert Model.asked[0]["max_tokens"] == 60 and Model.asked[0]["stream_options"] == {"include_usage": True}
    used = ledger.about("test/door")
    assert used["tokens"] == 50 and used["cost"] == pytest.approx(70 / 1e6)
    Model.breaks = True
    with pytest.raises(Exception, match="OpenAI"):
        asyncio.run(doors["model.complete"].handler(who, body))
    assert ledger.about("test/door")["tokens"] > 50  # what came before it broke off was made all the same
