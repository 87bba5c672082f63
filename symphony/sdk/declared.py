"""The outputs that a manifest declares for a function, and whether what it returned is of these types."""

from __future__ import annotations

from symphony.sdk.failures import PlayerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Form = tuple[str, tuple[type, ...]]

_BYTES = (bytes, bytearray, memoryview)
_FORMS: dict[str, Form] = {
    "text": ("text", (str, *_BYTES)),
    "path": ("text", (str,)),
    "image": ("text or bytes", (str, *_BYTES)),
    "record": ("a map", (dict,)),
    "number": ("a number", (int, float)),
    "integer": ("an integer", (int,)),
    "boolean": ("true or false", (bool,)),
}
"""What a value of these types is made of. All other types take anything, but for their supertypes."""

_NAMES: dict[type, str] = {
    type(None): "nothing", bool: "a truth value", int: "an integer", float: "a number", str: "text",
    bytes: "bytes", dict: "a map", list: "a list", tuple: "a list",
}  # fmt: skip


class DeclaredOutputs:
    """Output ports with their types, `{"commits": "list<git/commit>"}`.

    `supertypes` are the manifest's `[types]`; those of other extensions are not known here, so that their
    values pass. The host checks again what it can: this is to tell an author early, and where.
    """

    __slots__ = ("_plain", "_supertypes", "ports", "types")

    def __init__(
        self, types: Mapping[str, str], supertypes: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.types = dict(types)
        self._supertypes = supertypes or {}
        self.ports = list(self.types)
        # For ports of no list type, what their values are made of, once one was looked at.
        self._plain: dict[str, frozenset[type]] = {}

    def check(self, function: str, port: str, value: Any) -> None:
        """Raises `PlayerFailure` with code `bad_output` when the value is not of the port's type."""
        if type(value) in self._plain.get(port, ()):
            return
        declared = self.types[port]
        fault = self._fault(declared, value)
        if fault is not None:
            raise PlayerFailure(
                f"{function}: output {port} is declared {declared}, so it must be {fault}",
                remedy="return what Symphony.toml declares, or declare what is returned",
                code="bad_output",
            )

        if not declared.startswith("list<"):
            form = self._form(declared)
            if form is not None:
                self._plain[port] = frozenset(form[1])

    def _fault(self, declared: str, value: Any) -> str | None:
        """What the value must be and what it is, or None when it is that."""
        if declared.startswith("list<") and declared.endswith(">"):
            if not isinstance(value, (list, tuple)):
                return f"a list, but it is {_name(value)}"
            element = declared[5:-1]
            if element.startswith("list<"):
                faults = ((i, self._fault(element, item)) for i, item in enumerate(value))
                return next((f"a list in which item {i} is {fault}" for i, fault in faults if fault), None)
            form = self._form(element)
            if form is not None:
                for index, item in enumerate(value):
                    if not _fits(item, form):
                        return f"a list in which item {index} is {form[0]}, but it is {_name(item)}"
            return None
        form = self._form(declared)
        return None if form is None or _fits(value, form) else f"{form[0]}, but it is {_name(value)}"

    def _form(self, declared: str) -> Form | None:
        """That of the type or of one above it; a media type that the manifest does not declare has its family's."""
        seen, todo = {declared}, [declared]
        while todo:
            name = todo.pop()
            family = name.partition("/")[0] if name not in self._supertypes else ""
            form = _FORMS.get(name) or (_FORMS[family] if family in ("text", "image") else None)
            if form is not None:
                return form
            above = [up for up in self._supertypes.get(name, ()) if up not in seen]
            seen.update(above)
            todo += above
        return None


def _fits(value: Any, form: Form) -> bool:
    # A truth value is an int to Python, and not to anybody else.
    return isinstance(value, form[1]) and (type(value) is not bool or form[1] == (bool,))


def _name(value: Any) -> str:
    return _NAMES.get(type(value), f"a {type(value).__name__}")
