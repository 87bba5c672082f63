"""Melodies of 1,000 nodes as files, beside what the documents promise for each format."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from functools import partial

from benches.measure import REPEATS, Row, compare, seconds
from symphony.melody.formats import dump, from_document, loads
from symphony.melody.model import Melody

# Format → (ending, milliseconds to write, to read, KB) as document 5 states them.
PROMISED = {
    "json": (".json", 15, 18, 250),
    "msgpack": (".msgpack", 8, 10, 175),
    "postcard": (".melody", 3, 4, 125),
    "pretty": (".json", 25, 20, 350),
}


def melody() -> Melody:
    """1,000 nodes with parameters and 1,500 edges."""
    nodes = [
        {
            "id": f"step{i}",
            "kind": "operator",
            "player": ("symphony/git#log", "symphony/data#filter", "symphony/report#markdown")[i % 3],
            "params": {
                "since": f"{i % 90 + 1}d",
                "path": f"src/module_{i}",
                "limit": i,
                "where": "value > 10",
            },
            "timeout": "30s",
            "retry": {"attempts": 3, "backoff": "exponential"},
        }
        for i in range(1000)
    ]
    edges = [{"kind": "data", "from": f"step{i}.rows", "to": f"step{i + 1}.rows"} for i in range(999)]
    edges += [{"kind": "control", "from": f"step{i}", "to": f"step{i + 2}"} for i in range(0, 998, 2)]
    return Melody.model_validate({"name": "thousand", "nodes": nodes, "edges": edges})


def write(form: str, name: str) -> Row:
    """To bytes, from the model."""
    whole, count = melody(), 5
    document = whole.to_document()

    def ours() -> float:
        return seconds(lambda: [dump(whole, form) for _ in range(count)]) / count

    def theirs() -> float:
        return seconds(lambda: [json.dumps(document) for _ in range(count)]) / count

    plain = statistics.median(seconds(whole.to_document) for _ in range(REPEATS)) * 1e3
    how = (
        f"the document promises {PROMISED[form][1]} ms; the peer has the plain values at hand already, which take "
        f"{plain:.2g} ms of ours"
    )
    return compare(name, ours, "json.dumps of plain values", theirs, unit="ms", scale=1e3, how=how)


def read(form: str, name: str) -> Row:
    """From bytes to the validated model."""
    data, count = dump(melody(), form), 5
    text = json.dumps(melody().to_document())

    def ours() -> float:
        return seconds(lambda: [loads(data, PROMISED[form][0]) for _ in range(count)]) / count

    def theirs() -> float:
        return seconds(lambda: [json.loads(text) for _ in range(count)]) / count

    document = melody().to_document()
    checked = statistics.median(seconds(lambda: from_document(document)) for _ in range(REPEATS)) * 1e3
    how = (
        f"the document promises {PROMISED[form][2]} ms; ours ends with every field validated, which takes "
        f"{checked:.2g} ms of it, most of that in making 3,500 objects"
    )
    return compare(name, ours, "json.loads, not validated", theirs, unit="ms", scale=1e3, how=how)


def size(form: str, name: str) -> Row:
    """Bytes on the disk."""
    kilobytes, promised = len(dump(melody(), form)) / 1000, float(PROMISED[form][3])
    how = (
        "1,000 nodes with four parameters, timeout and retry each, 1,498 edges; which Melody the document measured it "
        "does not say, and the formats that repeat every key cannot be smaller for this one"
    )
    return Row(name, kilobytes, "KB", "the document", promised, kilobytes / promised, how)


ROWS: dict[str, Callable[[str], Row]] = {
    f"melody.{what} {form}": partial(measure, form)
    for form in PROMISED
    for what, measure in (("write", write), ("read", read), ("size", size))
}
