"""Paths that a prompt mentions: files and folders of the project, globs, and files that shall be written."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from conductor.context import ProjectFacts
from conductor.params.languages import LANGUAGES
from conductor.words import fold

_GLOB = re.compile(r"(?<![\w`])(?:[\w.-]+/)*(?:\*\*?/)*[\w.-]*\*[\w.*/-]*")
_WRITTEN = re.compile(
    r"(?<![\w@:/.-])(?:\.{0,2}/)?(?:[\w.@+-]+/)*[\w@+-][\w.@+-]*\.[A-Za-z][A-Za-z0-9]{0,9}(?![\w/])"
)
_FOLDER = re.compile(r"(?<![\w:/@.])(?:\.{0,2}/)?[\w.@-]+/(?:[\w.@-]+/)*[\w.@-]*")
_NAMED_FOLDER = re.compile(
    r"\b(?:(?:in|under|inside|within|below|of|from|for|on|across|im|unter|für|dans|pour|en|para|"
    r"(?:limit(?:ed)?|restrict(?:ed)?|narrow(?:ed)?)\s+(?:it\s+|them\s+|this\s+|that\s+)?(?:down\s+)?to)\s+(?:the\s+|my\s+|our\s+|le\s+|la\s+|el\s+|dem\s+)?)"
    r"(?P<a>(?!(?:folder|directory|dir|ordner|verzeichnis|dossier|carpeta)\s)[\w.-]+)(?:\s+(?:folder|directory|dir|module|package|ordner|verzeichnis|dossier|carpeta))?\b|"
    r"\b(?:the\s+)?(?P<b>(?!(?:in|im|of|under|inside|within|from|de|du|del|dans|en|unter)\s)[\w.-]+)\s+(?:folder|directory|dir|ordner|"
    r"verzeichnis)\b|"
    r"\b(?:ordner|verzeichnis|dossier|carpeta|folder|directory)\s+(?P<c>[\w.-]+)",
    re.IGNORECASE,
)
_NAMED_FILE = re.compile(
    r"\b(?:the|my|our|this|die|das|den|le|la|el)\s+(?P<a>[\w.-]+?)(?:\s+(?:file|datei|fichier|archivo))?\b|"
    r"\b(?P<b>[A-Z][A-Z]{3,})\b",
    re.IGNORECASE,
)
_NAMED_TABLE = re.compile(
    r"\b(?P<name>[^\W\d_]{3,})[\s-]*(?:csv|tsv|json|xml|sheet|spreadsheet|table|data|dataset|numbers|figures|export|file|dump|"
    r"zahlen|daten|tabelle|datei)\b|"
    r"\b(?:tableau|données|fichier|chiffres|tabla|datos|hoja|archivo|fichero)\s+(?:des?|del?|d['’]|der)?\s*(?:l[ae]s?\s+|los\s+)?"
    r"(?P<other>[^\W\d_]{3,})",
    re.IGNORECASE,
)
"""`the sales sheet`: a table of the project by its name and what it is."""
TABLE_ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".xml")
_ENDING = re.compile(
    r"(?<![\w.*])\.(?P<v>[a-z][a-z0-9]{0,5})\s+(?:files?|dateien?|fichiers|archivos)\b", re.IGNORECASE
)

_SHORT = re.compile(r"(?<![\w./-])[b-df-hj-np-tv-z]{2,5}(?![\w/-]|\.\w)")
"""`src`: a name without vowels is no word, and stands for the folder wherever it is said."""

_BESIDE = re.compile(
    r"\s*(?:,|\band\b|\bor\b|\bwith\b|\bvs\.?|\bversus\b|\bund\b|\bmit\b|\bet\b|\bavec\b|\by\b|\bcon\b|&)\s*"
    r"(?:the\s+|of\s+|in\s+)*(?P<name>[\w./-]*\w)",
    re.IGNORECASE,
)
"""What stands beside a folder or file and may be another: `src and docs`."""
_WRITTEN_TO = re.compile(
    r"\b(?:to|into|as|called|named|nach|als|vers|comme|como)\s+(?:the\s+|a\s+)?(?:file\s+)?[`'\"]?$",
    re.IGNORECASE,
)
"""What comes before the name of a file that shall be written: that one may be new."""
_KNOWN = mimetypes.MimeTypes()
"""What Python itself knows of endings, whatever the machine adds."""
_ENDINGS = frozenset(LANGUAGES.values()) | frozenset(
    (
        "log", "cfg", "ini", "conf", "lock", "env", "out", "err", "dat", "rst", "tex", "proto", "gradle", "kts", "cc",
        "hpp", "hh", "mjs", "cjs", "jsx", "vue", "scss", "sass", "less", "bat", "ps1", "ipynb", "parquet", "sqlite",
        "db", "ndjson", "jsonl", "patch", "diff", "yml",
    )
)  # fmt: skip
"""Of files that developers have, and that Python's table does not know."""
MOST_READINGS = 6
"""So many files that the same words may mean are told apart."""


