"""Where each key of a TOML, YAML or JSON text stands, so that an error can name line and column.

Only used once something is wrong: the quick parsers keep no positions, so the text is walked again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from symphony.config.yaml_text import check_yaml

Path = tuple[str | int, ...]
Position = tuple[int, int]
Positions = dict[Path, Position]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d\d:[^\s,\]}#]+)?")
_SYNTAX = re.compile(r"\(at line (\d+), column (\d+)\)")


def locate(positions: Positions, path: Sequence[str | int]) -> Position | None:
    """The position of `path`, or of the nearest thing that holds it."""
    key = tuple(path)
    while key:
        if key in positions:
            return positions[key]
        key = key[:-1]
    return positions.get(())


def toml_error_position(error: Exception, text: str) -> Position:
    """Line and column that a `tomllib.TOMLDecodeError` of `text` speaks of."""
    match = _SYNTAX.search(str(error))
    if match:
        return int(match[1]), int(match[2])
    lines = text.splitlines() or [""]
    return len(lines), len(lines[-1]) + 1


def toml_positions(text: str) -> Positions:
    """Positions of all keys and array items of a TOML text that `tomllib` accepts."""
    return _TomlWalker(text).walk()


def yaml_positions(text: str) -> Positions:
    """Positions of all keys and items of a YAML or JSON text; empty when it cannot be parsed."""
    import yaml

    positions: Positions = {(): (1, 1)}
    try:
        check_yaml(text)
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return positions
    todo: list[tuple[Any, Path]] = [(root, ())]
    while todo:
        node, path = todo.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*path, str(key.value))
                positions[here] = (key.start_mark.line + 1, key.start_mark.column + 1)
                todo.append((value, here))
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                here = (*path, index)
                positions[here] = (value.start_mark.line + 1, value.start_mark.column + 1)
                todo.append((value, here))
    return positions


class _TomlWalker:
    """Walks a TOML text that is known to be valid and notes where keys and items begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.positions: Positions = {(): (1, 1)}
        self.array_lengths: dict[Path, int] = {}

    def walk(self) -> Positions:
        table: Path = ()
        while self._skip_blank():
            if self.text.startswith("[[", self.at):
                table = self._header(2)
            elif self.text[self.at] == "[":
                table = self._header(1)
            else:
                self._pair(table)
        return self.positions

    def _note(self, path: Path) -> None:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1
        self.positions.setdefault(path, (line, column))

    def _skip_blank(self) -> bool:
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r\n,":
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return True
        return False

    def _header(self, brackets: int) -> Path:
        start = self.at
        self.at += brackets
        parts = self._keys()
        self.at += brackets
        path: Path = ()
        for index, part in enumerate(parts):
            path = (*path, part)
            if path in self.array_lengths and not (brackets == 2 and index == len(parts) - 1):
                path = (*path, self.array_lengths[path] - 1)
        end, self.at = self.at, start
        for length in range(1, len(path) + 1):
            self._note(path[:length])
        if brackets == 2:
            count = self.array_lengths.get(path, 0)
            self.array_lengths[path] = count + 1
            path = (*path, count)
            self._note(path)
        self.at = end
        return path

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip_spaces()
            keys.append(self._key())
            self._skip_spaces()
            if self.text[self.at : self.at + 1] != ".":
                return keys
            self.at += 1

    def _skip_spaces(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t") and self.at < len(self.text):
            self.at += 1

    def _key(self) -> str:
        if self.text[self.at] in "\"'":
            start = self.at
            self._string()
            return self.text[start + 1 : self.at - 1]
        match = _BARE.match(self.text, self.at)
        if match is None:  # not reached for valid TOML; ends the walk rather than looping
            self.at = len(self.text)
            return ""
        self.at = match.end()
        return match[0]

    def _pair(self, table: Path) -> None:
        start = self.at
        path = (*table, *self._keys())
        end, self.at = self.at, start
        for length in range(len(table) + 1, len(path) + 1):
            self._note(path[:length])
        self.at = end + 1  # the equals sign
        self._skip_spaces()
        self._value(path)

    def _value(self, path: Path) -> None:
        character = self.text[self.at : self.at + 1]
        if character in ('"', "'"):
            self._string()
        elif character == "[":
            self.at += 1
            index = 0
            while self._skip_blank() and self.text[self.at] != "]":
                self._note((*path, index))
                self._value((*path, index))
                index += 1
            self.at += 1
        elif character == "{":
            self.at += 1
            while self._skip_blank() and self.text[self.at] != "}":
                self._pair(path)
            self.at += 1
        else:
            match = _SCALAR.match(self.text, self.at)
            self.at = match.end() if match else len(self.text)

    def _string(self) -> None:
        quote = self.text[self.at]
        long = self.text.startswith(quote * 3, self.at)
        end = quote * 3 if long else quote
        self.at += len(end)
        while self.at < len(self.text) and not self.text.startswith(end, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(end)
        while long and self.text.startswith(quote, self.at):  # quotes just before the closing three
            self.at += 1
