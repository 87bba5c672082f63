"""What commands print: one JSON document, or text for people; errors as one line on standard error."""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from symphony.errors import SymphonyError

SHOWN_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class Mode:
    """The options that every command takes."""

    json: bool
    yes: bool
    verbose: bool

    def show(self, document: Any, text: Callable[[], None]) -> None:
        """Prints the JSON document with `--json`, else what `text` prints."""
        if self.json:
            print_json(document)
        else:
            text()


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json`, `--yes` and `--verbose`; the function gets them as its first argument, a Mode."""

    @click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document.")
    @click.option("--yes", is_flag=True, help="Agree to what would be asked.")
    @click.option("--verbose", is_flag=True, help="Say more, also about errors.")
    @functools.wraps(function)
    def with_mode(*args: Any, as_json: bool, yes: bool, verbose: bool, **kwargs: Any) -> Any:
        return function(Mode(as_json, yes, verbose), *args, **kwargs)

    return with_mode


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=None)
    sys.stdout.write("\n")
    sys.stdout.flush()


def plain(text: str) -> str:
    """Words of a Player or a file without what would command the terminal."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def say(text: str = "", *, nl: bool = True, err: bool = False) -> None:
    """Prints for people. What Players and files say commands no terminal; a pipe or a file gets every byte."""
    stream = sys.stderr if err else sys.stdout
    click.echo(plain(text) if stream.isatty() else text, nl=nl, err=err)


def note(text: str) -> None:
    """A line for people, on standard error."""
    say(text, err=True)


def fail(error: SymphonyError, as_json: bool, verbose: bool) -> NoReturn:
    """Prints an error and ends with its exit code."""
    if as_json:
        print_json({"error": error.to_json()})
    else:
        note(f"symphony: {_one_line(str(error))}")
        for finding in error.findings[:SHOWN_FINDINGS]:
            note(f"  {_one_line(describe(finding))}")
        if len(error.findings) > SHOWN_FINDINGS:
            note(f"  and {len(error.findings) - SHOWN_FINDINGS} more; --json has them all")
    if verbose:
        traceback.print_exception(error)
    sys.exit(error.exit_code)


def describe(finding: dict[str, Any]) -> str:
    """A finding in one line: where, what, what to do."""
    place = finding.get("node") or finding.get("edge") or finding.get("key") or ""
    if finding.get("line"):
        place = f"line {finding['line']}, column {finding.get('column', 1)} {place}".strip()
    text = finding.get("message") or finding.get("words") or ""
    remedy = finding.get("remedy")
    return (f"{place}: " if place else "") + str(text) + (f"; {remedy}" if remedy else "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
