"""Resolution: tables of what is offered and what is chosen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.errors import BadInput, NotFound, SymphonyError
from symphony.kit.resolver import Candidate, Requirement, resolve
from symphony.types.versions import VersionRange


def _need(name: str, text: str = "*") -> Requirement:
    return Requirement(name, VersionRange.parse(text))


def _offer(*candidates: tuple[str, str, dict[str, str]]) -> dict[str, list[Candidate]]:
    offered: dict[str, list[Candidate]] = {}
    for name, version, dependencies in candidates:
        offered.setdefault(name, []).append(Candidate(name, version, dependencies))
    return offered


def _chosen(needs: list[Requirement], offered: dict[str, list[Candidate]]) -> list[str]:
    return [str(c) for c in resolve(needs, offered, host_version="0.1.0")]


def test_the_highest_that_fits_is_taken_and_dependencies_come_first() -> None:
    offered = _offer(
        ("a/a", "1.0.0", {"b/b": "^1.0"}), ("b/b", "1.0.0", {}), ("b/b", "1.9.0", {"c/c": "*"}),
        ("b/b", "2.0.0", {}), ("c/c", "1.0.0", {}),
    )  # fmt: skip
    assert _chosen([_need("a/a")], offered) == ["c/c 1.0.0", "b/b 1.9.0", "a/a 1.0.0"]


def test_it_goes_back_to_a_lower_version_when_the_highest_does_not_fit() -> None:
    offered = _offer(
        ("a/a", "1.0.0", {"c/c": "^1"}), ("a/a", "2.0.0", {"c/c": "^2"}),
        ("b/b", "1.0.0", {"c/c": "^1"}), ("c/c", "1.0.0", {}), ("c/c", "2.0.0", {}),
    )  # fmt: skip
    assert "a/a 1.0.0" in _chosen([_need("a/a"), _need("b/b")], offered)


def test_what_is_installed_stays() -> None:
    offered = _offer(("a/a", "1.0.0", {"b/b": "^1"}), ("b/b", "1.5.0", {}))
    offered["b/b"].append(Candidate("b/b", "1.1.0", {}, is_installed=True))
    assert "b/b 1.1.0" in _chosen([_need("a/a")], offered)


def test_circles_of_dependencies_end() -> None:
    offered = _offer(("a/a", "1.0.0", {"b/b": "*"}), ("b/b", "1.0.0", {"a/a": "*"}))
    assert sorted(_chosen([_need("a/a")], offered)) == ["a/a 1.0.0", "b/b 1.0.0"]


def test_why_nothing_fits_is_said() -> None:
    offered = _offer(
        ("a/a", "1.0.0", {"c/c": "^1"}), ("b/b", "1.0.0", {"c/c": "^2"}),
        ("c/c", "1.0.0", {}), ("c/c", "2.0.0", {}),
    )  # fmt: skip
    with pytest.raises(BadInput, match=r"c/c \^. \(wanted by ./. 1\.0\.0\)"):
        _chosen([_need("a/a"), _need("b/b")], offered)
    with pytest.raises(NotFound, match="x/x names no extension"):
        _chosen([_need("x/x")], offered)
    with pytest.raises(BadInput, match=r"needs Symphony >=2, and this is 0\.1\.0"):
        _chosen([_need("a/a")], _offer(("a/a", "1.0.0", {"symphony-core": ">=2"})))


_names = st.sampled_from(["a/a", "b/b", "c/c", "d/d"])
_versions = st.sampled_from(["1.0.0", "1.1.0", "2.0.0"])
_ranges = st.sampled_from(["*", "^1", "^2", ">=1.1.0", "<2"])


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.tuples(_names, _versions), st.dictionaries(_names, _ranges, max_size=3), max_size=10),
    st.lists(st.tuples(_names, _ranges), min_size=1, max_size=3),
)
def test_every_answer_holds_all_promises(
    catalogue: dict[tuple[str, str], dict[str, str]], needs: list[tuple[str, str]]
) -> None:
    offered = _offer(*((name, version, deps) for (name, version), deps in catalogue.items()))
    wanted = [_need(name, text) for name, text in needs]
    try:
        chosen = {c.name: c for c in resolve(wanted, offered, host_version="0.1.0")}
    except SymphonyError:
        return
    for name, text in needs:
        assert VersionRange.parse(text).contains(chosen[name].version)
    for candidate in chosen.values():
        for name, text in candidate.dependencies.items():
            assert VersionRange.parse(text).contains(chosen[name].version)
