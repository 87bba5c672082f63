"""The Melodies that can be played: drafts in memory, saved ones in the Polyphony Store."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

from symphony.app.extensions import Extensions
from symphony.app.limits import findings_of, play_limits
from symphony.config import Configuration
from symphony.errors import InvalidMelody, NotFound
from symphony.melody.formats import from_document
from symphony.melody.model import Melody
from symphony.melody.store import PolyphonyStore

Json = dict[str, Any]

DRAFTS_KEPT = 100


@dataclass(slots=True)
class Draft:
    """A composed Melody that has not been saved: what a preview shows."""

    melody: Json
    prompt: str


class Repertoire:
    """Finds Melodies and says whether they can be played with what is installed."""

    def __init__(self, saved: PolyphonyStore, configuration: Configuration, extensions: Extensions) -> None:
        self._saved = saved
        self._configuration = configuration
        self._extensions = extensions
        self._drafts: dict[str, Draft] = {}

    def keep_draft(self, document: Json, prompt: str) -> str:
        """Keeps a composed Melody for a while and answers the draft's id."""
        draft = str(uuid.uuid4())
        self._drafts[draft] = Draft(document, prompt)
        while len(self._drafts) > DRAFTS_KEPT:
            del self._drafts[next(iter(self._drafts))]
        return draft

    async def document(self, melody: str) -> Json:
        """A draft, by its id, or a saved Melody, by id or name. Raises NotFound."""
        draft = self._drafts.get(melody)
        if draft is not None:
            return draft.melody
        found = await asyncio.to_thread(self._saved.show, melody)
        return found.to_document()

    def findings(self, melody: Melody) -> list[Json]:
        """All that validation has to say about a Melody."""
        limits = play_limits(self._configuration, self._extensions.cast())
        return findings_of(melody, self._extensions.catalogue(), limits)

    async def playable(self, melody: str | Json) -> tuple[Melody, str]:
        """A validated Melody and the prompt it came from. Raises NotFound, and InvalidMelody with every
        finding.
        """
        prompt = ""
        if isinstance(melody, str):
            draft = self._drafts.get(melody)
            prompt = draft.prompt if draft else ""
            try:
                melody = await self.document(melody)
            except NotFound as error:
                error.remedy = error.remedy or "`symphony melody list` shows the saved ones"
                raise
        parsed = from_document(melody)
        findings = [f for f in self.findings(parsed) if f["severity"] == "error"]
        if findings:
            first = findings[0]
            more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
            raise InvalidMelody(
                f"The Melody {parsed.name} is not valid: {first['message']}{more}",
                remedy=first["remedy"],
                findings=findings,
            )
        return parsed, prompt
