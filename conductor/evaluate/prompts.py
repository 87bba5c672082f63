"""Natural prompts over the bundled Players: how many are served right, refused or accepted wrongly, by language."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from conductor.context import ComposeContext, Composition, ProjectFacts
from conductor.core import Conductor
from conductor.evaluate.lines import read_lines
from conductor.params.languages import LANGUAGES
from symphony.errors import BadInput
from symphony.stage.manifest import load_manifest
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

Line = dict[str, Any]

ARMS = ("policy", "uniform", "cosine")
ENCODER, EXTENSIONS = Path("build/encoder"), Path("extensions")
MOST_FILES = 20_000
DRAWS = 2_000
"""Of the bootstrap behind the interval."""
USUAL = {
    "de": "der die das und ein eine mit im für welche zeig bitte wie aus alle sind mir den ist als nach",
    "fr": "le la les des une et avec dans pour quels quelles du est au sur qui moi un fais sont",
    "es": "el los las una y con en para qué cuáles del muestra por que un haz son más al",
    "en": "the and a of in with for which show what how to my me is are by all from that",
}
"""Words by which the language of a prompt is told where its line does not name it."""


_SPAN = re.compile(r"(?P<count>\d+)(?P<unit>[smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--file", type=Path, required=True, help="lines with prompt, possible, essential, …")
    parser.add_argument("--arm", choices=ARMS, help="only this one; all without")
    parser.add_argument("--extensions", type=Path, default=EXTENSIONS, help="a folder of bundled extensions")
    parser.add_argument("--encoder", type=Path, default=ENCODER)
    parser.add_argument(
        "--project", type=Path, help="the folder that prompts are about whose lines name none"
    )
    parser.add_argument(
        "--now", type=datetime.fromisoformat, help="the time of the prompts, as 2026-07-15T12:00"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Composes every prompt with each arm. Raises BadInput for lines that cannot be read."""
    lines = read_lines(options.file, "prompt", "possible")
    if not lines:
        raise BadInput(f"{options.file} holds no prompt", remedy="give one prompt a line")
    functions, lattice = bundled_players(options.extensions)
    conductor = Conductor.load(options.encoder)
    conductor.index(functions, lattice)
    usual = facts_of(options.project) if options.project is not None else None
    contexts = [
        ComposeContext(project=project_of(line.get("project"), options.file) or usual, now=options.now)
        for line in lines
    ]
    arms = (options.arm,) if options.arm else ARMS
    found: dict[str, Any] = {}
    right: dict[str, list[bool]] = {}
    for arm in arms:
        made = [
            conductor.compose(str(line["prompt"]), c, arm=arm)
            for line, c in zip(lines, contexts, strict=True)
        ]
        found[arm] = shares(lines, made)
        languages = [language_of(line) for line in lines]
        found[arm]["by_language"] = {
            language: shares(*_only(lines, made, [one == language for one in languages]))
            for language in sorted(set(languages))
        }
        right[arm] = [not faults(line, one) for line, one in zip(lines, made, strict=True)]
    if "policy" in right and "uniform" in right:
        found["policy_above_uniform"] = paired_difference(right["policy"], right["uniform"])
    return found


def faults(line: Line, composition: Composition) -> list[str]:
    """Why a composition does not serve its prompt; empty when it does.

    Right is: every essential Player or one of its alternatives, no forbidden one, the parameters as
    expected where their Player stands, at most two steps more, and what is impossible is refused or named.
    """
    if composition.possible != line["possible"]:
        return [f"possible is {composition.possible}: {composition.missing}"]
    if not composition.possible or composition.melody is None:
        return []
    nodes = composition.melody["nodes"]
    players = [node["player"] for node in nodes]
    essential = line.get("essential", [])
    found = [f"lacks {' or '.join(a)}" for a in essential if not set(a) & set(players)]
    found += [f"uses {name}" for name in line.get("forbidden", []) if name in players]
    for key, value in line.get("params", {}).items():
        player, _, name = key.rpartition(".")
        given = [node["params"].get(name) for node in nodes if node["player"] == player]
        if given and not any(_is_same(one, value) for one in given):
            found.append(f"{key} is {given}, not {value}")
    if len(players) > len(essential) + 2:
        found.append(f"adds more than two steps: {players}")
    for word in line.get("missing", []):
        if not any(word.lower() in text.lower() for text in composition.missing):
            found.append(f"does not say that {word} is missing: {composition.missing}")
    return found


