"""The files with which an extension of each type begins. `{name}` is the whole name, `{short}` its last part."""

from __future__ import annotations

HEAD = """\
[extension]
name = "{name}"
version = "0.1.0"
type = "{type}"
description = "{description}"
license = "MIT"
runtime = "python"
entry = "player.py"
"""

MELODY = """\
format: symphony.melody/1
name: {short}
description: Tries {name} on a file of this folder
nodes:
  - {{id: read, kind: operator, player: symphony/files#read, params: {{path: Symphony.toml}}}}
  - {{id: mine, kind: {type}, player: {name}#FUNCTION}}
edges:
  - {{kind: data, from: read.text, to: mine.text}}
"""

OPERATOR = {
    "melody.yaml": MELODY.replace("FUNCTION", "count_words"),
    "Symphony.toml": HEAD
    + """
[[functions]]
name = "count_words"
description = "How often each word occurs in a text, the most frequent first"
examples = [                       # what people would write to get it: 8 to 40, in any language
    "count the words of this text",
    "which words does the README use most",
]
deterministic = true               # the same input gives the same output: answers may come from the cache
inputs = {{ text = "text" }}         # any kind of text; outputs of other Players fit if they are of this type or below
outputs = {{ words = "list<record>" }}
params = {{ most = {{ type = "integer", default = 10, min = 1, description = "how many words" }} }}

[capabilities]                     # nothing is granted that is not here and agreed to by the user
""",
    "player.py": '''\
"""The Operator {name}: counts words."""

from __future__ import annotations

import re
from collections import Counter

from symphony.sdk import Context, player


@player.function
def count_words(ctx: Context, text: str, most: int = 10) -> list[dict[str, object]]:
    """How often each word occurs in a text, the most frequent first."""
    words = Counter(re.findall(r"\\w+", text.lower()))
    ctx.progress(0.5, f"{{len(words)}} words")
    return [{{"word": word, "count": count}} for word, count in words.most_common(most)]


player.serve()
''',
    "tests/test_player.py": """\
import unittest
from pathlib import Path

from symphony.sdk.testing import Harness

ENTRY = Path(__file__).parents[1] / "player.py"


class CountWords(unittest.TestCase):
    def test_the_most_frequent_word_comes_first(self):
        words = Harness(ENTRY).call("count_words", {{"most": 1}}, {{"text": "to be or not to be, be"}})["words"]
        self.assertEqual(words, [{{"word": "be", "count": 3}}])


if __name__ == "__main__":
    unittest.main()
""",
}

INSTRUMENT = {
    "melody.yaml": MELODY.replace("FUNCTION", "headline"),
    "Symphony.toml": HEAD
    + """
[[functions]]
name = "headline"
description = "A headline for a text, written by a language model"
examples = [                       # what people would write to get it: 8 to 40, in any language
    "write a headline for this text",
    "find a title for the article",
]
inputs = {{ text = "text" }}         # any kind of text; outputs of other Players fit if they are of this type or below
outputs = {{ headline = "text/plain" }}
params = {{ model = {{ type = "string", default = "", description = "which model; empty for the usual one" }} }}

[capabilities]                     # nothing is granted that is not here and agreed to by the user
models = ["*"]                     # the host asks the model and keeps its key
""",
    "player.py": '''\
"""The Instrument {name}: writes headlines."""

from __future__ import annotations

from symphony.sdk import Context, player


@player.function
def headline(ctx: Context, text: str, model: str = "") -> str:
    """A headline for a text, written by a language model."""
    prompt = f"Write one headline of at most ten words for this text. Answer with the headline only.\\n\\n{{text}}"
    answer = ctx.complete(prompt, model=model or None, max_tokens=40, stream=lambda piece: ctx.output(piece))
    return str(answer).strip().strip('"')


player.serve()
''',
    "tests/test_player.py": '''\
import unittest
from pathlib import Path

from symphony.sdk.testing import Harness

ENTRY = Path(__file__).parents[1] / "player.py"


def model(asked):
    """Stands in for the model: the test says what it answers."""
    return {{"pieces": [{{"text": "Rain"}}], "text": '"Rain tomorrow"', "model": "test", "usage": {{}}}}


class Headline(unittest.TestCase):
    def test_the_answer_is_the_headline_without_quotes(self):
        harness = Harness(ENTRY, capabilities={{"model.complete": model}})
        self.assertEqual(harness.call("headline", {{}}, {{"text": "It will rain."}}), {{"headline": "Rain tomorrow"}})
        self.assertEqual(harness.host.reported("output"), [{{"piece": "Rain"}}])


if __name__ == "__main__":
    unittest.main()
''',
}

MOTIF = {
    "Symphony.toml": HEAD
    + """
[[functions]]
name = "counter"
description = "A panel that counts how often its button was pressed"

[[components]]                     # a function without input is a panel, one with an input a view of its type
title = "{title}"
function = "counter"
""",
    "player.py": '''\
"""The Motif {name}: a panel with a button."""

from __future__ import annotations

from symphony.sdk import Context, player
from symphony.sdk.ui import h


@player.function(outputs=[])
def counter(ctx: Context) -> None:
    """A panel that counts how often its button was pressed, for as long as it is open."""
    pressed = 0
    while True:
        times = "once" if pressed == 1 else f"{{pressed}} times"
        ctx.ui(h("Stack", h("Text", f"Pressed {{times}}"), h("Button", key="press", label="Press")))
        if ctx.event()["key"] == "press":
            pressed += 1


player.serve()
''',
    "tests/test_player.py": """\
import unittest
from pathlib import Path

from symphony.sdk import Cancelled
from symphony.sdk.testing import Harness

ENTRY = Path(__file__).parents[1] / "player.py"


class Counter(unittest.TestCase):
    def test_it_counts_until_it_is_closed(self):
        harness = Harness(ENTRY)
        harness.host.coming = [{{"key": "press", "name": "press", "value": None}}]
        with self.assertRaises(Cancelled):
            harness.call("counter")
        shown = [str(body["tree"]) for body in harness.host.reported("ui")]
        self.assertEqual(["0 times" in shown[0], "once" in shown[1]], [True, True])


if __name__ == "__main__":
    unittest.main()
""",
}

TEMPLATES = {"operator": OPERATOR, "instrument": INSTRUMENT, "motif": MOTIF}
DESCRIPTIONS = {
    "operator": "Counts words",
    "instrument": "Writes headlines",
    "motif": "A panel with a button",
}
