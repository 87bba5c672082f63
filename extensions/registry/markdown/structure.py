"""Reads headings and links out of Markdown with a CommonMark parser."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; `anchor` is the name under which GitHub links to it."""

    level: int
    text: str
    anchor: str
    line: int


@dataclass(frozen=True, slots=True)
class Link:
    """A link or picture; `line` is where its paragraph begins."""

    target: str
    text: str
    line: int


def parser() -> Any:
    """CommonMark with tables, strike-through and task lists; HTML in the source is shown, not run."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.tasklists import tasklists_plugin

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).use(tasklists_plugin)


def headings(text: str) -> list[Heading]:
    """All headings in their order; anchors that repeat are numbered as GitHub does."""
    tokens, seen, found = parser().parse(text), Counter[str](), []
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        shown = _shown(inline)
        slug = anchor(shown)
        number = seen[slug]
        seen[slug] += 1
        line = opening.map[0] + 1 if opening.map else 0
        found.append(Heading(int(opening.tag[1]), shown, f"{slug}-{number}" if number else slug, line))
    return found


def links(text: str) -> list[Link]:
    """All links and pictures."""
    found = []
    for token in parser().parse(text):
        if token.type != "inline":
            continue
        line = token.map[0] + 1 if token.map else 0
        children = token.children or []
        for place, child in enumerate(children):
            if child.type == "link_open":
                label = "".join(
                    c.content for c in children[place + 1 : place + 4] if c.type in ("text", "code_inline")
                )
                found.append(Link(str(child.attrs.get("href", "")), label, line))
            elif child.type == "image":
                found.append(Link(str(child.attrs.get("src", "")), child.content, line))
    return found


def anchor(text: str) -> str:
    """GitHub's anchor of a heading: lower case, no punctuation, hyphens for spaces."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.strip().lower()))


def _shown(inline: Any) -> str:
    kinds = ("text", "code_inline", "image")
    return "".join(child.content for child in inline.children or [] if child.type in kinds)