def _is_same(given: Any, wanted: Any) -> bool:
    """Whether two values say the same: `14d` is `2w`."""
    spans = [_SPAN.fullmatch(value) if isinstance(value, str) else None for value in (given, wanted)]
    if spans[0] is None or spans[1] is None:
        return bool(given == wanted)
    seconds = [int(span["count"]) * _SECONDS[span["unit"]] for span in spans if span is not None]
    return seconds[0] == seconds[1]


def shares(lines: Sequence[Line], made: Sequence[Composition]) -> dict[str, Any]:
    """Of all prompts those served right; of the possible those refused; of the impossible those accepted."""
    pairs = list(zip(lines, made, strict=True))
    possible = [one.possible for line, one in pairs if line["possible"]]
    impossible = [one.possible for line, one in pairs if not line["possible"]]
    return {
        "n": len(pairs),
        "right": _share([not faults(line, one) for line, one in pairs]),
        "wrongly_refused": _share([not one for one in possible]),
        "wrongly_accepted": _share(impossible),
    }


def _share(marks: Sequence[bool]) -> float | None:
    return round(sum(marks) / len(marks), 4) if marks else None


def _only(
    lines: Sequence[Line], made: Sequence[Composition], keep: Sequence[bool]
) -> tuple[list[Line], list[Composition]]:
    rows = [k for k, kept in enumerate(keep) if kept]
    return [lines[k] for k in rows], [made[k] for k in rows]


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> dict[str, float]:
    """By how many points the first is right more often, with a 95 % interval (paired bootstrap, seed 0)."""
    import numpy as np

    gains = 100.0 * (np.array(first, dtype=float) - np.array(second, dtype=float))
    drawn = np.random.default_rng(0).integers(0, len(gains), (DRAWS, len(gains)))
    low, high = np.percentile(gains[drawn].mean(axis=1), [2.5, 97.5])
    return {
        "points": round(float(gains.mean()), 2),
        "low": round(float(low), 2),
        "high": round(float(high), 2),
    }


def language_of(line: Line) -> str:
    """The language that a line names, or that most of its usual words belong to; English when none do."""
    if line.get("language"):
        return str(line["language"])
    words = re.findall(r"[^\W\d_]+", str(line["prompt"]).lower())
    counts = {language: sum(w in usual.split() for w in words) for language, usual in USUAL.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] > counts["en"] else "en"


def bundled_players(folder: Path) -> tuple[list[FunctionSpec], TypeLattice]:
    """The Players of all extensions in a folder, and their types. Raises BadInput when there are none."""
    functions: list[FunctionSpec] = []
    lattice = TypeLattice()
    for file in sorted(folder.glob("*/Symphony.toml")):
        manifest = load_manifest(file)
        functions += manifest.functions
        lattice.declare(manifest.types)
    if not functions:
        raise BadInput(f"There is no extension in {folder}", remedy="name the folder with --extensions")
    return functions, lattice


def project_of(given: Any, file: Path) -> ProjectFacts | None:
    """A line's project: facts as an object, or a folder, from where the file lies if that is no whole path.

    It counts as a git repository unless an object says that it is none: a folder that lies beside such lines, in a
    repository itself, cannot have a `.git`.
    """
    if given is None:
        return None
    if isinstance(given, dict):
        known = {k: v for k, v in given.items() if k in ProjectFacts.__slots__}
        return ProjectFacts(**{"is_git": True, **known})
    return facts_of(file.parent / str(given))


def facts_of(folder: Path) -> ProjectFacts:
    """What the names in a folder say of it. Raises BadInput when it is none."""
    if not folder.is_dir():
        raise BadInput(
            f"The project {folder} is no folder", remedy="name one, or give its facts as an object"
        )
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(".git/"):
            files.append(name)
        if len(files) == MOST_FILES:
            break
    endings = [name.rpartition(".")[2] for name in files]
    languages = {n: endings.count(e) for n, e in LANGUAGES.items() if e in endings}
    heads = folder / ".git" / "refs" / "heads"
    branches = tuple(h.relative_to(heads).as_posix() for h in sorted(heads.rglob("*")) if h.is_file())
    return ProjectFacts(str(folder), True, languages, tuple(files), branches)
