"""Which versions fit together: dependencies resolved by resolvelib over registry and installed extensions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symphony.errors import BadInput, NotFound
from symphony.types.versions import VersionRange, version


@dataclass(frozen=True)
class Requirement:
    """`name` in a version of `range`, wanted by `by` (empty: by the user)."""

    name: str
    range: VersionRange
    by: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.range}" + (f" (wanted by {self.by})" if self.by else "")


@dataclass(frozen=True)
class Candidate:
    """A version that could be chosen, with what it depends on: name to range."""

    name: str
    version: str
    dependencies: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_installed: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def resolve(
    wanted: Iterable[Requirement], offered: Mapping[str, Sequence[Candidate]], *, host_version: str
) -> list[Candidate]:
    """The candidates to have, dependencies before what needs them.

    `offered` has every version that is installed or in the registry; among those that fit, an installed
    one stays and else the highest is taken. Raises NotFound for a name that nobody offers, BadInput
    when nothing fits, both with the chain that leads there.
    """
    from resolvelib import BaseReporter, ResolutionImpossible, Resolver

    provider = _provider(offered, host_version)
    try:
        result = Resolver(provider, BaseReporter()).resolve(list(wanted), max_rounds=10_000)
    except ResolutionImpossible as impossible:
        raise _explained([cause.requirement for cause in impossible.causes], offered, host_version) from None
    chosen: dict[str, Candidate] = {n: c for n, c in result.mapping.items() if c.name != HOST}
    return _dependencies_first(chosen)


HOST = "symphony-core"
"""The name that stands for the host itself."""


def _provider(offered: Mapping[str, Sequence[Candidate]], host_version: str) -> Any:
    from resolvelib import AbstractProvider

    host = Candidate(HOST, host_version, is_installed=True)

    class Provider(AbstractProvider):  # type: ignore[type-arg]
        def identify(self, requirement_or_candidate: Any) -> str:
            return str(requirement_or_candidate.name)

        def get_preference(
            self, identifier: Any, resolutions: Any, candidates: Any, information: Any, backtrack_causes: Any
        ) -> Any:
            return sum(1 for _ in candidates[identifier]), identifier

        def find_matches(self, identifier: Any, requirements: Any, incompatibilities: Any) -> list[Candidate]:
            needs = list(requirements[identifier])
            refused = set(incompatibilities[identifier])
            known = [host] if identifier == HOST else offered.get(identifier, ())
            fitting = [
                c for c in known if c not in refused and all(n.range.contains(c.version) for n in needs)
            ]
            return sorted(fitting, key=lambda c: (c.is_installed, version(c.version)), reverse=True)

        def is_satisfied_by(self, requirement: Any, candidate: Any) -> bool:
            return bool(requirement.range.contains(candidate.version))

        def get_dependencies(self, candidate: Any) -> Iterator[Requirement]:
            for name, text in candidate.dependencies.items():
                yield Requirement(name, VersionRange.parse(text), str(candidate))

    return Provider()


def _explained(
    needs: Sequence[Requirement], offered: Mapping[str, Sequence[Candidate]], host_version: str
) -> Exception:
    for need in needs:
        if need.name == HOST:
            return BadInput(
                f"{need.by} needs Symphony {need.range}, and this is {host_version}",
                remedy="update Symphony or choose another version",
            )
        if not offered.get(need.name):
            by = f"{need.by} depends on {need.name}, which" if need.by else need.name
            return NotFound(
                f"{by} names no extension of the registry", remedy="`symphony ext search` shows what there is"
            )
    wishes = " and ".join(dict.fromkeys(str(need) for need in needs))
    names = dict.fromkeys(need.name for need in needs)
    there = "; ".join(f"{n} is there as {', '.join(c.version for c in offered[n])}" for n in names)
    return BadInput(f"No version fits {wishes}: {there}", remedy="update or remove one of them")


def _dependencies_first(chosen: Mapping[str, Candidate]) -> list[Candidate]:
    ordered: dict[str, Candidate] = {}
    for start in sorted(chosen):
        trail = [(start, iter(chosen[start].dependencies))]
        seen = {start}
        while trail:
            name, rest = trail[-1]
            following = next((d for d in rest if d in chosen and d not in ordered and d not in seen), None)
            if following is None:
                trail.pop()
                ordered.setdefault(name, chosen[name])
            else:
                seen.add(following)
                trail.append((following, iter(chosen[following].dependencies)))
    return list(ordered.values())
