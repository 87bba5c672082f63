"""Past requests as they are written down, and as they are understood."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from conductor.gloss import glossed, language_of
from conductor.params.mentions import plain_request

FILE_NAME = "requests.jsonl"
"""In the folder of the bundled extensions."""
_GLOSSED = ("en", "de", "fr", "es")


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked, and the Players that served it in the order of the data; none for what nobody serves."""

    prompt: str
    language: str
    players: tuple[str, ...]
    missing: str = ""
    """The words of the half that nobody serves."""

    @property
    def english(self) -> str:
        """The prompt in English, word by word."""
        language = self.language if self.language in _GLOSSED else language_of(self.prompt)
        return self.prompt if language == "en" else glossed(self.prompt, language)

    @property
    def plain(self) -> str:
        """The prompt as the encoder understands it."""
        return plain_request(self.english)


def read_requests(file: Path) -> list[Request]:
    """The requests of a file of JSON lines with `prompt`, `language`, `players`. Raises OSError, ValueError."""
    lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return [
        Request(str(one["prompt"]), str(one["language"]), tuple(one["players"]), str(one.get("missing", "")))
        for one in lines
    ]


def shipped_requests(extensions: Path) -> list[Request]:
    """Those that lie in a folder of extensions; none where it has no such file. Raises as `read_requests`."""
    file = extensions / FILE_NAME
    return read_requests(file) if file.is_file() else []
