"""The control Players, `symphony/control`: nodes that the engine answers itself."""

from __future__ import annotations

from collections.abc import Mapping

from symphony.types.players import FunctionSpec, ParamSpec

EXTENSION = "symphony/control"


def _spec(
    name: str,
    description: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    params: Mapping[str, ParamSpec] | None = None,
    optional: frozenset[str] = frozenset(),
) -> FunctionSpec:
    return FunctionSpec(
        player=f"{EXTENSION}#{name}",
        kind="control",
        description=description,
        inputs=inputs,
        outputs=outputs,
        params=params or {},
        optional=optional,
        seconds=0.001,
        cpu=0.0,
        memory=0,
    )


_RESULT_TYPE = ParamSpec("string", "port type of the result, for what is connected behind it", default="")
_NESTED = ParamSpec("any", "name or document of the melody that is played", required=True)

_SPECS = (
    _spec(
        "if",
        "Passes its value on; conditional edges behind it decide what plays",
        {"value": "any"},
        {"value": "any"},
    ),
    _spec(
        "map",
        "Calls one Player for each item of a list and gathers the answers",
        {"items": "list<any>"},
        {"items": "list<any>"},
        {
            "player": ParamSpec("string", "Player called for each item, publisher/extension#function"),
            "melody": ParamSpec(
                "any", "name or document of the melody played for each item, in place of a Player"
            ),
            "input": ParamSpec("string", "input port that takes the item; the first one when not given"),
            "output": ParamSpec("string", "output port that is gathered; the first one when not given"),
            "params": ParamSpec("any", "parameters of each call"),
            "bind": ParamSpec(
                "any",
                "parameters that take a column of the item, as `parameter: column` or `node.parameter: column`; "
                "what is answered then says for which item it is",
            ),
            "type": _RESULT_TYPE,
        },
    ),
    _spec(
        "join",
        "Gathers the values of several nodes into one list",
        {"items": "list<any>"},
        {"items": "list<any>"},
    ),
    _spec(
        "loop",
        "Plays a melody again and again, each time on what it answered before",
        {"value": "any"},
        {"value": "any"},
        {
            "melody": _NESTED,
            "output": ParamSpec("string", "output port that is its answer; the first one when not given"),
            "times": ParamSpec("integer", "at most so many rounds", default=10, minimum=1, maximum=1000),
            "until": ParamSpec(
                "string", "ends the loop once it holds of `value`, such as `value > 3`", default=""
            ),
        },
        frozenset({"value"}),
    ),
    _spec(
        "approve",
        "Waits until a person agrees",
        {"value": "any"},
        {"value": "any", "comment": "text"},
        {"message": ParamSpec("string", "what the person is asked", default="")},
        frozenset({"value"}),
    ),
    _spec(
        "wait",
        "Waits some time, then passes its value on",
        {"value": "any"},
        {"value": "any"},
        {"seconds": ParamSpec("number", "how long", default=1, minimum=0, maximum=7 * 86400)},
        frozenset({"value"}),
    ),
    _spec(
        "melody",
        "Plays a saved melody as one node",
        {"value": "any"},
        {"value": "any"},
        {
            "melody": _NESTED,
            "version": ParamSpec("string", "its version; the newest when not given", default=""),
            "type": _RESULT_TYPE,
        },
        frozenset({"value"}),
    ),
)

CONTROL_PLAYERS: Mapping[str, FunctionSpec] = {spec.player: spec for spec in _SPECS}
"""The catalogue of control Players by name."""

PASSES_VALUE = frozenset(f"{EXTENSION}#{name}" for name in ("if", "approve", "wait", "loop"))
"""Players whose output `value` has the type of whatever is connected to their input `value`."""
