"""Asks the configured language model for a Melody where the Conductor finds none or is unsure, if that is allowed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from symphony.app.project import ProjectView
from symphony.config import Configuration
from symphony.errors import SymphonyError
from symphony.stage.capabilities.models import Endpoint, chat

if TYPE_CHECKING:
    from symphony.types.players import FunctionSpec
    from symphony.types.port_types import TypeLattice

log = logging.getLogger(__name__)

Json = dict[str, Any]
MOST_TOKENS = 2_048

Offer = Callable[[str], "tuple[list[FunctionSpec], TypeLattice]"]
"""A prompt to the Players that fit it, best first, and their types. Blocks."""


def endpoint_of(configuration: Configuration) -> Endpoint | None:
    """The endpoint of the settings; None when there is none or models are switched off."""
    get = configuration.get
    url = get("model.endpoint")
    if not url or not get("model.enabled"):
        return None
    return Endpoint(
        url,
        get("model.name"),
        get("model.api_key") or "",
        get("model.timeout"),
        (get("model.price_input"), get("model.price_output")),
    )


def is_wanted(configuration: Configuration, answer: Json) -> bool:
    """Whether a composition's answer leaves room for another proposer, and the user allows one."""
    if not configuration.get("conductor.language_model"):
        return False
    least = configuration.get("conductor.confidence")
    return not answer["possible"] or any(
        line["confidence"] < least for line in answer["explanations"] if line["node"]
    )


async def propose(
    configuration: Configuration, offer: Offer, prompt: str, view: ProjectView | None
) -> Json | None:
    """The model's Melody in the shape of `compose --json`; None, with the reason in the log, when it has none that
    is valid. It never raises for what the model or its endpoint do.
    """
    from conductor.proposer import melody_from, messages_for  # loads numpy, which no page waits for

    endpoint = endpoint_of(configuration)
    if endpoint is None:
        log.info("no model endpoint is configured, so that none is asked", extra={"component": "conductor"})
        return None
    functions, lattice = await asyncio.to_thread(offer, prompt)
    messages = messages_for(prompt, functions, view.files if view is not None else ())
    request = {
        "model": endpoint.model,
        "messages": messages,
        "stream": True,
        "temperature": 0.0,
        "max_tokens": MOST_TOKENS,
    }
    try:
        said = await chat(endpoint, request, [])
    except SymphonyError as error:
        log.warning("the language model proposed nothing: %s", error, extra={"component": "conductor"})
        return None
    melody = melody_from(str(said["text"]), prompt, functions, lattice)
    if isinstance(melody, str):
        log.info("the language model's plan was refused: %s", melody, extra={"component": "conductor"})
        return None
    why = f"proposed by the language model {said['model']}, and checked as every Melody is"
    seconds = {spec.player: spec.seconds for spec in functions}
    return {
        "possible": True,
        "melody": melody,
        "explanations": [{"node": node["id"], "why": why, "confidence": 0.5} for node in melody["nodes"]],
        "predicted_seconds": round(sum(seconds[node["player"]] for node in melody["nodes"]), 3),
        "missing": [],
        "extensions": [],
    }
