"""The Conductor as the host sees it: load, index, compose, embed, health."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conductor.context import ComposeContext, Composition
from symphony.errors import BadInput, SymphonyError
from symphony.types.players import FunctionSpec
from symphony.types.port_types import TypeLattice

if TYPE_CHECKING:
    from conductor.encoder.runtime import Embedder, Vectors
    from conductor.episode import Table
    from conductor.learning.seen import Seen
    from conductor.past import Recollection, Request
    from conductor.policy import Policy
    from conductor.refusal import Judge
    from conductor.spans.asking import Spans
    from conductor.spelling import Speller
    from conductor.templates import Shelf
    from symphony.melody.templates import Template

WEIGHTS = Path(__file__).parent / "weights" / "policy.npz"
"""The weights that this repository ships."""

SPAN_WEIGHTS = Path(__file__).parent / "weights" / "spans.npz"
"""Those of what reads the values of parameters."""

LONGEST_PROMPT = 8000
"""Characters; what is longer is no prompt but a document."""


class Conductor:
    """Composes Melodies. Every method may be called from any thread; `index` swaps its tables whole.

    Use `Conductor.load`; an encoder or policy that cannot be loaded costs quality, not the Conductor:
    without the policy the typed planner composes, without the encoder words alone are compared, and
    `health` says so.
    """

    def __init__(
        self,
        encoder: Embedder | None,
        policy: Policy | None,
        problems: Sequence[str] = (),
        spans: Spans | None = None,
        recollection: Recollection | None = None,
    ) -> None:
        self._recollection = recollection
        self._encoder = encoder
        self._policy = policy
        self._spans = spans
        self._problems = list(problems)
        self._table: Table | None = None
        self._judge: Judge | None = None
        self._seconds: dict[str, float] = {}
        self._shelf: Shelf | None = None
        self._own: tuple[Request, ...] = ()
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        encoder_dir: Path,
        weights: Path | None = WEIGHTS,
        open_encoder: Callable[[Path], Embedder] | None = None,
        span_weights: Path | None = SPAN_WEIGHTS,
    ) -> Conductor:
        """Loads what there is. `weights` None leaves the policy out, `span_weights` None the span reader.
        `open_encoder` opens the encoder of a folder where it is not simply to be loaded; SymphonyError when it
        cannot.
        """
        # One thread is the fastest for matrices of this size; idle ones of BLAS would only take memory.
        # It counts when numpy is first imported, which is below.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from conductor.encoder.runtime import Encoder
        from conductor.past import Recollection
        from conductor.policy import Policy

        problems: list[str] = []
        encoder: Embedder | None = None
        policy: Policy | None = None
        try:
            encoder = (open_encoder or Encoder)(encoder_dir)
        except SymphonyError as error:
            problems.append(str(error))
        if weights is not None:
            try:
                policy = Policy.load(weights)
            except SymphonyError as error:
                problems.append(str(error))
        spans: Spans | None = None
        if span_weights is not None and encoder is not None:
            try:
                spans = read_spans(encoder, span_weights)
            except SymphonyError as error:
                problems.append(f"{error}; values that no pattern knows are not read")
        recollection: Recollection | None = None
        if encoder is not None:
            try:
                recollection = Recollection.load(encoder_dir, encoder.version)
            except SymphonyError as error:
                problems.append(str(error))
        return cls(encoder, policy, problems, spans, recollection)

    def index(
        self, functions: Sequence[FunctionSpec], lattice: TypeLattice, cache_dir: Path | None = None
    ) -> None:
        """Makes these Players the ones that compositions draw on.

        Those with `available=False` serve only to say which extension would help; `go_on` embeds their texts.
        Sentence vectors are kept in `cache_dir`, so that only new texts are embedded.
        """
        from conductor.draft import Typing
        from conductor.episode import Table
        from conductor.refusal import Judge, foreign_requests
        from conductor.retrieval import Catalogue, cached_vectors

        encoder = self._encoder
        embed = encoder.embed_all if encoder is not None else None
        version = encoder.version if encoder is not None else ""
        catalogue = Catalogue(functions, embed, cache_dir=cache_dir, encoder_version=version)
        foreign = (
            cached_vectors(list(foreign_requests()), embed, cache_dir, version) if embed is not None else None
        )
        reduced = None
        if self._policy is not None and catalogue.means is not None:
            reduced = self._policy.project(catalogue.means)
        table = Table(catalogue, Typing(lattice), reduced)
        table.spans = self._spans
        table.speller = speller_of(encoder, catalogue.vocabulary)
        self._remember(table, self._own)
        if self._policy is not None and reduced is not None:
            table.learned = self._policy.learned_keys(reduced)
        judge = Judge(catalogue, foreign)
        with self._lock:
            self._table, self._judge = table, judge

    def remember(self, own: Sequence[Request]) -> None:
        """Makes these requests what was asked on this machine, in the place of those before."""
        self._own = tuple(own)
        if self._table is not None:
            self._remember(self._table, self._own)

    def _remember(self, table: Table, own: Sequence[Request]) -> None:
        """Gives a table its past: what ships, and what was asked here."""
        from conductor.past import Past

        encoder, past = self._encoder, None
        before = self._table.past if self._table is not None else None
        if encoder is not None and (self._recollection is not None or own):
            past = Past(
                self._recollection, own, table.functions, encoder.embed, table.catalogue.means, before
            )
        table.past = past

    def go_on(self) -> int:
        """Embeds some more texts of Players that are only offered, which nobody waits for; how many are left."""
        table = self._table
        return table.catalogue.go_on() if table is not None else 0

    def shelve(self, templates: Mapping[str, Template], cache_dir: Path | None = None) -> None:
        """Makes these templates of `workflows.yaml` the ones that compositions may propose, by name."""
        from conductor.templates import Shelf

        encoder = self._encoder
        embed = encoder.embed_all if encoder is not None else None
        shelf = Shelf(templates, embed, cache_dir, encoder.version if encoder is not None else "")
        with self._lock:
            self._shelf = shelf

    def observe(self, seconds: Mapping[str, float]) -> None:
        """Durations measured for Players; predictions use them in the place of the declared ones."""
        with self._lock:
            self._seconds.update(seconds)

    def compose(self, prompt: str, context: ComposeContext, *, arm: str = "policy") -> Composition:
        """A Melody for the prompt, or what is missing.

        `arm` names who chooses: `policy` (by the typed planner where there is none), `planner`, or the
        baselines `uniform` and `cosine`. Raises BadInput for a prompt without words or of more than
        8,000 characters.
        """
        from conductor import composer
        from conductor.each import unmet
        from conductor.episode import Episode
        from conductor.guards import guards_in, put, without_guards
        from conductor.twins import repeat

        prompt = checked_prompt(prompt)
        if arm == "policy" and (for_each := self._for_each(prompt, context)) is not None:
            return for_each
        table, judge, seconds = self._indexed()
        embed = self._encoder.embed if self._encoder is not None else None
        guards = guards_in(prompt)
        episode = Episode(table, without_guards(prompt, guards), embed, context)
        policy = self._policy if table.learned is not None and embed is not None else None
        seen: list[Seen] = []
        chooser: composer.Chooser
        if arm == "uniform":
            chooser = composer.by_chance(sum(map(ord, prompt)))
        elif arm == "cosine":
            chooser = composer.by_cosine
        else:
            chooser = composer.chooser_of(policy if arm == "policy" else None, seen.append)
        shelf = self._shelf if arm == "policy" else None
        proposed = shelf.propose(episode) if shelf is not None else None
        made = proposed or composer.compose(episode, chooser, judge, policy, seconds)
        if made.melody is not None and proposed is None:
            repeated = repeat(episode, made.melody, made.explanations)
            made.missing = [m for m in made.missing if not any(words in m for words in repeated)]
            made.missing += put(guards, episode, made.melody, made.explanations)
            made.missing += unmet(prompt, episode)
            made.melody["description"] = prompt[:500]
        return self._signed(made, seen, policy)

    def _for_each(self, prompt: str, context: ComposeContext) -> Composition | None:
        """The composition of a prompt that asks for something for each of several things; None for others."""
        from conductor import composer
        from conductor.each import each_in, focus, joined, wish, with_stand_in
        from conductor.episode import Episode
        from conductor.guards import guards_in

        each = each_in(prompt) if not guards_in(prompt) else None
        if each is None:
            return None
        table, judge, seconds = self._indexed()
        embed = self._encoder.embed if self._encoder is not None else None
        policy = self._policy if table.learned is not None and embed is not None else None
        finding = Episode(table, wish(each), embed, context)
        acting = Episode(table, each.action, embed, with_stand_in(context, each))
        focus(acting, each)
        seen: list[Seen] = []
        made = composer.compose(acting, composer.chooser_of(policy, seen.append), judge, policy, seconds)
        whole = joined(each, finding, acting, made)
        if whole is None:
            return None
        if whole.melody is not None:
            whole.melody["description"] = prompt[:500]
        return self._signed(whole, seen, policy)

    def revise(self, prompt: str, melody: dict[str, Any], context: ComposeContext) -> Composition:
        """`melody` as the prompt wants it otherwise, by the smallest change; or what it could not mean.

        `melody` is a valid `symphony.melody/1` document and stays as it is. The explanations name the nodes
        that were added, changed or taken out. Raises BadInput as `compose` does.
        """
        from conductor import composer
        from conductor.episode import Episode
        from conductor.negation import unwanted_in, without
        from conductor.revision import Revision, revise

        prompt = checked_prompt(prompt)
        table, judge, seconds = self._indexed()
        embed = self._encoder.embed if self._encoder is not None else None
        unwanted = unwanted_in(prompt)
        episode = Episode(table, without(prompt, unwanted), embed, context)
        policy = self._policy if table.learned is not None and embed is not None else None
        seen: list[Seen] = []
        chooser = composer.chooser_of(policy, seen.append)
        made = revise(Revision(table, melody), unwanted, episode, chooser, judge, policy, seconds, prompt)
        return self._signed(made, seen, policy)

    def _signed(self, made: Composition, seen: list[Seen], policy: Policy | None) -> Composition:
        """A composition with what its choices were made from, and by which versions."""
        made.seen = seen
        made.policy = policy.version if policy is not None else "planner"
        made.encoder = self._encoder.version if self._encoder is not None else ""
        return made

    def adopt(self, policy: Policy) -> None:
        """Lets another policy decide from the next `index` on, which must follow: keys are the policy's."""
        with self._lock:
            self._policy = policy

    def _indexed(self) -> tuple[Table, Judge, dict[str, float]]:
        """What `index` and `observe` made. Raises SymphonyError before the first `index`."""
        with self._lock:
            table, judge, seconds = self._table, self._judge, dict(self._seconds)
        if table is None or judge is None:
            raise SymphonyError("The Conductor knows no Players yet", remedy="try again in a moment")
        return table, judge, seconds

    def ranked(self, prompt: str) -> tuple[list[FunctionSpec], TypeLattice]:
        """The available Players, those that fit the prompt best first, and their types. Raises as `compose` does."""
        from conductor.episode import Episode

        table, _, _ = self._indexed()
        embed = self._encoder.embed if self._encoder is not None else None
        episode = Episode(table, checked_prompt(prompt), embed, ComposeContext())
        return [table.functions[f] for f in episode.retrieved], table.typing.lattice

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Sentence vectors `[len(texts), 384]` of length 1. Raises EncoderMissing without an encoder."""
        if self._encoder is None:
            from conductor.encoder.runtime import EncoderMissing

            raise EncoderMissing("There is no sentence encoder", remedy="run `make build`")
        return self._encoder.embed(texts)

    def health(self) -> dict[str, Any]:
        """`{"status": "ok|degraded", "detail", "remedy"}`, for `doctor`."""
        table = self._table
        players = sum(s.available for s in table.functions) if table is not None else 0
        if self._problems:
            chooser = "the typed planner composes" if self._policy is None or self._encoder is None else ""
            return {
                "status": "degraded",
                "detail": "; ".join([*self._problems, chooser]).rstrip("; "),
                "remedy": "run `make build`, or reinstall Symphony",
            }
        version = self._policy.version if self._policy is not None else "none, the typed planner composes"
        return {"status": "ok", "detail": f"{players} Players indexed, policy {version}", "remedy": ""}

    def measure(self, prompt: str = "which files changed most in the last month") -> float:
        """Seconds that a composition takes now, with an empty context."""
        begin = time.perf_counter()
        self.compose(prompt, ComposeContext())
        return time.perf_counter() - begin


def read_spans(encoder: Embedder, weights: Path) -> Spans | None:
    """The span reader over an encoder; None over one that tells nothing of tokens. Raises SpansInvalid."""
    from conductor.encoder.runtime import TokenReader
    from conductor.spans.asking import Spans
    from conductor.spans.reader import SpanReader

    if not isinstance(encoder, TokenReader):
        return None
    return Spans(SpanReader.load(weights), encoder)


def speller_of(encoder: Embedder | None, words: Collection[str]) -> Speller | None:
    """What corrects slips towards these words; None with an encoder that does not tell which words it knows."""
    from conductor.encoder.runtime import TokenReader
    from conductor.spelling import Speller

    return Speller(words, encoder.knows) if isinstance(encoder, TokenReader) else None


def checked_prompt(prompt: str) -> str:
    """The prompt without surrounding space. Raises BadInput when it is empty or no prompt at all."""
    text = prompt.replace("\x00", " ").strip()
    if not any(c.isalnum() for c in text):
        raise BadInput("The prompt is empty", remedy="say in a sentence what you want done")
    if len(text) > LONGEST_PROMPT:
        raise BadInput(
            f"The prompt has {len(text):,} characters, at most {LONGEST_PROMPT:,} are read",
            remedy="put the text into a file of the project and name that in the prompt",
        )
    return text
