"""Measures cyclomatic complexity with lizard, function by function and file by file."""

from __future__ import annotations

import hashlib
from typing import Any

Measured = tuple[dict[str, object], list[dict[str, object]]]

_REMEMBERED = 20_000
"""Files: lizard takes seconds for a large project, and between two calls few of them change."""
_seen: dict[tuple[str, bytes], Measured] = {}


def can_measure(path: str) -> bool:
    """Whether lizard knows the language of a file."""
    from lizard_languages import get_reader_for

    return get_reader_for(path) is not None


def language_of(path: str) -> str:
    """lizard's name of a file's language."""
    from lizard_languages import get_reader_for

    return str(get_reader_for(path).language_names[0])


def measure(path: str, text: str) -> Measured:
    """The row of type code/file-complexity and those of type code/function-complexity of one file.

    A file's complexity is the sum over its functions (McCabe 1976), a file without any counts 1.
    """
    key = (path, hashlib.sha256(text.encode("utf-8", "replace")).digest())
    known = _seen.get(key)
    if known is None:
        if len(_seen) >= _REMEMBERED:
            _seen.clear()
        known = _seen[key] = _measure(path, text)
    return known


def _measure(path: str, text: str) -> Measured:
    import lizard

    result: Any = lizard.analyze_file.analyze_source_code(path, text)
    functions: list[dict[str, object]] = [
        {
            "function": function.name,
            "complexity": function.cyclomatic_complexity,
            "lines": function.nloc,
            "parameters": len(function.full_parameters),
            "file": path,
            "line": function.start_line,
        }
        for function in result.function_list
    ]
    worst = max(result.function_list, key=lambda f: f.cyclomatic_complexity, default=None)
    total = sum(function.cyclomatic_complexity for function in result.function_list)
    row: dict[str, object] = {
        "file": path,
        "complexity": max(total, 1),
        "worst_complexity": worst.cyclomatic_complexity if worst else 1,
        "average_complexity": round(total / len(result.function_list), 1) if worst else 1.0,
        "functions": len(result.function_list),
        "lines": result.nloc,
        "worst_function": worst.name if worst else "",
        "language": language_of(path),
    }
    return row, functions
