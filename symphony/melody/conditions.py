"""Conditions of edges: small expressions such as `value > 0 and "risk" in tags`, evaluated without `eval`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import mod, mul
from typing import Any

from symphony.errors import InvalidMelody

MAX_LENGTH = 1000
MAX_NODES = 200

# What an expression may be made of. Methods, comprehensions, f-strings, powers and shifts are absent:
# with them a short text can keep a processor or the memory busy for as long as it likes.
_ALLOWED = (
    ast.Expression, ast.Expr, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Compare, ast.Eq, ast.NotEq,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot, ast.Call, ast.Name, ast.Load,
    ast.Constant, ast.Attribute, ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.IfExp,
)  # fmt: skip

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len, "min": min, "max": max, "sum": sum, "abs": abs, "round": round, "any": any, "all": all,
    "int": int, "float": float, "str": str, "bool": bool,
    "lower": lambda text: str(text).lower(), "upper": lambda text: str(text).upper(),
}  # fmt: skip
"""The functions that a condition may call."""


def check(expression: str) -> set[str]:
    """The names of outputs that the condition uses. Raises InvalidMelody when it is none."""
    tree = _parse(expression)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}
    return names - {"true", "false", "null"}


def evaluate(expression: str, outputs: Mapping[str, Any]) -> bool:
    """Whether the condition holds of a node's outputs, given by their names.

    Raises InvalidMelody when it is malformed, names what is not there, or cannot be computed.
    """
    tree = _parse(expression)
    evaluator = _evaluator(outputs)
    try:
        return bool(evaluator.eval(expression, previously_parsed=tree.body))
    except Exception as error:  # simpleeval raises its own errors and those of the operators alike
        cause = str(error) or type(error).__name__
        raise InvalidMelody(
            f"The condition {expression!r} cannot be computed: {cause}",
            remedy=f"use the outputs {', '.join(sorted(outputs)) or '(none)'}",
        ) from None


@lru_cache(maxsize=1024)
def _parse(expression: str) -> ast.Expression:
    if len(expression) > MAX_LENGTH:
        raise InvalidMelody(f"A condition has at most {MAX_LENGTH} characters", remedy="shorten it")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        cause = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise InvalidMelody(
            f"The condition {expression!r} cannot be read: {cause}", remedy="write for instance value > 0"
        ) from None
    if len(nodes) > MAX_NODES:
        raise InvalidMelody(f"The condition {expression[:60]!r}… is too long", remedy="split it")
    for node in nodes:
        _refuse_foreign(node, expression)
    return tree


def _refuse_foreign(node: ast.AST, expression: str) -> None:
    problem = ""
    if not isinstance(node, _ALLOWED):
        problem = f"{type(node).__name__} is not allowed in a condition"
    elif isinstance(node, ast.Call) and not (
        isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords
    ):
        problem = f"only {', '.join(_FUNCTIONS)} can be called"
    elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
        problem = f"{node.attr} is not allowed in a condition"
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bytes, complex, type(...))):
        problem = f"{node.value!r} is not allowed in a condition"
    if problem:
        raise InvalidMelody(f"The condition {expression!r} is not allowed: {problem}", remedy="simplify it")


def _evaluator(outputs: Mapping[str, Any]) -> Any:
    import simpleeval  # type: ignore[import-untyped]

    operators = {**simpleeval.DEFAULT_OPERATORS, ast.Mult: _of_numbers(mul), ast.Mod: _of_numbers(mod)}
    names = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
    return simpleeval.EvalWithCompoundTypes(
        operators=operators, functions=dict(_FUNCTIONS), names={**names, **outputs}
    )


def _of_numbers(operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`*` and `%` for numbers alone: repeated lists and padded texts could fill the memory."""

    def apply(left: Any, right: Any) -> Any:
        if not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            raise TypeError("* and % are for numbers")
        return operator(left, right)

    return apply