@dataclass(frozen=True, slots=True)
class PathMention:
    """A path in the prompt: a `path` is a file, a `folder` a folder of the project, a `glob` a pattern."""

    kind: Literal["path", "folder", "glob"]
    value: str
    start: int
    end: int
    others: tuple[str, ...] = ()
    """Files of the project that the same words may mean."""


@lru_cache(maxsize=8)
def _names(files: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str], frozenset[str]]:
    """Of the project's files: base name to path, name without ending to path, and all folders.

    The shortest path wins where names repeat.
    """
    by_name: dict[str, str] = {}
    by_stem: dict[str, str] = {}
    folders: set[str] = set()
    for path in sorted(files, key=lambda f: (f.count("/"), len(f), f)):
        name = path.rpartition("/")[2]
        by_name.setdefault(fold(name), path)
        by_stem.setdefault(fold(name.partition(".")[0]), path)
        parent = path.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    return by_name, by_stem, frozenset(folders)


def path_mentions(prompt: str, project: ProjectFacts | None) -> list[PathMention]:
    """All paths in the prompt, none overlapping another, by place.

    A path that looks like a file is kept as it stands even when the project has none of that name (it
    may be written, or lie outside of the sample); a bare word is a path only when the project has it.
    """
    files: Sequence[str] = project.files if project is not None else ()
    by_name, by_stem, folders = _names(tuple(files))
    found: list[PathMention] = []

    def add(
        kind: Literal["path", "folder", "glob"], value: str, start: int, end: int, others: Sequence[str] = ()
    ) -> None:
        if value and all(end <= p.start or start >= p.end for p in found):
            found.append(PathMention(kind, value, start, end, tuple(others)))

    for match in _GLOB.finditer(prompt):
        add("glob", match.group(), *match.span())
    for match in _ENDING.finditer(prompt):
        add("glob", f"**/*.{match.group('v').lower()}", *match.span())
    for match in _WRITTEN.finditer(prompt):
        is_address = "@" in match.group() and "/" not in match.group()
        if not is_address and not re.fullmatch(r"[vV]?\d+(\.\w+)+|e\.g|i\.e|\w+\.(?:\w\.)+", match.group()):
            is_new = _WRITTEN_TO.search(prompt[: match.start()]) is not None
            if not is_new and _is_attribute(match.group(), tuple(files)):
                continue
            path, *others = _resolved(match.group(), tuple(files), by_name, may_slip=not is_new)
            add("path", path, *match.span(), others=others)
    for match in _FOLDER.finditer(prompt):
        value = match.group().removeprefix("./").rstrip("/")
        if value in folders:
            add("folder", value, *match.span())
        elif value in files:
            add("path", value, *match.span())
        elif match.group().endswith("/"):
            add("folder", _resolved_folder(value, folders), *match.span())
    for match in _NAMED_FOLDER.finditer(prompt):
        group = next(g for g in "abc" if match.group(g) is not None)
        name = match.group(group).strip("./")
        if name in folders:
            add("folder", name, match.start(group), match.end(group))
        elif name.lower() in folders:
            add("folder", name.lower(), match.start(group), match.end(group))
    for match in _SHORT.finditer(prompt):
        if match.group() in folders:
            add("folder", match.group(), *match.span())
    for match in _NAMED_FILE.finditer(prompt):
        group = "a" if match.group("a") is not None else "b"
        name = fold(match.group(group))
        if len(name) >= 4 and name in by_name:
            add("path", by_name[name], match.start(group), match.end(group))
        elif len(name) >= 4 and name in by_stem and _is_document(match.group(group), by_stem[name]):
            add("path", by_stem[name], match.start(group), match.end(group))
    tables = {name: path for name, path in by_stem.items() if path.endswith(TABLE_ENDINGS)}
    for match in _NAMED_TABLE.finditer(prompt) if tables else ():
        group = "name" if match.group("name") is not None else "other"
        if (table := tables.get(fold(match.group(group)))) is not None:
            add("path", table, *match.span())
    for match in _BESIDE.finditer(prompt):
        if not any(p.kind != "glob" and p.end == match.start() for p in found):
            continue
        name = match.group("name").strip("./")
        if name in folders:
            add("folder", name, *match.span("name"))
        elif name in files or fold(name) in by_name:
            add("path", name if name in files else by_name[fold(name)], *match.span("name"))
    return sorted(found, key=lambda p: p.start)


