"""The policy and value networks: weights that training wrote, run in the host."""

from __future__ import annotations

import io
import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pit_native import ChoiceNetwork
from symphony.errors import EnvironmentLacks

Array = np.ndarray[Any, np.dtype[np.float32]]

STATE = 512
ACTION = 128
POLICY_HIDDEN = (512, 256, 128)
VALUE_HIDDEN = (512, 256)
BASIS = 128
"""How many directions of the sentence space the networks see."""
MATCH = 32
"""Facts about a candidate in a state; the last dimensions of its key."""
LEARNED = ACTION - MATCH
"""Dimensions of a key that are made from the Player's sentence vector."""
MOST_CANDIDATES = 127
REFUSAL = 30
"""Facts about a part of a prompt that tell whether it can be served."""

FORMAT = "symphony.policy/1"


class WeightsInvalid(EnvironmentLacks):
    """The policy's weights are missing, damaged or of another shape."""

    code = "policy_weights"


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Every array of the weights file with its shape."""
    shapes: dict[str, tuple[int, ...]] = {"basis": (384, BASIS), "centre": (384,)}
    sizes: tuple[int, ...] = (STATE, *POLICY_HIDDEN, ACTION)
    for layer, (a, b) in enumerate(pairwise(sizes)):
        shapes[f"policy.{layer}.weight"], shapes[f"policy.{layer}.bias"] = (b, a), (b,)
    sizes = (STATE, *VALUE_HIDDEN, 1)
    for layer, (a, b) in enumerate(pairwise(sizes)):
        shapes[f"value.{layer}.weight"], shapes[f"value.{layer}.bias"] = (b, a), (b,)
    shapes["key.weight"] = (LEARNED, BASIS)
    shapes["match.weight"] = (MATCH, MATCH)
    shapes["stop.key"] = (LEARNED,)
    shapes["stop.weight"] = (MATCH, MATCH)
    shapes["refusal.weight"], shapes["refusal.bias"] = (REFUSAL,), (1,)
    return shapes


class Policy:
    """Chooses among candidates: its 128 outputs are a query, each candidate has a 128-wide key.

    `version` names the weights in the log of every decision.
    """

    def __init__(self, arrays: dict[str, Array], facts: dict[str, Any]) -> None:
        for name, shape in expected_shapes().items():
            found = arrays.get(name)
            if found is None or found.shape != shape:
                raise WeightsInvalid(
                    f"The policy's weights lack {name} of shape {shape}", remedy="reinstall Symphony"
                )
            if not np.isfinite(found).all():
                raise WeightsInvalid(f"The policy's weights {name} are damaged", remedy="reinstall Symphony")
        self._arrays: dict[str, Array] = {n: arrays[n].astype(np.float32) for n in expected_shapes()}
        # The weights are long, and the networks hold them: `array` asks these for them.
        self._held: dict[str, tuple[ChoiceNetwork, int]] = {}
        self._policy = self._network("policy", len(POLICY_HIDDEN) + 1)
        self._value = self._network("value", len(VALUE_HIDDEN) + 1)
        self.facts = facts
        self.version: str = str(facts.get("version", "unnamed"))

    @classmethod
    def load(cls, file: Path) -> Policy:
        """Reads `policy.npz`. Raises WeightsInvalid."""
        try:
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            facts = json.loads(bytes(arrays.pop("facts")).decode("utf-8"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise WeightsInvalid(
                f"The policy's weights {file} cannot be read ({error})",
                remedy="reinstall Symphony, or run `make conductor-weights`",
            ) from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise WeightsInvalid(f"{file} is no {FORMAT} file", remedy="reinstall Symphony")
        return cls(arrays, facts)

    def array(self, name: str) -> Array:
        """One array of the weights, by its name in `expected_shapes`."""
        if name not in self._held:
            return self._arrays[name]
        network, layer = self._held[name]
        held: Array = np.empty(expected_shapes()[name], dtype=np.float32)
        network.weight(layer, held)
        return held

    def _network(self, name: str, layers: int) -> ChoiceNetwork:
        """Takes the weights of a network out of the arrays."""
        names = [f"{name}.{layer}" for layer in range(layers)]
        network = ChoiceNetwork(
            [(self._arrays.pop(f"{one}.weight"), self._arrays[f"{one}.bias"]) for one in names]
        )
        self._held |= {f"{one}.weight": (network, place) for place, one in enumerate(names)}
        return network

    def project(self, vectors: Array) -> Array:
        """Sentence vectors in the networks' 128 directions."""
        return np.asarray((vectors - self._arrays["centre"]) @ self._arrays["basis"], dtype=np.float32)

    def learned_keys(self, reduced: Array) -> Array:
        """The learned part of the candidates' keys, from what `project` gave for their Players."""
        keys: Array = reduced @ self._arrays["key.weight"].T
        return keys

    def logits(self, state: Array, learned: Array, matches: Array, stop: Array) -> Array:
        """Scores of the candidates and, last, of STOP.

        Args:
            state: `[512]`.
            learned: `[n, 96]`, from `learned_keys`.
            matches: `[n, 32]` facts about the candidates.
            stop: `[32]` facts about stopping.
        """
        query: Array = np.empty(ACTION, dtype=np.float32)
        self._policy.run(state, query)
        about, fit = query[:LEARNED], query[LEARNED:]
        # A key is the learned part and the weighted facts: the query is weighted once in the place of all keys.
        scores: Array = np.empty(len(learned) + 1, dtype=np.float32)
        scores[:-1] = learned @ about + matches @ (fit @ self._arrays["match.weight"])
        scores[-1] = self._arrays["stop.key"] @ about + (self._arrays["stop.weight"] @ stop) @ fit
        return scores

    def value(self, state: Array) -> float:
        """How likely the composition is to serve the prompt, 0 to 1."""
        found: Array = np.empty(1, dtype=np.float32)
        self._value.run(state, found)
        return float(1.0 / (1.0 + np.exp(-found[0])))

    def refusal(self, facts: Array) -> float:
        """How likely it is that the Players can serve a text, 0 to 1, from the facts of `refusal.py`."""
        score = float(facts @ self._arrays["refusal.weight"] + self._arrays["refusal.bias"][0])
        return float(1.0 / (1.0 + np.exp(-np.clip(score, -30, 30))))


def save(file: Path, arrays: dict[str, Array], facts: dict[str, Any]) -> None:
    """Writes weights as 16-bit numbers, with what is known of their making inside and in a JSON file beside."""
    text = json.dumps(facts, indent=1, sort_keys=True)
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    temporary = file.with_suffix(".new")
    with temporary.open("wb") as opened:
        np.savez_compressed(opened, facts=np.frombuffer(text.encode(), dtype=np.uint8), **halves)  # type: ignore[arg-type]
    temporary.replace(file)
    file.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
