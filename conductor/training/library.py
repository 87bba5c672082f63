"""Invented typed libraries of Players: what the policy must cope with when it meets Players never seen."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import Any

from symphony.types.players import FunctionSpec, ParamSpec
from symphony.types.port_types import TypeLattice

_STUFF: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def invented_library(seed: int, things: int = 8) -> tuple[list[FunctionSpec], TypeLattice]:
    """A library of about `4 * things` Players over things of daily life, and its types."""
    dice = random.Random(seed)
    chosen = dice.sample(_STUFF["things"], things)
    lattice = TypeLattice()
    lattice.declare({f"{_plain(t)}/{kind['verb']}": ["record"] for t in chosen for kind in _STUFF["fetch"]})
    library: list[FunctionSpec] = []
    made: list[tuple[str, str]] = []
    for thing in chosen:
        for kind in dice.sample(_STUFF["fetch"], dice.randint(2, 4)):
            row = f"{_plain(thing)}/{kind['verb']}"
            name = f"{kind['verb']}_{_plain(thing)}s"
            outputs = {"items": f"list<{row}>"}
            library.append(
                _player(thing, name, kind, {"project": "project"}, outputs, _window(dice), t=_spoken(thing))
            )
            made.append((thing, row))
    for _ in range(things // 2):
        (a, first), (b, second) = dice.sample(made, 2)
        kind = dice.choice(_STUFF["merge"])
        name = f"{kind['verb']}_{_plain(a)}_{_plain(b)}"
        if a != b and all(spec.function != name for spec in library):
            inputs = {"left": f"list<{first}>", "right": f"list<{second}>"}
            words = {"a": _spoken(a), "b": _spoken(b)}
            library.append(_player(a, name, kind, inputs, {"pairs": "list<record>"}, {}, **words))
    rows = {"items": "list<record>"}
    for kind in dice.sample(_STUFF["transform"], 4):
        library.append(_player("table", kind["verb"], kind, rows, rows, {}))
    for kind in dice.sample(_STUFF["present"], 4):
        library.append(_player("show", kind["verb"], kind, rows, {"result": kind["result"]}, {}))
    kind = dice.choice(_STUFF["gather"])
    parts, document = {"parts": "list<any>"}, {"document": "text/markdown"}
    library.append(_player("show", kind["verb"], kind, parts, document, {}))
    return library, lattice


def _plain(word: str) -> str:
    return word.replace("-", "")


def _window(dice: random.Random) -> dict[str, ParamSpec]:
    params = {}
    if dice.random() < 0.5:
        params["since"] = ParamSpec("duration", "how far back: a duration such as 90d or a date")
    if dice.random() < 0.4:
        params["limit"] = ParamSpec("integer", "at most so many", minimum=1)
    return params


def _spoken(thing: str) -> str:
    return thing.replace("-", " ")


def _player(
    extension: str,
    name: str,
    kind: dict[str, Any],
    inputs: dict[str, str],
    outputs: dict[str, str],
    params: dict[str, ParamSpec],
    **words: str,
) -> FunctionSpec:
    return FunctionSpec(
        player=f"quest/{_plain(extension)}#{name}",
        kind="operator",
        description=kind["description"].format(**words),
        inputs=inputs,
        outputs=outputs,
        params=params,
        examples=tuple(example.format(**words) for example in kind["examples"]),
    )
