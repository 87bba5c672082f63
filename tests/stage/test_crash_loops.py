"""A Player that crashes again and again, in a real sandbox: wherever it does, the third time switches it off."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from symphony.app.supervision import Supervision
from symphony.config import Configuration
from tests.pit.theatre import Theatre
from tests.stage.test_kills import descendants

SERVED = "import os\nfrom symphony.sdk import player\n{}\nplayer.serve()\n"
LOOPS = {
    "at its import": "import os\nos._exit(3)\n",
    "by a fault of memory": "import ctypes\nctypes.string_at(0)\n",
    "in its activation": SERVED.format("@player.on_activate\ndef begin(_): os._exit(3)"),
    "in each call": SERVED.format("@player.function\ndef work(ctx): os._exit(3)"),
}


@pytest.mark.parametrize("moment", LOOPS)
async def test_the_third_crash_switches_it_off(moment: str, tmp_path: Path) -> None:
    before = descendants(os.getpid())
    theatre = Theatre(tmp_path / "home")
    disabled: list[str] = []
    entry = tmp_path / "entry.py"
    entry.write_text(LOOPS[moment])
    configuration = Configuration.load(tmp_path, env={})
    supervision = Supervision(
        tmp_path, configuration, disabled.append, lambda _: not disabled, lambda _: None
    )
    theatre.answers["player"] = lambda event: supervision.follow({**event, "event": "players"})
    try:
        theatre.register("looping", entry)
        for token in range(1, 4):
            assert not disabled, "it was switched off too early"
            done = call(theatre, token)
            assert done["error"]["code"] in ("crashed", "unavailable"), done
            # The end of the process is told on its own; it is what counts.
            theatre.until(lambda _, token=token: bool(disabled) or counted(supervision) == token)  # type: ignore[misc]
        assert disabled == ["symphony/test"]
        problem = supervision.about("symphony/test")["problem"]
        assert "3 times" in problem["message"] and len(problem["crashes"]) == 3
    finally:
        supervision.close()
        theatre.close()
    assert descendants(os.getpid()) <= before, "something of it is left"


def call(theatre: Theatre, token: int) -> dict[str, Any]:
    """How a call of the looping Player ends."""
    context = {"run": "", "node": "looping", "project": None, "attempt": 1}
    body = {"function": "work", "params": {}, "inputs": {}, "context": context}
    theatre.runtime.call_player(token, "looping", body, 30.0)
    return theatre.until(lambda e: e["event"] == "call_done" and e["token"] == token)


def counted(supervision: Supervision) -> int:
    """The crashes that count so far."""
    return sum(map(len, supervision._crashes.recent().values()))
