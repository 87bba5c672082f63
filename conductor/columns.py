"""Columns that a Melody's steps name, against those that the steps before them make.

A manifest tells the columns of its types, and which Players keep those of their input. A name that fits one is written
as that one; a step whose name fits none would only fail, and is left out and told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from conductor.params.tables import column_of, dated_column
from symphony.types.players import FunctionSpec, ParamSpec

Json = dict[str, Any]
Columns = Sequence[str]

PERIODS = frozenset(("hour", "day", "week", "month", "quarter", "year"))
"""What a column of dates can be cut down to, as in `date:month`."""
_DAYS = frozenset(("date", "last_commit", "last_change"))
"""What is said of when, whatever the rows call it."""
_NAME = re.compile(r"(?<![\w:.])[A-Za-z_]\w*(?![\w(])")
"""A name in a condition; what is called, as `length(name)`, and the period of a date are none."""
_LITERAL = re.compile(r"('[^']*'|\"[^\"]*\")")
_NOTATION = frozenset(("and", "or", "not", "in", "is", "None", "True", "False", "AND", "OR", "NOT", "IN"))


def fit_columns(
    melody: Json, catalogue: Mapping[str, FunctionSpec], language: str = "en"
) -> tuple[list[str], list[str]]:
    """Writes the columns in a Melody's document as its steps have them; `language` is that of the prompt's words.

    Returns what is missing, in words, and the ids of the steps that were taken out because of it: of those that turn
    rows into rows, and who took from one takes from its source.
    """
    missing: list[str] = []
    gone: list[str] = []
    made: dict[tuple[str, str], Columns] = {}
    for node in list(melody["nodes"]):
        spec = catalogue.get(node["player"])
        if spec is None:
            continue
        given = _given(melody, node["id"], made)
        if given is not None and (unknown := _write(node["params"], spec, given, language)):
            missing.append(f"a column “{unknown}” (there are {', '.join(given)})")
            if _turns_rows_to_rows(spec) and _take_out(melody, node["id"]):
                gone.append(node["id"])
                continue
        made |= {(node["id"], port): columns for port, columns in spec.columns.items()}
        if given is not None:
            made |= {(node["id"], port): given for port in spec.keeps}
    return missing, gone


def _given(melody: Json, name: str, made: Mapping[tuple[str, str], Columns]) -> Columns | None:
    """The columns of all rows that a step gets; None where they are not known."""
    sources = [_end(edge["from"]) for edge in melody["edges"] if _end(edge["to"])[0] == name]
    known = [made.get(source) for source in sources]
    if not known or any(columns is None for columns in known):
        return None
    return list(dict.fromkeys(column for columns in known for column in columns or ()))


def _end(text: str) -> tuple[str, str]:
    node, _, port = text.partition(".")
    return node, port


def _write(params: Json, spec: FunctionSpec, columns: Columns, language: str) -> str:
    """Puts the true names in; returns the first that is none."""
    for name, param in spec.params.items():
        value = params.get(name)
        if not value or value == param.default or not _names_columns(param):
            continue
        if isinstance(value, list):
            found = [_column(str(one), columns, language) for one in value]
            if "" in found:
                return str(value[found.index("")])
            params[name] = found
        elif isinstance(value, str):
            written, unknown = _rewritten(value, columns, language)
            if unknown:
                return unknown
            params[name] = written
    return ""


def _rewritten(text: str, columns: Columns, language: str) -> tuple[str, str]:
    """A column or a condition with the true names, and the first name that is none."""
    parts = _LITERAL.split(text)
    for place in range(0, len(parts), 2):
        for said in dict.fromkeys(_NAME.findall(parts[place])):
            if said in _NOTATION:
                continue
            column = _column(said, columns, language)
            if not column:
                return text, said
            parts[place] = re.sub(rf"(?<![\w:]){said}(?![\w(])", column, parts[place])
    return "".join(parts), ""


def _names_columns(param: ParamSpec) -> bool:
    return param.type in ("string", "list") and not param.choices and "column" in param.description.lower()


def _column(name: str, columns: Columns, language: str) -> str:
    """The column that a name means, or the dates cut down to a period; empty when there is none."""
    if "=" in name or ":" in name:  # renamed, or cut down already
        return name
    found = column_of(name, columns, language)
    if not found and name.lower() in PERIODS:
        if "period" in columns:
            return "period"
        dated = dated_column(columns)
        return f"{dated}:{name.lower()}" if dated else ""
    if not found and name.lower() in _DAYS:
        return dated_column(columns)
    return found


def _turns_rows_to_rows(spec: FunctionSpec) -> bool:
    return len(spec.inputs) == 1 and set(spec.outputs.values()) == set(spec.inputs.values())


def _take_out(melody: Json, name: str) -> bool:
    """Takes out a step with one source; what took from it takes from that. False where nothing would be left."""
    into = [edge for edge in melody["edges"] if _end(edge["to"])[0] == name]
    if len(into) != 1:
        return False
    melody["nodes"] = [node for node in melody["nodes"] if node["id"] != name]
    melody["edges"] = [
        {**edge, "from": into[0]["from"]} if _end(edge["from"])[0] == name else edge
        for edge in melody["edges"]
        if edge is not into[0]
    ]
    return True
