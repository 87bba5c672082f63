"""A registry of ten thousand extensions, signed as a real one is; nothing of it can be installed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from symphony.kit.registry import FORMAT, INDEX_FILE, SIGNATURE_FILE, TRUSTED_FILE
from symphony.kit.signing import INDEX, new_key, public_key, sign

STEMS = (
    "release",
    "note",
    "commit",
    "diagram",
    "license",
    "table",
    "report",
    "chart",
    "image",
    "audio",
    "video",
    "map",
)
WORDS = [*STEMS, *(f"{stem}{number}" for stem in STEMS for number in range(200))]
"""A vocabulary as wide as that of ten thousand descriptions."""


def write_registry(folder: Path, count: int) -> Path:
    """`count` extensions of one function each, with names, descriptions and examples of words drawn by a fixed seed."""
    chance = random.Random(7)
    rows = [_row(number, chance) for number in range(count)]
    index = json.dumps({"format": FORMAT, "extensions": rows}).encode()
    key = new_key()
    folder.mkdir(parents=True)
    (folder / INDEX_FILE).write_bytes(index)
    (folder / SIGNATURE_FILE).write_text(sign(key, INDEX, index), "ascii")
    (folder / TRUSTED_FILE).write_text(public_key(key), "ascii")
    return folder


def _row(number: int, chance: random.Random) -> dict[str, Any]:
    name, version = f"publisher{number % 500}/{chance.choice(WORDS)}-{number}", "1.0.0"
    sentence = " ".join(chance.choices(WORDS, k=8))
    function = {
        "name": "run",
        "description": sentence,
        "examples": [" ".join(chance.choices(WORDS, k=5)) for _ in range(8)],
        "inputs": {"text": "text"},
        "outputs": {"out": "text"},
        "params": {},
    }
    return {
        "name": name,
        "version": version,
        "file": f"{name.replace('/', '-')}-{version}.symphony",
        "size": 1000,
        "sha256": f"{number:064x}",
        "manifest": {
            "extension": {
                "name": name,
                "version": version,
                "type": "operator",
                "description": sentence,
                "license": "MIT",
                "runtime": "python",
                "entry": "player.py",
            },
            "functions": [function],
        },
    }
