"""The command that a prompt asks to run: as written, or the one that a project of this make uses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from conductor.context import ProjectFacts
from conductor.params.mentions import Mention
from conductor.words import fold

_PROGRAMS = (
    r"(?:make|cmake|ninja|npm|npx|pnpm|yarn|node|deno|bun|cargo|rustc|go|python3?|pip|uv|poetry|tox|nox|pytest|"
    r"ruff|mypy|black|git|docker|bash|sh|ls|cat|echo|grep|find|du|df|wc|tree|gcc|clang|javac|java|mvn|gradle|"
    r"bundle|rake|ruby|php|composer|dotnet|swift|just|pre-commit|eslint|tsc|jest|vitest)"
)
_INLINE = re.compile(
    rf"(?:\b(?:run|execute|start|call|command|starte|führe|lance|exécute|ejecuta|corre)\s+(?:the\s+|den\s+|la\s+)?"
    rf"(?:command\s+|befehl\s+|commande\s+|comando\s+)?)(?P<c>(?:{_PROGRAMS}|\.{{0,2}}/?[\w.-]+/[\w./-]+\.(?:sh|py|js|rb|pl))"
    rf"(?:\s+(?!(?:and|und|et|y|then|in|on|please|aus|for|to|with|from)\b)[\w./:=*@+-]+)*)(?=\s|$|[.,;?!])",
)
_TYPED = re.compile(
    rf"^\s*(?P<c>{_PROGRAMS}(?:\s+(?!(?:a|an|the|all|every|me|my|our|of|for|in|and|with|to|from|on|as|it|this)\b)[\w./:=*@+-]+){{1,5}})\s*[.!?]?\s*$"
)
"""A whole prompt as it would be typed in a terminal; `make a chart` and `find dead code` are none, see below."""
_VERBS = frozenset(("make", "find", "go", "cat", "echo", "just"))
_SCRIPT = re.compile(r"(?<![\w/])(?P<c>\.{0,2}/?(?:[\w.-]+/)+[\w.-]+\.(?:sh|py|js|rb))\b")

_PURPOSES = {
    "test": "test tests testing testsuite unittests pytest pruefe testen pruebas essais",
    "build": "build builds compile compiles bauen baut uebersetze kompiliere compila construire construye",
    "check": "check checks verify typecheck",
    "format": "format formatter",
    "install": "install dependencies",
}
_PURPOSE = {word: purpose for purpose, words in _PURPOSES.items() for word in words.split()}

_CONVENTIONS: Sequence[tuple[str, dict[str, list[str]]]] = (
    ("Cargo.toml", {"test": ["cargo", "test"], "build": ["cargo", "build"], "check": ["cargo", "check"],
                    "format": ["cargo", "fmt"]}),
    ("go.mod", {"test": ["go", "test", "./..."], "build": ["go", "build", "./..."], "check": ["go", "vet", "./..."],
                "format": ["go", "fmt", "./..."]}),
    ("package.json", {"test": ["npm", "test"], "build": ["npm", "run", "build"], "install": ["npm", "ci"]}),
    ("pom.xml", {"test": ["mvn", "test"], "build": ["mvn", "package"]}),
    ("pyproject.toml", {"test": ["python3", "-m", "pytest"], "build": ["python3", "-m", "build"]}),
    ("setup.py", {"test": ["python3", "-m", "pytest"], "build": ["python3", "setup.py", "build"]}),
    ("Makefile", {"test": ["make", "test"], "build": ["make"], "check": ["make", "check"],
                  "install": ["make", "install"]}),
)  # fmt: skip
"""What a file at the top of a project says about its commands; the first that has one for the purpose."""


def command_of(
    prompt: str, clause: str, quoted: Sequence[Mention], project: ProjectFacts | None
) -> list[str] | None:
    """The command's words, or None when the prompt asks for none that can be known."""
    for mention in quoted:
        return _split(mention.value)
    typed = _TYPED.match(prompt)
    if typed is not None and _is_typed(typed.group("c").split(), project):
        return _split(typed.group("c"))
    for text in (clause, prompt):
        for pattern in (_INLINE, _SCRIPT):
            match = pattern.search(text)
            if match is not None:
                return _split(match.group("c"))
    for text in (clause, prompt):
        words = [_PURPOSE[w] for w in re.findall(r"\w+", fold(text)) if w in _PURPOSE]
        if words:
            return _conventional(words[0], project)
    return None


def _is_typed(words: Sequence[str], project: ProjectFacts | None) -> bool:
    """Whether words are a command and no sentence: the program is no everyday verb, or is used like a program."""
    if words[0] not in _VERBS:
        return True
    if any(word.startswith("-") for word in words[1:]):
        return True
    has_rules = project is not None and "Makefile" in project.files
    return words[0] == "make" and len(words) == 2 and has_rules


def _split(command: str) -> list[str] | None:
    try:
        return shlex.split(command) or None
    except ValueError:
        return command.split() or None


def _conventional(purpose: str, project: ProjectFacts | None) -> list[str] | None:
    """The project's usual command for a purpose, by the files at its top."""
    if project is None:
        return None
    top = {path for path in project.files if "/" not in path}
    for marker, commands in _CONVENTIONS:
        if marker in top and purpose in commands:
            return commands[purpose]
    # Tests without any project file: what is written in Python is run by pytest.
    if purpose == "test" and any(re.search(r"(^|/)test_\w+\.py$", path) for path in project.files):
        return ["python3", "-m", "pytest"]
    return None
