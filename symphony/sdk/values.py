"""What goes in and out of a function: artifacts, results of capabilities, and the rules of plain values."""

from __future__ import annotations

from symphony.sdk.failures import PlayerFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Containers of a frame may nest 64 deep; the envelope, the body and `outputs` take three of them.
VALUE_DEPTH = 60

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1


class Artifact:
    """An output with a name and a type of its own: `Artifact(svg, name="chart.svg", type="image/svg+xml")`.

    `content` is text, bytes, or a plain value that is stored as JSON.
    """

    __slots__ = ("content", "name", "type")

    def __init__(self, content: Any, *, name: str = "", type: str = "") -> None:
        self.content = content
        self.name = name
        self.type = type

    def __repr__(self) -> str:
        return f"Artifact(name={self.name!r}, type={self.type!r})"


class ExecResult:
    """How a program ended: what it wrote, and its exit code."""

    __slots__ = ("exit_code", "stderr", "stdout")

    def __init__(self, stdout: bytes, stderr: bytes, exit_code: int) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.exit_code = exit_code

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are no UTF-8 become replacement characters."""
        return self.stdout.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"ExecResult(exit_code={self.exit_code}, {len(self.stdout)} bytes, {len(self.stderr)} bytes)"


class HttpResponse:
    """An answer from the network."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 become replacement characters."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body read as JSON."""
        import json

        return json.loads(self.body)


class Completion:
    """What a model answered. `str(completion)` is its text."""

    __slots__ = ("model", "text", "usage")

    def __init__(self, text: str, model: str, usage: dict[str, Any]) -> None:
        self.text = text
        self.model = model
        self.usage = usage

    def __str__(self) -> str:
        return self.text


def check_plain(value: Any, where: str) -> None:
    """Finds what cannot travel before the host would refuse the whole frame.

    Plain are None, bool, int of 64 bits, float, str, bytes, and lists and string-keyed dicts of these.

    Raises `PlayerFailure` that names the place, such as `outputs.commits[3].date`.
    """
    if type(value) is str and value.isascii():
        return
    try:
        _check(value, 0)
    except _NotPlain as found:
        place = where + "".join(reversed(found.path))
        raise PlayerFailure(f"{place} {found.reason}", remedy=found.remedy) from None


class _NotPlain(Exception):
    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.path: list[str] = []


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind in _LEAVES:
        if kind is int and not _INT_MIN <= value <= _INT_MAX:
            raise _NotPlain("is an integer of more than 64 bits", "give it as text")
        if kind is str and not value.isascii():
            _check_text(value)
        return
    if depth > VALUE_DEPTH:
        raise _NotPlain(f"nests deeper than {VALUE_DEPTH} levels", "flatten it, or give it as JSON text")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _NotPlain(f"has the key {key!r}, which is no text", "use str keys")
            if type(item) in _LEAVES and type(item) is not int and (type(item) is not str or item.isascii()):
                continue
            try:
                _check(item, depth + 1)
            except _NotPlain as found:
                found.path.append(f".{key}")
                raise
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            try:
                _check(item, depth + 1)
            except _NotPlain as found:
                found.path.append(f"[{index}]")
                raise
    elif isinstance(value, (str, int, float, bytes, bytearray, memoryview)):
        return
    else:
        raise _NotPlain(
            f"is a {kind.__name__}, which cannot travel",
            "return None, bool, int, float, str, bytes, lists and str-keyed dicts, or a whole Artifact",
        )


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        remedy = 'decode with errors="replace", or give bytes'
        raise _NotPlain("is text that is no valid Unicode", remedy) from None
