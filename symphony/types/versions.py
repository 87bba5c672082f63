"""Semantic versions and ranges of them, as manifests and melodies write them: `^1.2`, `>=1.0, <3`, `*`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semver import Version

_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_COMPARATOR = re.compile(r"(\^|~|>=|<=|>|<|=|!=)?\s*v?([0-9][0-9A-Za-z.+-]*|\*|x)")


def is_version(text: str) -> bool:
    """Whether `text` is a semantic version such as `1.2.0` or `2.0.0-beta.1`."""
    return len(text) <= 128 and _VERSION.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def version(text: str) -> Version:
    """The comparable version. Raises ValueError with the remedy in it."""
    from semver import Version

    if not is_version(text):
        raise ValueError(f"{text!r} is no version; write three numbers such as 1.2.0")
    return Version.parse(text)


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range of versions: comparators joined by a comma or a space, alternatives by `||`.

    `^1.2` is ≥ 1.2.0 and < 2.0.0 (below 1.0 the first number that is not zero stays), `~1.2` is
    ≥ 1.2.0 and < 1.3.0, `1.2.*` and a bare `1.2` likewise, a bare `1.2.3` means exactly that, `*` any.
    A pre-release is in a range only when a comparator names the same three numbers with a
    pre-release, so nobody gets one without asking.
    """

    text: str
    alternatives: tuple[tuple[tuple[str, str], ...], ...]

    @classmethod
    def parse(cls, text: str) -> VersionRange:
        """Reads a range. Raises ValueError when it is none."""
        if len(text) > 256:
            raise ValueError("a version range has at most 256 characters")
        alternatives = tuple(_parse_alternative(part, text) for part in text.split("||"))
        return cls(text.strip(), alternatives)

    def contains(self, text: str) -> bool:
        """Whether the version `text` lies in the range."""
        candidate = version(text)
        return any(_holds(alternative, candidate) for alternative in self.alternatives)

    def __str__(self) -> str:
        return self.text


def _parse_alternative(part: str, whole: str) -> tuple[tuple[str, str], ...]:
    comparators: list[tuple[str, str]] = []
    rest = part.strip()
    if not rest:
        raise ValueError(f"{whole!r} is no version range; write for instance ^1.2, >=1.0 or *")
    while rest:
        match = _COMPARATOR.match(rest)
        if match is None:
            raise ValueError(f"{whole!r} is no version range; write for instance ^1.2, >=1.0 or *")
        comparators += _bounds(match[1] or "", match[2], whole)
        rest = rest[match.end() :].lstrip()
        if rest.startswith(","):
            rest = rest[1:].lstrip()
            if not rest:
                raise ValueError(f"{whole!r} is no version range: it ends with a comma")
    return tuple(comparators)


def _bounds(operator: str, text: str, whole: str) -> list[tuple[str, str]]:
    """The comparators against full versions that one written comparator stands for."""
    if text in ("*", "x"):
        if operator:
            raise ValueError(f"{whole!r} is no version range: {operator} needs a version")
        return []
    core = text.split("-")[0].split("+")[0]
    numbers = [n for n in core.split(".") if n not in ("*", "x")]
    if not 1 <= len(numbers) <= 3 or not all(n.isdigit() for n in numbers):
        raise ValueError(f"{text!r} in {whole!r} is no version; write for instance 1.2.0")
    given = len(numbers)
    full = ".".join(numbers + ["0"] * (3 - given)) + text[len(core) :]
    if not is_version(full):
        raise ValueError(f"{text!r} in {whole!r} is no version; write for instance 1.2.0")
    parts = [int(n) for n in numbers]
    if operator == "^":
        keep = next((i for i, n in enumerate(parts) if n), given - 1)
        return [(">=", full), ("<", _next(parts, keep))]
    if operator == "~":
        return [(">=", full), ("<", _next(parts, min(1, given - 1)))]
    if operator in ("", "=") and given < 3:
        return [(">=", full), ("<", _next(parts, given - 1))]
    if operator in (">", "<=") and given < 3:
        return [(">=" if operator == ">" else "<", _next(parts, given - 1))]
    return [(operator or "=", full)]


def _next(parts: list[int], position: int) -> str:
    kept = [*parts[:position], parts[position] + 1]
    return ".".join(str(n) for n in kept + [0] * (3 - len(kept)))


def _holds(comparators: tuple[tuple[str, str], ...], candidate: Version) -> bool:
    if candidate.prerelease and not any(
        (bound := version(text)).prerelease and bound.to_tuple()[:3] == candidate.to_tuple()[:3]
        for _, text in comparators
    ):
        return False
    for operator, text in comparators:
        order = candidate.compare(version(text))
        held = {"=": order == 0, "!=": order != 0, ">": order > 0, ">=": order >= 0, "<": order < 0}
        if not held.get(operator, order <= 0):
            return False
    return True
