"""A level in the hands of a person: what can be added, one step back, and how it went against par."""

from __future__ import annotations

from dataclasses import dataclass

from conductor.quest.graph import Graph, Outcome, graph_of, play
from conductor.quest.level import Function, Level
from conductor.quest.problem import Problem
from conductor.quest.search import a_star
from symphony.errors import BadInput


@dataclass(frozen=True, slots=True)
class Score:
    """How a player's graph went, and how A*'s did in the same world. Lower seconds are better."""

    outcome: Outcome
    par: Outcome
    par_nodes: int
    graph: Graph

    @property
    def is_below_par(self) -> bool:
        """Won, and A* did not, or took longer."""
        better = self.outcome.makespan < self.par.makespan - 1e-9
        return self.outcome.success and (better or not self.par.success)


class Session:
    """One play of a level, under the same masks as the policy's."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self._problem = Problem(level)
        self._taken: list[int] = []

    @property
    def spent(self) -> float:
        """Cost of what was added."""
        return sum(self._problem.costs[f] for f in self._taken)

    @property
    def _state(self) -> int:
        state = self._problem.have
        for function in self._taken:
            state |= self._problem.gives[function]
        return state

    @property
    def is_won(self) -> bool:
        """Whether all goals are made."""
        return not self._problem.goal & ~self._state

    def choices(self) -> list[Function]:
        """What may be added now; empty when the level is over."""
        allowed = self._problem.allowed(self._state, self.spent, len(self._taken))
        return [self.level.functions[f] for f in allowed]

    def take(self, name: str) -> None:
        """Adds a function by its id. Raises BadInput when the masks exclude it."""
        places = {f.id: place for place, f in enumerate(self.level.functions)}
        if name not in {f.id for f in self.choices()}:
            raise BadInput(f"{name!r} cannot be added now", remedy="choose one of those that are listed")
        self._taken.append(places[name])

    def undo(self) -> None:
        """Takes the last function away. Raises BadInput at the start."""
        if not self._taken:
            raise BadInput("Nothing was added yet", remedy="add a function first")
        self._taken.pop()

    def score(self) -> Score:
        """Plays what was added, and A*'s plan, in the same world."""
        par = a_star(self._problem).plan or ()
        best, graph = graph_of(self.level, par), graph_of(self.level, self._taken)
        return Score(play(self.level, graph), play(self.level, best), len(par), graph)
