"""Models through the host: any OpenAI-compatible endpoint, whose key no Player sees, and the host's own embeddings."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from symphony.errors import BadInput, PlayerError
from symphony.stage.broker import Caller, Capability
from symphony.stage.budgets import Ledger

EMBED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served. `url` is the base, such as `http://127.0.0.1:8080/v1`."""

    url: str
    model: str
    api_key: str = ""
    timeout: float = 120.0

    price: tuple[float, float] = (0.0, 0.0)
    """What a million tokens of a prompt, and of an answer, cost."""

    @property
    def named(self) -> str:
        """How it is called where a Player may hear it: a key can stand in the user's part and the query of a URL."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

    def without_key(self, text: str) -> str:
        """What the endpoint said, should it have repeated what it was sent."""
        parts = urlsplit(self.url)
        user = parts.netloc.rpartition("@")[0]
        basic = base64.b64encode(unquote(user).encode()).decode()
        for secret in (self.api_key, parts.query, user, basic):
            text = text.replace(secret, "…") if secret else text
        return text


Embed = Callable[[Sequence[str]], Any]
Emit = Callable[[str, str, str], None]


def capabilities(
    endpoint: Callable[[], Endpoint | None], embed: Embed, emit: Emit, ledger: Ledger | None = None
) -> dict[str, Capability]:
    """`model.complete` and `model.embed`. `emit(run, node, piece)` shows streamed text as it comes, `ledger` is
    charged with tokens and cost."""
    broker = _Models(endpoint, embed, emit, ledger)
    return {
        "model.complete": Capability(broker.complete, lambda body: str(body.get("model") or "default model")),
        # One at a time: it takes a thread of the host, and no grant.
        "model.embed": Capability(
            broker.embed, lambda body: f"{len(body.get('texts') or ())} texts", at_once=1
        ),
    }


class _Models:
    def __init__(
        self, endpoint: Callable[[], Endpoint | None], embed: Embed, emit: Emit, ledger: Ledger | None
    ) -> None:
        self._endpoint = endpoint
        self._embed = embed
        self._emit = emit
        self._ledger = ledger
        self._turns: dict[str, asyncio.Lock] = {}

    async def complete(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        """Sends a chat and gathers the streamed answer."""
        endpoint = self._endpoint()
        if endpoint is None:
            raise PlayerError(
                "No model endpoint is configured",
                code="no_endpoint",
                remedy="set model.endpoint and model.name in the Settings, for instance to a local server",
            )
        model = str(body.get("model") or endpoint.model)
        if not caller.grants.allows_model(model):
            raise caller.refuse("use the model", model, f"grant it the model {model}")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise BadInput("model.complete needs `messages`")
        request: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for name in ("max_tokens", "temperature"):
            if body.get(name) is not None:
                request[name] = body[name]
        async with self._turn(caller.member.name):
            return await self._ask(endpoint, caller, request, is_stream=bool(body.get("stream")))

    def _turn(self, extension: str) -> contextlib.AbstractAsyncContextManager[object]:
        """Where the budget ends somewhere, one question follows the other: each knows what the last has cost."""
        if self._ledger is None or not self._ledger.is_limited(extension):
            return contextlib.nullcontext()
        return self._turns.setdefault(extension, asyncio.Lock())

    async def _ask(
        self, endpoint: Endpoint, caller: Caller, request: dict[str, Any], *, is_stream: bool
    ) -> dict[str, Any]:
        messages = request["messages"]
        if self._ledger is not None:
            most = self._ledger.longest_answer(caller.member.name, _tokens_of(messages), endpoint.price)
            if most is not None:
                asked = request.get("max_tokens")
                request["max_tokens"] = min(asked, most) if isinstance(asked, int) and asked > 0 else most
        said: list[str] = []
        answer: dict[str, Any] = {}

        def tell(text: str) -> None:
            self._emit(caller.run, caller.node, text)
            if is_stream:
                caller.piece({"text": text})

        was_asked = True
        caller.note()
        try:
            answer = await chat(endpoint, request, said, tell)
        except PlayerError:
            was_asked = bool(said)  # otherwise it was refused, or never arrived
            raise
        finally:
            # Also when it broke off, or nobody waited for it: the question was paid for, and what came.
            if was_asked:
                self._charge(
                    endpoint, caller, messages, answer.get("usage") or {}, answer.get("text") or "".join(said)
                )
        return answer

    def _charge(
        self, endpoint: Endpoint, caller: Caller, messages: list[Any], usage: dict[str, Any], text: str
    ) -> None:
        """Counts what the endpoint says it used; where it says nothing, a token for four characters."""
        if self._ledger is None:
            return
        given = _count(usage.get("prompt_tokens"), _tokens_of(messages))
        made = _count(usage.get("completion_tokens"), -(-len(text) // 4))
        cost = (given * endpoint.price[0] + made * endpoint.price[1]) / 1e6
        self._ledger.charge(caller.member.name, tokens=given + made, cost=cost)

    async def embed(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        """Sentence embeddings from the encoder that the Conductor uses; needs no grant, for nothing leaves."""
        texts = body.get("texts")
        if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise BadInput("model.embed needs `texts`, a list of texts")
        if len(texts) > EMBED_LIMIT:
            raise BadInput(f"model.embed takes at most {EMBED_LIMIT} texts at once")
        caller.note()
        vectors = await asyncio.to_thread(self._embed, texts)
        return {"vectors": [[float(x) for x in vector] for vector in vectors]}


async def chat(
    endpoint: Endpoint,
    request: dict[str, Any],
    pieces: list[str],
    tell: Callable[[str], object] = lambda text: None,
) -> dict[str, Any]:
    """Sends a chat request: `{"text", "model", "usage"}`. Streamed text is added to `pieces` and told as it comes.

    Raises PlayerError when the endpoint does not answer, refuses, or answers otherwise than such endpoints do.
    """
    import httpx2

    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    url = endpoint.url.rstrip("/") + "/chat/completions"
    usage: dict[str, Any] = {}
    try:
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=endpoint.timeout) as client,
            client.stream("POST", url, json=request, headers=headers) as response,
        ):
            if response.status_code != 200:
                detail = endpoint.without_key((await response.aread()).decode(errors="replace"))
                raise _refused(endpoint, response.status_code, detail[:300])
            if "text/event-stream" not in response.headers.get("content-type", ""):
                whole = json.loads(await response.aread())
                return {
                    "text": whole["choices"][0]["message"]["content"] or "",
                    "model": whole.get("model", request["model"]),
                    "usage": whole.get("usage") or {},
                }
            async for line in response.aiter_lines():
                if not line.startswith("data:") or line[5:].strip() == "[DONE]":
                    continue
                chunk = json.loads(line[5:])
                usage = chunk.get("usage") or usage
                for choice in chunk.get("choices", ()):
                    text = (choice.get("delta") or {}).get("content")
                    if text:
                        pieces.append(text)
                        tell(text)
    except httpx2.HTTPError as error:
        raise PlayerError(
            f"The model endpoint {endpoint.named} did not answer: {endpoint.without_key(str(error))}",
            code="unavailable",
            remedy="check that the server runs, or change model.endpoint",
        ) from error
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise PlayerError(
            f"{endpoint.named} does not answer as an OpenAI-compatible endpoint does", code="failed"
        ) from error
    return {"text": "".join(pieces), "model": request["model"], "usage": usage}


def _tokens_of(messages: list[Any]) -> int:
    """About as many as a model makes of them: one for four characters."""
    return len(json.dumps(messages, default=str)) // 4


def _count(said: Any, otherwise: int) -> int:
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else otherwise


def _refused(endpoint: Endpoint, status: int, detail: str) -> PlayerError:
    if status in (401, 403):
        return PlayerError(
            f"The model endpoint {endpoint.named} refused the key ({status})",
            code="permission_denied",
            remedy="set model.api_key in the Settings",
        )
    code = "unavailable" if status == 429 or status >= 500 else "failed"
    return PlayerError(f"The model endpoint {endpoint.named} answered {status}: {detail}", code=code)
