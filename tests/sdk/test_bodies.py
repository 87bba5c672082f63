"""What a Player says has the form of its method, and what goes over its session is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from symphony.stage.manifest import load_manifest
from symphony.stage.roster import CastMember
from tests.hosting import hosted

PLAYER = """
from symphony.sdk import PlayerFailure, player

@player.function
def ask(ctx, method, body):
    try:
        ctx._ask(method, body)
    except PlayerFailure as failure:
        return {"code": failure.code, "message": failure.message}
    return {"code": "", "message": ""}

@player.function
def tell(ctx, bodies):
    for body in bodies:
        ctx._tell("progress", body)
    return {"code": "", "message": ""}

player.serve()
"""
MANIFEST = """
[extension]
name = "tests/asker"
version = "1.0.0"
type = "operator"

[[functions]]
name = "ask"
description = "For tests"
outputs = { code = "text", message = "text" }
params = { method = { type = "string", required = true }, body = { type = "any", required = true } }

[[functions]]
name = "tell"
description = "For tests"
outputs = { code = "text", message = "text" }
params = { bodies = { type = "any", required = true } }
"""
MALFORMED = [
    ("fs.read", {}, "lacks path"),
    ("fs.read", {"path": b"a.txt"}, "path of fs.read must be text"),
    ("fs.write", {"path": "a.txt", "content": "text"}, "content of fs.write must be bytes"),
    ("exec", {"argv": "git status"}, "argv of exec must be a list"),
    (
        "http.request",
        {"url": "http://localhost", "timeout": "soon"},
        "timeout of http.request must be a number",
    ),
    ("extension.publish", {"topic": "tests/asker/news"}, "lacks value"),
    ("model.complete", {"messages": {"role": "user"}}, "messages of model.complete must be a list"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "asker"
    place.mkdir()
    (place / "player.py").write_text(PLAYER)
    (place / "Symphony.toml").write_text(MANIFEST)
    return place


async def test_a_body_that_has_not_the_form_of_its_method_reaches_nobody(
    home: Path, folder: Path, tmp_path: Path
) -> None:
    async with hosted(home) as host:
        manifest = load_manifest(folder)
        host.services.roster.add(CastMember("tests/asker", "1.0.0", folder, manifest, ()))
        key = host.services.roster.key("tests/asker", tmp_path)

        async def play(function: str, **params: Any) -> dict[str, Any]:
            body = {"function": function, "params": params, "inputs": {}, "context": {}}
            outputs: dict[str, Any] = await host.services.engine.call(key, body, 60.0)
            return outputs

        for method, body, said in MALFORMED:
            answer = await play("ask", method=method, body=body)
            assert answer["code"] == "bad_input" and said in answer["message"], (method, answer)
        # With the right form it is looked at, and then it is the grants that are missing.
        for method, body in (("fs.read", {"path": "a.txt"}), ("exec", {"argv": ["git"], "colour": 1})):
            answer = await play("ask", method=method, body=body)
            assert answer["code"] == "permission_denied", (method, answer)

        before = host.services.pit.player_states()[key]["bus"]
        await play("tell", bodies=[{"fraction": "half"}, {}, {"fraction": 0.5}])
        after = host.services.pit.player_states()[key]["bus"]
        assert after["received"] - before["received"] == 4 and after["sent"] - before["sent"] == 1
        assert after["bytes_received"] > before["bytes_received"]
        assert (after["calls_waiting"], after["refused"]) == (0, 0)
