"""Invented typed libraries of Players: what the policy must cope with when it meets Players never seen."""

from __future__ import annotations

import random
from collections.abc import Sequence

from symphony.types.players import FunctionSpec, ParamSpec
from symphony.types.port_types import TypeLattice

_THINGS = (
    "invoice customer order product supplier employee ticket meeting photo song recipe patient appointment flight "
    "booking sensor measurement experiment sample gene protein student course exam lecture book loan article comment "
    "review subscription payment contract shipment parcel vehicle trip route station forecast device alarm server "
    "container image build release test benchmark metric trace log-line error incident deployment dataset label model "
    "prediction feature survey answer campaign advert lead newsletter donation member event ticket-sale auction bid"
).split()
_FETCH = (
    ("list", "List all {t}s", ("show every {t}", "which {t}s are there", "give me the {t}s", "display all {t}s", "overview of the {t}s")),
    ("fetch", "Fetches the {t}s from the archive", ("get the {t}s", "load the {t}s", "retrieve all {t}s", "pull in the {t}s", "download the {t}s of this year")),
    ("rank", "Ranks {t}s by importance", ("which {t}s matter most", "the most important {t}s", "best {t}s first", "rank the {t}s", "leading {t}s")),
    ("history", "History of each {t}: what changed and when", ("how did the {t}s develop", "changes of the {t}s over time", "timeline of {t}s", "what happened to each {t}", "{t} changes since spring")),
    ("anomalies", "Unusual {t}s that deserve a look", ("find strange {t}s", "outliers among the {t}s", "suspicious {t}s", "which {t}s look wrong", "detect odd {t}s")),
    ("cost", "What each {t} costs", ("how expensive are the {t}s", "price of every {t}", "spending by {t}", "{t} expenses", "costs of the {t}s")),
    ("owners", "Who is responsible for each {t}", ("who owns the {t}s", "people in charge of {t}s", "responsible person by {t}", "whose {t}s are these", "contacts for the {t}s")),
)  # fmt: skip
_MERGE = (
    ("match", "Matches {a}s with {b}s", ("which {a} belongs to which {b}", "link {a}s and {b}s", "connect every {a} to its {b}", "pair {a}s with {b}s")),
    ("correlate", "How {a}s and {b}s influence each other", ("does the {a} depend on the {b}", "relation between {a}s and {b}s", "correlation of {a}s with {b}s", "{a}s against {b}s")),
)  # fmt: skip
_TRANSFORM = (
    ("deduplicate", "Removes rows that say the same twice", ("without duplicates", "remove repeated entries", "only distinct ones", "drop doubles")),
    ("cluster", "Puts similar rows into clusters", ("cluster them", "group what is similar", "find clusters", "segments of similar entries")),
    ("anonymise", "Removes personal data from rows", ("anonymise the result", "hide the names", "without personal data", "mask private fields")),
    ("sample", "A random sample of the rows", ("a random sample", "pick some at random", "only a few random rows", "draw a sample")),
    ("enrich", "Adds the country and region to each row", ("add the country to each", "with region", "enrich them with geography", "look up where each is from")),
    ("forecast", "Continues the numbers of the rows into the future", ("forecast the next months", "predict how it goes on", "extrapolate the trend", "what will come next")),
)  # fmt: skip
_PRESENT = (
    ("map", "Draws rows on a map", "image/svg+xml", ("show it on a map", "draw a map", "plot them geographically", "as a map")),
    ("heatmap", "Draws rows as a heat map", "image/png", ("as a heat map", "heatmap please", "colour matrix of it", "draw a heatmap")),
    ("slides", "Makes presentation slides from rows", "text/html", ("make slides of it", "a presentation for management", "slide deck", "prepare slides")),
    ("letter", "Writes a letter that tells what the rows say", "text/markdown", ("write a letter about it", "as a letter to the board", "letter with the results", "draft a letter")),
    ("feed", "Publishes rows as a feed file", "text/plain", ("as an RSS feed", "make a feed of it", "feed file", "export a feed")),
    ("total", "Adds the rows up to one number", "number", ("how much in total", "sum it up", "the overall total", "add everything up")),
)  # fmt: skip
_GATHER = (
    ("binder", "Puts all results together into one binder", ("collect it all in a binder", "one folder with everything", "bundle all results", "put it together in one document")),
    ("digest", "A short digest of all results", ("send me a digest", "digest of everything", "short overview of it all", "wrap it up in a digest")),
)  # fmt: skip


def invented_library(seed: int, things: int = 8) -> tuple[list[FunctionSpec], TypeLattice]:
    """A library of about `4 * things` Players over things of daily life, and its types."""
    dice = random.Random(seed)
    chosen = dice.sample(_THINGS, things)
    lattice = TypeLattice()
    lattice.declare({f"{_plain(t)}/{verb}": ["record"] for t in chosen for verb, _, _ in _FETCH})
    library: list[FunctionSpec] = []
    made: list[tuple[str, str]] = []
    for thing in chosen:
        for verb, description, examples in dice.sample(_FETCH, dice.randint(2, 4)):
            row = f"{_plain(thing)}/{verb}"
            library.append(
                _player(thing, f"{verb}_{_plain(thing)}s", description.format(t=thing.replace("-", " ")),
                        [e.format(t=thing.replace("-", " ")) for e in examples],
                        {"project": "project"}, {"items": f"list<{row}>"}, _window(dice))
            )  # fmt: skip
            made.append((thing, row))
    for _ in range(things // 2):
        (a, first), (b, second) = dice.sample(made, 2)
        verb, description, examples = dice.choice(_MERGE)
        if any(s.function == f"{verb}_{_plain(a)}_{_plain(b)}" for s in library) or a == b:
            continue
        words = {"a": a.replace("-", " "), "b": b.replace("-", " ")}
        library.append(
            _player(a, f"{verb}_{_plain(a)}_{_plain(b)}", description.format(**words),
                    [e.format(**words) for e in examples],
                    {"left": f"list<{first}>", "right": f"list<{second}>"}, {"pairs": "list<record>"}, {})
        )  # fmt: skip
    for verb, description, examples in dice.sample(_TRANSFORM, 4):
        library.append(_player("table", verb, description, list(examples), {"items": "list<record>"},
                               {"items": "list<record>"}, {}))  # fmt: skip
    for verb, description, result, examples in dice.sample(_PRESENT, 4):
        library.append(_player("show", verb, description, list(examples), {"items": "list<record>"},
                               {"result": result}, {}))  # fmt: skip
    verb, description, examples = dice.choice(_GATHER)
    library.append(_player("show", verb, description, list(examples), {"parts": "list<any>"},
                           {"document": "text/markdown"}, {}))  # fmt: skip
    return library, lattice


def _plain(word: str) -> str:
    return word.replace("-", "")


def _window(dice: random.Random) -> dict[str, ParamSpec]:
    params = {}
    if dice.random() < 0.5:
        params["since"] = ParamSpec("duration", "how far back: a duration such as 90d or a date")
    if dice.random() < 0.4:
        params["limit"] = ParamSpec("integer", "at most so many", minimum=1)
    return params


def _player(
    extension: str,
    name: str,
    description: str,
    examples: Sequence[str],
    inputs: dict[str, str],
    outputs: dict[str, str],
    params: dict[str, ParamSpec],
) -> FunctionSpec:
    return FunctionSpec(
        player=f"quest/{_plain(extension)}#{name}",
        kind="operator",
        description=description,
        inputs=inputs,
        outputs=outputs,
        params=params,
        examples=tuple(examples),
    )
