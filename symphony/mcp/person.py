"""Asks the person at the other end of a client: by a request of the server, or, where the protocol has none, by
an answer that the client completes and sends again."""

from __future__ import annotations

import hashlib
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from symphony.errors import SymphonyError

Context = ServerRequestContext[Any, Any]

YES = {
    "type": "object",
    "properties": {"allow": {"type": "boolean", "title": "Allow", "default": False}},
    "required": ["allow"],
}


class InputWanted(Exception):
    """The call cannot go on before the person has answered; `result` says so to the client."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__()
        self.result = result


class Person:
    """Who sits before the client of one call."""

    def __init__(self, ctx: Context, params: types.CallToolRequestParams, *, agrees_to_all: bool) -> None:
        self._ctx = ctx
        self._answers = params.input_responses or {}
        self._agrees_to_all = agrees_to_all

    @property
    def _is_stateless(self) -> bool:
        return self._ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    def can_be_asked_midway(self) -> bool:
        """Whether a question can be put while a call goes on."""
        return not self._is_stateless and self._can_be_asked() and self._ctx.session.can_send_request

    async def agrees(self, message: str) -> bool:
        """Whether the person allows what `message` says, word for word: the answer to one question is none to another.

        Raises InputWanted when the client has to ask first, and SymphonyError when nobody can be asked.
        """
        if self._agrees_to_all:
            return True
        request = types.ElicitRequest(
            params=types.ElicitRequestFormParams(message=message, requested_schema=YES)
        )
        if not self._is_stateless:
            if not self.can_be_asked_midway():
                raise _nobody(message)
            return _allowed(await self._ctx.session.send_request(request, types.ElicitResult))
        key = "allow-" + hashlib.sha256(message.encode()).hexdigest()[:16]
        if key in self._answers:
            return _allowed(self._answers[key])
        if not self._can_be_asked():
            raise _nobody(message)
        raise InputWanted(types.InputRequiredResult(input_requests={key: request}))

    def _can_be_asked(self) -> bool:
        able = self._ctx.session.client_capabilities
        return able is not None and able.elicitation is not None


def _allowed(answer: object) -> bool:
    if not isinstance(answer, types.ElicitResult) or answer.action != "accept":
        return False
    return (answer.content or {}).get("allow") is True


def _nobody(message: str) -> SymphonyError:
    return SymphonyError(
        f"A person has to allow this, and your client cannot ask: {message}",
        remedy="use a client with elicitation, or start the server as `symphony mcp --yes`",
        code="consent_needed",
    )
