"""Planning: the Conductor with what it needs to know of the installed Players and the open project."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony.app.catalogue import Catalogue
from symphony.app.project import ProjectView, in_git
from symphony.app.tables import columns_of
from symphony.config.files import write_atomically
from symphony.errors import BadInput
from symphony.ports.component import HealthStatus
from symphony.types.players import PROJECT_FACTS

if TYPE_CHECKING:
    from conductor import ComposeContext, Composition, Conductor
    from conductor.encoder.runtime import Embedder
    from conductor.needs import Means
    from conductor.past import Request
    from symphony.melody.templates import Template
    from symphony.types.players import FunctionSpec
    from symphony.types.port_types import TypeLattice

log = logging.getLogger(__name__)

PROMPT_LIMIT = 8_000
"""Characters. A longer prompt is a file that was pasted by mistake; it belongs into the project."""


@dataclass(frozen=True, slots=True)
class ConductorFiles:
    """Where the encoder and the policy's weights are, and where embeddings of the catalogue are kept."""

    encoder: Path
    weights: Path | None
    cache: Path


class Planner:
    """Composes melodies. The Conductor is loaded in a thread of its own, so that the page need not wait."""

    name = "conductor"

    def __init__(
        self,
        files: ConductorFiles,
        catalogue: Callable[[], Catalogue],
        is_set: Callable[[str], bool],
        open_encoder: Callable[[Path], Embedder] | None = None,
        weights: Callable[[], Path | None] | None = None,
        means: Callable[[Path | None], Means] | None = None,
        templates: Callable[[Path | None], Mapping[str, Template]] = lambda project: {},
        past: Callable[[], tuple[int, Sequence[Request]]] = lambda: (0, ()),
    ) -> None:
        """`is_set` tells whether a setting that a Player requires has a value; `open_encoder` is as of
        `Conductor.load`; `weights` tells which policy decides, the shipped one without it; `means` what a composition
        for a project may count on, `templates` which it may propose there, `past` what was asked on this machine and a
        number that changes with it.
        """
        self._past = past
        self._remembered = -1
        self._is_set = is_set
        self._templates = templates
        self._shelved: Mapping[str, Template] = {}
        self._means = means
        self._files = files
        self._weights = weights or (lambda: files.weights)
        self._open_encoder = open_encoder
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._conductor: Conductor | None = None
        self._seen: tuple[Catalogue, list[bool]] | None = None
        """What was indexed last: the catalogue, and which of its Players lack nothing."""
        self._indexed = ""
        """The digest of it: another catalogue may say the same."""
        self._loading: asyncio.Task[None] | None = None
        self._ended = threading.Event()

    async def start(self) -> None:
        """Nothing is loaded yet: a page is shown first, and a command may not need a plan at all."""

    def begin(self) -> None:
        """Begins to load in a thread; a prompt that comes before its end waits for it."""
        self._loading = asyncio.create_task(asyncio.to_thread(self._ready_quietly))

    async def stop(self) -> None:
        """Waits for a load that is under way."""
        self._ended.set()
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)

    async def health_check(self) -> HealthStatus:
        """Degraded while it loads or when it plans without its encoder or policy."""
        if self._conductor is None:
            return HealthStatus(self.name, "degraded", "it is being loaded")
        health = self._conductor.health()
        return HealthStatus(self.name, health["status"], health.get("detail", ""), health.get("remedy", ""))

    @property
    def is_loaded(self) -> bool:
        """Whether a prompt is answered without waiting for the Conductor to be loaded."""
        return self._conductor is not None

    @property
    def players(self) -> int:
        """How many Players it composes with."""
        return len(self._catalogue().composable())

    def compose(
        self, prompt: str, view: ProjectView | None, answers: Mapping[str, str] | None = None
    ) -> Composition:
        """A composition for a prompt. Blocks for a few milliseconds once the Conductor is loaded.

        `answers` are those to questions of earlier compositions of the same prompt, by the question's name.
        Raises BadInput for an empty or far too long prompt.
        """
        words, context = self._context(prompt, view, answers)
        conductor = self._ready()
        templates = self._templates(view.path if view is not None else None)
        with self._lock:
            changed, past = self._past()
            if changed != self._remembered:
                conductor.remember(past)
                self._remembered = changed
            if templates is not self._shelved:
                conductor.shelve(templates, self._files.cache)
                self._shelved = templates
            return self._with_settings(conductor.compose(words, context))

    def revise(self, melody: dict[str, Any], prompt: str, view: ProjectView | None) -> Composition:
        """A Melody document as the prompt wants it otherwise. Raises BadInput as `compose` does."""
        words, context = self._context(prompt, view)
        conductor = self._ready()
        with self._lock:
            return self._with_settings(conductor.revise(words, melody, context))

    def _context(
        self, prompt: str, view: ProjectView | None, answers: Mapping[str, str] | None = None
    ) -> tuple[str, ComposeContext]:
        """The prompt without surrounding space, and what the Conductor may know of the project."""
        from conductor import ComposeContext, ProjectFacts

        words = prompt.strip()
        if not words:
            raise BadInput(
                "The prompt is empty", remedy="write what shall be done, for instance 'List all TODOs'"
            )
        if len(words) > PROMPT_LIMIT:
            raise BadInput(
                f"The prompt has {len(words):,} characters, more than {PROMPT_LIMIT:,}",
                remedy="put long text into a file of the project and name the file",
            )
        facts = None
        if view is not None:
            facts = ProjectFacts(
                path=str(view.path),
                is_git=in_git(view.path),
                languages=view.languages,
                files=tuple(view.files),
                branches=tuple(view.branches),
                columns=columns_of(view.path, view.files),
            )
        now = datetime.now().astimezone()
        means = self._means(view.path if view is not None else None) if self._means is not None else None
        preferences = means.policies.preferences if means is not None else {}
        return words, ComposeContext(
            project=facts, now=now, preferences=preferences, answers=dict(answers or {}), means=means
        )

    def offer(self, prompt: str) -> tuple[list[FunctionSpec], TypeLattice]:
        """The Players that fit a prompt, best first, and their types. Blocks as `compose` does."""
        conductor = self._ready()
        with self._lock:
            return conductor.ranked(prompt)

    def embed(self, texts: Sequence[str]) -> Any:
        """Sentence embeddings, one row a text."""
        conductor = self._ready()
        with self._lock:
            return conductor.embed(list(texts))

    def _ready(self) -> Conductor:
        """The Conductor with the present catalogue indexed."""
        from conductor import Conductor

        with self._lock:
            if self._conductor is None:
                self._conductor = Conductor.load(self._files.encoder, self._weights(), self._open_encoder)
            catalogue = self._catalogue()
            able = [not self._lacking(spec) for spec in catalogue.composable()]
            if self._seen is not None and self._seen[0] is catalogue and self._seen[1] == able:
                return self._conductor
            here = [
                spec if is_able else replace(spec, available=False)
                for spec, is_able in zip(catalogue.composable(), able, strict=True)
            ]
            functions = [*here, *catalogue.offered]
            wanted = hashlib.sha256("\n".join(repr(f) for f in functions).encode()).hexdigest()
            if wanted != self._indexed:
                self._take_built_vectors()
                self._conductor.index(functions, catalogue.lattice, self._files.cache)
                self._indexed = wanted
            self._seen = catalogue, able
            return self._conductor

    def _lacking(self, spec: FunctionSpec) -> list[str]:
        """The settings that a Player requires and that have no value: it would only fail.

        What it requires of the project is for the Conductor, which is told of the project with each prompt.
        """
        return [key for key in spec.requires if key not in PROJECT_FACTS and not self._is_set(key)]

    def _with_settings(self, made: Composition) -> Composition:
        """Names the settings that an installed extension lacks, where it would help with them."""
        lacking: dict[str, dict[str, None]] = {}
        for spec in self._catalogue().composable():
            if spec.extension in made.extensions and (keys := self._lacking(spec)):
                lacking.setdefault(spec.extension, {}).update(dict.fromkeys(keys))
        told = [f"{' and '.join(keys)} (a setting that {name} needs)" for name, keys in lacking.items()]
        made.missing = [*made.missing, *told]
        made.extensions = [name for name in made.extensions if name not in lacking]
        return made

    def adopt(self) -> None:
        """Lets the policy decide that `weights` names by now, from the next prompt on. Raises WeightsInvalid."""
        from conductor.policy import Policy

        with self._lock:
            file = self._weights()
            if self._conductor is None or file is None:
                return  # it takes that policy when it is loaded
            self._conductor.adopt(Policy.load(file))
            self._seen, self._indexed = None, ""

    def _take_built_vectors(self) -> None:
        """Copies the vectors that the build made: a new home need not embed what is the same everywhere."""
        for built in self._files.encoder.glob("keys-*.npz"):
            place = self._files.cache / built.name
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(place, built.read_bytes())

    def _ready_quietly(self) -> None:
        try:
            conductor = self._ready()
            # What a large registry offers is embedded after that, and no prompt waits for it.
            while not self._ended.is_set() and conductor.go_on():
                pass
        except Exception:
            log.exception("the Conductor could not be loaded")