def _resolved(written: str, files: tuple[str, ...], by_name: dict[str, str], *, may_slip: bool) -> list[str]:
    """A file as written, or the project's files that the words may mean, likeliest first: those of that name
    in a folder or in another case, and with `may_slip` those that are misspelt.
    """
    path = written.removeprefix("./")
    if path in files or not files:
        return [path]
    ending = sorted((f for f in files if f.endswith("/" + path)), key=lambda f: (f.count("/"), len(f), f))
    if ending:
        return ending[:MOST_READINGS]
    if "/" not in path and fold(path) in by_name:
        return [by_name[fold(path)]]
    return (_misspelt(path, files) if may_slip else []) or [path]


@lru_cache(maxsize=256)
def _misspelt(path: str, files: tuple[str, ...]) -> list[str]:
    """The files whose name or path differs from `path` by a slip of the fingers; none that is just new."""
    # Imported here: only a name that the project does not have is worth it.
    from rapidfuzz import process
    from rapidfuzz.distance import DamerauLevenshtein

    name = path.rpartition("/")[2]
    alike = {f: fold(f if "/" in path else f.rpartition("/")[2]) for f in files if f[-1:] == path[-1:]}
    slips = 1 if len(name) < 8 else 2
    ranked = process.extract(
        fold(path), alike, scorer=DamerauLevenshtein.distance, score_cutoff=slips, limit=MOST_READINGS
    )
    # `test_2.py` beside `test_1.py` is another file, not a slip.
    return [f for _, distance, f in ranked if distance == ranked[0][1] and _digits(f) == _digits(path)]


@lru_cache(maxsize=256)
def _is_attribute(written: str, files: tuple[str, ...]) -> bool:
    """Whether `requests.get` is code: no file of the project is called so, and none anywhere ends so."""
    stem, _, ending = written.rpartition(".")
    if not files or "/" in written or not (stem.isidentifier() and ending.isidentifier()):
        return False
    endings = {path.rpartition(".")[2].lower() for path in files} | _ENDINGS
    return ending.lower() not in endings and f".{ending.lower()}" not in _KNOWN.types_map[True]


def _digits(text: str) -> str:
    return "".join(c for c in text.rpartition("/")[2] if c.isdigit())


def _resolved_folder(written: str, folders: frozenset[str]) -> str:
    """A folder as written, or the project's folder that ends so."""
    ending = [f for f in folders if f.endswith("/" + written)]
    return min(ending, key=lambda f: (f.count("/"), f)) if ending and written not in folders else written


def _is_document(word: str, path: str) -> bool:
    """Whether a bare word may name a file: `README`, `the changelog`, not `the code` for `code.py`."""
    return path.rpartition("/")[2].partition(".")[0].isupper() or word.isupper()
