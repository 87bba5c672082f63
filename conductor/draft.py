"""A Melody under construction: nodes and typed edges, of which only valid ones can be made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from conductor.words import content_words
from symphony.types.players import FunctionSpec
from symphony.types.port_types import PROJECT, TypeLattice, element_type

Output = tuple[int, str]
"""A node's place in the draft, and the name of one of its output ports."""


@dataclass(slots=True)
class DraftNode:
    """One node. `chosen` is false for steps that only feed another; `clause` is the prompt's clause it serves."""

    function: int
    spec: FunctionSpec
    inputs: dict[str, list[Output]] = field(default_factory=dict)
    chosen: bool = True
    clause: int = -1
    confidence: float = 1.0


def required_inputs(spec: FunctionSpec) -> list[str]:
    """The ports that need an edge: neither optional nor served by the host."""
    return [p for p, t in spec.inputs.items() if p not in spec.optional and t != PROJECT]


def optional_inputs(spec: FunctionSpec) -> list[str]:
    """The ports that may have an edge."""
    return [p for p, t in spec.inputs.items() if p in spec.optional and t != PROJECT]


def gathers(port_type: str) -> bool:
    """Whether a port takes whatever there is, from several nodes at once: `list<any>`."""
    return element_type(port_type) == "any"


@lru_cache(maxsize=4096)
def _port_words(name: str, port_type: str) -> frozenset[str]:
    words = content_words(name.replace("_", " ") + " " + port_type.replace("/", " ").replace("-", " "))
    return frozenset(w.rstrip("s") for w in words) - {"list", "record", "item", "text"}


class Typing:
    """Answers which port may feed which, under one type lattice."""

    def __init__(self, lattice: TypeLattice) -> None:
        self.lattice = lattice
        self._wanted: frozenset[str] = frozenset()
        self._takers: dict[str, list[str]] = {}

    def expect(self, wanted: Iterable[str]) -> None:
        """Says which types inputs have: `takers` answers with these."""
        self._wanted = frozenset(wanted)
        self._takers.clear()

    def takers(self, made: str) -> list[str]:
        """The types of inputs that an output of this type may feed."""
        known = self._takers.get(made)
        if known is None:
            known = self._takers[made] = [wanted for wanted in self._wanted if self.feeds(made, wanted)]
        return known

    def feeds(self, source: str, target: str) -> bool:
        """An edge is legal when the source is the target or below it, or an element of the target's list."""
        if self.lattice.is_below(source, target):
            return True
        inner = element_type(target)
        return inner is not None and self.lattice.is_below(source, inner)

    def is_rows(self, port_type: str) -> bool:
        """Whether it is a table: a list of records."""
        inner = element_type(port_type)
        return inner is not None and self.lattice.is_below(inner, "record")

    def accompanies(self, port_type: str) -> bool:
        """Pictures and numbers stand beside what they were made from; everything else takes its place."""
        return self.lattice.is_below(port_type, "image") or self.lattice.is_below(port_type, "number")


