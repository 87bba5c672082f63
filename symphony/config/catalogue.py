"""Every setting as a row: key, type, default, choices and description, derived from the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from symphony.config.schema import Settings

AT_ONCE = re.compile(
    r"""
    (?: ui | logging | model | registry | extensions ) (?: \. .* )?
    | conductor\.(?: confidence | language_model | learning\..* )
    | engine\.(?: node_timeout | max_nodes | max_edges )
    | stage\.(?: changes | budget\..* | crashes\..* | player\..* )
    | pit\.arbitration\.strategy
    | pit\.stale\.(?! enabled | timeout | retry_policy ) .*
    | .*\.metrics_enabled
    """,
    re.VERBOSE,
)
"""Settings that are read whenever they are needed, or that the host takes over while it runs."""

WAITING = (
    (r".*\.(enabled|timeout|retry_policy\..*)", "it is about how a part starts"),
    (r"host\.port", "the address of the page is in use"),
    (r"stage\.sandbox\..*", "the template of Players was made with it"),
    (r"stage\.bus\..*", "connections that are open were agreed under it"),
    (r"pit\.pool\..*", "what is loaded was counted against it"),
    (r"pit\.arbitration\..*|engine\.max_parallel", "what is granted was counted against it"),
    (r"pit\.store\..*", "the store is open under its key"),
    (r"conductor\.encoder", "what is kept of Players was measured by it"),
)
"""Why the others hold from the next start only."""

_TYPE_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """One setting. `default` is as it would be written in a file."""

    key: str
    type: str
    default: Any
    description: str
    choices: tuple[Any, ...] = ()
    is_secret: bool = False
    is_for_projects: bool = False
    """Whether a project's own file may set it."""
    is_of_machine: bool = False
    """Whether the default is what this machine has."""


def holds_at_once(key: str) -> bool:
    """Whether a change of the setting holds without a restart of the host."""
    return AT_ONCE.fullmatch(key) is not None


@lru_cache(maxsize=1)
def catalogue() -> dict[str, SettingSpec]:
    """All settings by key, in the order of the schema."""
    defaults = Settings()
    return {spec.key: spec for spec in _walk(Settings, defaults, "")}


def _walk(model: type[BaseModel], defaults: BaseModel, prefix: str) -> Iterator[SettingSpec]:
    written = defaults.model_dump()
    for name, field in model.model_fields.items():
        value = getattr(defaults, name)
        if isinstance(value, BaseModel):
            yield from _walk(type(value), value, f"{prefix}{name}.")
        elif prefix:
            yield _spec(f"{prefix}{name}", field, written[name])


def _spec(key: str, field: FieldInfo, default: Any) -> SettingSpec:
    marks = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    annotation = field.annotation
    choices: tuple[Any, ...] = ()
    if get_origin(annotation) is Literal:
        choices, name = get_args(annotation), "choice"
    elif get_origin(annotation) is list:
        name = "list"
    elif isinstance(default, str) and annotation is float:
        name = "duration"
    elif isinstance(default, str) and annotation is int:
        name = "size"
    else:
        name = _TYPE_NAMES.get(annotation, "string") if isinstance(annotation, type) else "string"
    return SettingSpec(
        key=key,
        type=name,
        default=default,
        description=_described(key, field.description or ""),
        choices=choices,
        is_secret=bool(marks.get("secret")),
        is_for_projects=bool(marks.get("project")),
        is_of_machine=field.default_factory is not None,
    )


def waits_because(key: str) -> str:
    """Why a change of the setting holds from the next start of the host only; empty when it holds at once."""
    if holds_at_once(key):
        return ""
    return next((why for pattern, why in WAITING if re.fullmatch(pattern, key)), "")


def _described(key: str, description: str) -> str:
    why = waits_because(key)
    return f"{description}; a change holds from the next start, because {why}" if why else description
