"""`workflows.yaml`: named Melodies with parameters, which the Conductor may propose where a prompt asks for one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from symphony.melody.model import Edge, Melody, Node
from symphony.types.players import FunctionSpec, ParamSpec

EXTENSION = "workflows/template"
"""In the place of an extension: a template stands among Players where prompts are compared."""

_PLACE = re.compile(r"\$\{([a-z_][a-z0-9_]*)\}")
_NAME = r"^[a-z_][a-z0-9_]*$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class TemplateParam(_Part):
    """A parameter of a template, as one of a Player."""

    type: Literal["string", "integer", "number", "boolean", "duration", "date", "path", "list", "any"] = (
        "string"
    )
    description: str = ""
    default: Any = None
    required: bool = False
    choices: list[Any] = []


class Template(_Part):
    """A Melody in which `${name}` stands for a parameter, in the values of its nodes' parameters."""

    description: str = Field(min_length=1, max_length=1000)
    examples: list[str] = []
    params: dict[Annotated[str, Field(pattern=_NAME)], TemplateParam] = {}
    nodes: list[Node] = Field(min_length=1)
    edges: list[Edge] = []

    @model_validator(mode="after")
    def _names_are_known(self) -> Template:
        unknown = sorted(_named([node.params for node in self.nodes]) - self.params.keys())
        if unknown:
            raise ValueError(f"its nodes name ${{{unknown[0]}}}, which is none of its params")
        return self

    def spec(self, name: str) -> FunctionSpec:
        """The template as prompts are compared with it and its parameters are filled."""
        return FunctionSpec(
            player=f"{EXTENSION}#{name}",
            kind="operator",
            description=self.description,
            inputs={},
            outputs={},
            params={
                key: ParamSpec(p.type, p.description, p.default, p.required, tuple(p.choices))
                for key, p in self.params.items()
            },
            examples=tuple(self.examples),
        )

    def melody(self, name: str, values: dict[str, Any]) -> Melody:
        """The Melody with these values; parameters that get none are left to the Players' own defaults."""
        given = {key: p.default for key, p in self.params.items()} | values
        nodes = [node.model_copy(update={"params": _filled(node.params, given)}) for node in self.nodes]
        return Melody(name=name, description=self.description, nodes=nodes, edges=list(self.edges))


class Workflows(_Part):
    """`workflows.yaml` of a home or a project."""

    templates: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)], Template] = {}


def _named(value: Any) -> set[str]:
    """The parameters that a value speaks of."""
    if isinstance(value, str):
        return set(_PLACE.findall(value))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(_named, parts)) if parts else set()


def _filled(params: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The parameters with their values in place; one that would be nothing but a missing value is left out."""
    found = {}
    for key, value in params.items():
        whole = _PLACE.fullmatch(value) if isinstance(value, str) else None
        if whole is None or given.get(whole[1]) is not None:
            found[key] = _put(value, given)
    return found


def _put(value: Any, given: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _put(one, given) for key, one in value.items()}
    if isinstance(value, list):
        return [_put(one, given) for one in value]
    if not isinstance(value, str):
        return value
    whole = _PLACE.fullmatch(value)
    if whole is not None:
        return given.get(whole[1])
    return _PLACE.sub(lambda m: "" if given.get(m[1]) is None else str(given[m[1]]), value)
