"""Chains of tools compared: F1 of nodes and links, and the choice of least expected loss."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise

import numpy as np

Chain = tuple[int, ...]


def f1(found: Iterable[Hashable], right: Iterable[Hashable]) -> float:
    """Of two sets; 1 when both are empty."""
    a, b = set(found), set(right)
    if not a and not b:
        return 1.0
    return 2.0 * len(a & b) / (len(a) + len(b))


def likeness(a: Chain, b: Chain) -> float:
    """F1 of the nodes plus F1 of the links, 0 to 2."""
    return f1(a, b) + f1(pairwise(a), pairwise(b))


def least_risk(chains: Sequence[Chain], weights: Sequence[float]) -> Chain:
    """The chain whose expected likeness to the right one is greatest, when each is right with its weight.

    Minimum Bayes risk decoding (Kumar and Byrne 2004). Ties go to the earlier chain.
    """
    expected = [sum(w * likeness(a, b) for b, w in zip(chains, weights, strict=True)) for a in chains]
    return chains[int(np.argmax(expected))]


def mean_f1(found: Sequence[Chain], right: Sequence[Chain]) -> dict[str, float]:
    """Mean over prompts of both, in per cent with two digits."""
    nodes = [f1(a, b) for a, b in zip(found, right, strict=True)]
    links = [f1(pairwise(a), pairwise(b)) for a, b in zip(found, right, strict=True)]
    return {
        "node_f1": round(100.0 * float(np.mean(nodes)), 2) if nodes else 0.0,
        "link_f1": round(100.0 * float(np.mean(links)), 2) if links else 0.0,
    }