class Draft:
    """Nodes in an order in which every edge points forward, so that no cycle can arise."""

    def __init__(self, typing: Typing, prompt_words: frozenset[str]) -> None:
        self.typing = typing
        self.nodes: list[DraftNode] = []
        self._prompt_words = frozenset(w.rstrip("s") for w in prompt_words)
        self._superseded: list[bool] | None = None
        self._leaves: list[int] | None = None
        self._providers: dict[str, list[tuple[float, Output]]] = {}
        self._fresh: dict[str, list[tuple[float, Output]]] = {}

    def has(self, function: int) -> bool:
        """Whether a Player is already a node."""
        return any(node.function == function for node in self.nodes)

    def is_superseded(self, place: int) -> bool:
        """Whether another node has taken what this one made and gives it on in another form."""
        if self._superseded is None:
            self._superseded = [False] * len(self.nodes)
            for node in self.nodes:
                if all(self.typing.accompanies(t) for t in node.spec.outputs.values()):
                    continue
                for port, sources in node.inputs.items():
                    for source, _ in sources if not gathers(node.spec.inputs[port]) else ():
                        self._superseded[source] = True
        return self._superseded[place]

    def begin_with(self, nodes: Sequence[DraftNode]) -> None:
        """Takes nodes that stand already, sources before those that take from them."""
        self.nodes = list(nodes)
        self._changed()

    def _changed(self) -> None:
        """Forgets what was derived from the nodes."""
        self._superseded = self._leaves = None
        self._providers.clear()
        self._fresh.clear()

    def providers(self, port_type: str, exclude: Sequence[Output] = ()) -> list[tuple[float, Output]]:
        """Outputs that may feed a port of this type, best first, each with how well it suits.

        What nobody has used yet, is of just the wanted type, is named in the prompt and came last, goes first.
        """
        known = self._providers.get(port_type)
        if known is None:
            known = self._providers[port_type] = self._rank_providers(port_type)
        return [f for f in known if f[1] not in exclude] if exclude else known

    def _rank_providers(self, port_type: str) -> list[tuple[float, Output]]:
        found = [
            (self._suits(place, rank, port, is_same=made == port_type), (place, port))
            for place, node in enumerate(self.nodes)
            for rank, (port, made) in enumerate(node.spec.outputs.items())
            if self.typing.feeds(made, port_type)
        ]
        return sorted(found, key=lambda f: -f[0])

    def _suits(self, place: int, rank: int, port: str, *, is_same: bool) -> float:
        """How well an output suits an input that it may feed, of just its type or not."""
        made = self.nodes[place].spec.outputs[port]
        score = 4.0 * is_same + 3.0 * (not self.is_superseded(place)) + 0.1 * place - 0.2 * rank
        return score + 0.5 * len(_port_words(port, made) & self._prompt_words)

    def best_fresh(self) -> dict[str, float]:
        """How well the best provider that nothing has superseded suits each type of input; of those that have one."""
        found: dict[str, float] = {}
        for place, node in enumerate(self.nodes):
            if self.is_superseded(place):
                continue
            for rank, (port, made) in enumerate(node.spec.outputs.items()):
                near = self._suits(place, rank, port, is_same=False)
                for port_type in self.typing.takers(made):
                    score = near if made != port_type else self._suits(place, rank, port, is_same=True)
                    found[port_type] = max(score, found.get(port_type, score))
        return found

    def fresh_providers(self, port_type: str) -> list[tuple[float, Output]]:
        """The providers that nothing has superseded."""
        known = self._fresh.get(port_type)
        if known is None:
            known = [f for f in self.providers(port_type) if not self.is_superseded(f[1][0])]
            self._fresh[port_type] = known
        return known

    def can_feed(self, spec: FunctionSpec) -> bool:
        """Whether every required input has a provider already."""
        used: list[Output] = []
        for port in required_inputs(spec):
            exclude = () if gathers(spec.inputs[port]) else used
            found = self.providers(spec.inputs[port], exclude)
            if not found:
                return False
            used.append(found[0][1])
        return True

    def add(self, function: int, spec: FunctionSpec, *, chosen: bool, connect_optional: bool) -> int:
        """Appends a node with its required inputs connected, and its first optional one when wanted.

        Raises ValueError when a required input has no provider: then the caller has to add that first.
        """
        node = DraftNode(function, spec, chosen=chosen)
        used: list[Output] = []
        for port in required_inputs(spec):
            wanted = spec.inputs[port]
            if gathers(wanted):
                node.inputs[port] = []
                continue
            found = self.providers(wanted, used)
            if not found:
                raise ValueError(f"{spec.player} has nothing to feed its input {port}")
            node.inputs[port] = [found[0][1]]
            used.append(found[0][1])
        if connect_optional:
            for port in optional_inputs(spec):
                fresh = [o for _, o in self.fresh_providers(spec.inputs[port]) if o not in used]
                if fresh:
                    node.inputs[port] = fresh[:1]
                    break
        self.nodes.append(node)
        self._changed()
        return len(self.nodes) - 1

    def finish(self) -> None:
        """Connects every gathering input to all results that stand before or beside it."""
        self._order_gatherers()
        for place, node in enumerate(self.nodes):
            for port, wanted in node.spec.inputs.items():
                if gathers(wanted) and (port in node.inputs or port not in node.spec.optional):
                    node.inputs[port] = self.results_of(range(place), wanted)

    def _order_gatherers(self) -> None:
        """Moves nodes that gather, and all that depends on them, behind the others; edges follow."""
        late: set[int] = set()
        for place, node in enumerate(self.nodes):
            gathering = any(gathers(t) for p, t in node.spec.inputs.items() if p in node.inputs)
            if gathering or any(s in late for sources in node.inputs.values() for s, _ in sources):
                late.add(place)
        order = [p for p in range(len(self.nodes)) if p not in late] + sorted(late)
        moved = {old: new for new, old in enumerate(order)}
        self.nodes = [self.nodes[old] for old in order]
        for node in self.nodes:
            node.inputs = {p: [(moved[s], o) for s, o in sources] for p, sources in node.inputs.items()}
        self._changed()

    def results_of(self, places: Iterable[int], wanted: str) -> list[Output]:
        """One output of every node at these places whose result nobody has taken further."""
        results = []
        for before in places:
            node = self.nodes[before]
            if node.spec.effects and all(t == "path" for t in node.spec.outputs.values()):
                continue
            if self.is_superseded(before):
                continue
            found = [o for _, o in self.providers(wanted) if o[0] == before]
            results += found[:1]
        return results

    def leaves(self) -> list[int]:
        """Places of the nodes whose outputs no other node takes."""
        if self._leaves is None:
            taken = {s for node in self.nodes for sources in node.inputs.values() for s, _ in sources}
            self._leaves = [place for place in range(len(self.nodes)) if place not in taken]
        return self._leaves

    def prune(self) -> None:
        """Takes away steps that feed nothing and were not chosen."""
        while True:
            useless = [p for p in self.leaves() if not self.nodes[p].chosen]
            if not useless:
                return
            gone = useless[0]
            del self.nodes[gone]
            self._changed()
            for node in self.nodes:
                node.inputs = {p: [(s - (s > gone), o) for s, o in v] for p, v in node.inputs.items()}
