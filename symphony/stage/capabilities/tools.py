"""The call `tools.agree`: an MCP server describes a tool otherwise than when the user agreed to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from symphony.errors import PermissionDenied
from symphony.stage.broker import Caller, Capability


class Asked(Protocol):
    """What the user is asked."""

    @property
    def grant(self) -> str: ...
    @property
    def differences(self) -> list[str]: ...


Ask = Callable[[str, Any], Asked | None]
"""The question about a tool of an extension; None when there is none. May raise SymphonyError."""
Tell = Callable[[dict[str, Any]], None]


def capabilities(ask: Ask, tell: Tell) -> dict[str, Capability]:
    """`tell` is given the event with which the question reaches the page."""

    async def agree(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        tool = body.get("tool")
        asked = await asyncio.to_thread(ask, caller.member.name, tool)
        if asked is None:
            return {}
        name = caller.member.name
        tell(
            {
                "event": "question",
                "extension": name,
                "grant": asked.grant,
                "differences": asked.differences,
                "run": caller.run,
                "node": caller.node,
            }
        )
        raise PermissionDenied(
            f"A tool of {name} is not what you agreed to, so it was not called: {'; '.join(asked.differences)}",
            code="definitions_changed",
            remedy=f"if that is right, `symphony ext permissions {name} --allow {asked.grant}`, and call it again",
        )

    def words(body: dict[str, Any]) -> str:
        tool = body.get("tool")
        return str(tool.get("name")) if isinstance(tool, dict) else ""

    return {"tools.agree": Capability(agree, words)}
