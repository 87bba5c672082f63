"""What the host knows of one open page: which view, what it shows, which questions are open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Problem:
    """An error in the user's words: what happened, what to do, and the details."""

    title: str
    remedy: str = ""
    items: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Question:
    """An open dialog. `kind` says which view draws it, `data` what it is about."""

    kind: str
    data: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A preview as it was before a revision."""

    melody: Json
    draft: str | None
    answer: Json | None
    changed: bool


@dataclass(slots=True)
class ComposeState:
    """The prompt, the answer of the Conductor, and the Melody that is previewed or edited."""

    mode: str = "maestro"
    prompt: str = ""
    prompt_version: int = 0
    prompt_problem: str = ""
    answer: Json | None = None
    melody: Json | None = None
    draft: str | None = None
    changed: bool = False
    editing: bool = False
    selected: str = ""
    findings: list[Json] = field(default_factory=list)
    asked: int = 0
    wish: str = ""
    """What shall be otherwise; `wish_version` grows when the host empties its text box."""
    wish_version: int = 0
    wish_problem: str = ""
    told: list[Json] = field(default_factory=list)
    """What the last revision did, in the Conductor's words."""
    earlier: list[Earlier] = field(default_factory=list)
    """What was shown before each revision, the latest last."""

    def show(self, melody: Json | None, draft: str | None = None) -> None:
        """Puts another Melody, or none, into the preview."""
        self.melody, self.draft = melody, draft
        self.changed, self.editing, self.selected, self.findings = False, False, "", []
        self.wish, self.wish_problem, self.told, self.earlier = "", "", [], []
        self.wish_version += 1


@dataclass(slots=True)
class BoardState:
    """The history of runs and the run that is shown."""

    runs: list[Json] = field(default_factory=list)
    run: str = ""
    detail: Json | None = None
    selected: str = ""
    changes: Json | None = None
    """The set of changes whose difference is shown."""
    part: str = "timeline"
    step: Json = field(default_factory=dict)
    """What the selected step took and made."""
    against: Json | None = None
    """The run that the shown one is compared with, and how their results differ."""


@dataclass(slots=True)
class ArtifactsState:
    """What was searched for and which artifact is open."""

    query: str = ""
    items: list[Json] = field(default_factory=list)
    limit: int = 100
    loaded: bool = False
    selected: Json | None = None
    versions: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class StoreState:
    """The saved Melodies and the one that is shown."""

    query: str = ""
    items: list[Json] = field(default_factory=list)
    loaded: bool = False
    selected: str = ""
    melody: Json | None = None
    findings: list[Json] | None = None


@dataclass(slots=True)
class MarketState:
    """The extensions that were found, and what is shown of them."""

    query: str = ""
    items: list[Json] = field(default_factory=list)
    more: int = 0
    """How many more are on offer that were not loaded."""
    loaded: bool = False
    shown: int = 60
    only: str = "all"
    audit: list[Json] | None = None
    audit_of: str = ""
    tampered: int | None = None
    """The first line of the log that somebody has changed or taken away."""


@dataclass(slots=True)
class SettingsState:
    """The settings with their sources, and what was wrong with the last change of each."""

    query: str = ""
    rows: list[Json] = field(default_factory=list)
    loaded: bool = False
    problems: dict[str, str] = field(default_factory=dict)
    health: Json | None = None


@dataclass(slots=True)
class HistoryState:
    """What was done, as far back as was asked for."""

    items: list[Json] = field(default_factory=list)
    limit: int = 100
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """An action that can be undone or done again, offered beside the view; `can` is `undo` or `redo`."""

    action: int
    text: str
    can: str


@dataclass(slots=True)
class LearningState:
    """What is known of learning, which kept run is shown, and what was said of runs on this page."""

    shown: Json | None = None
    run: str = ""
    ratings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenComponent:
    """A component that is open: its id at the host, its player, and what it is called."""

    id: str
    player: str
    title: str


@dataclass(slots=True)
class MotifState:
    """What Motifs bring, what the user chose of it, and the components that are open on this page."""

    themes: list[Json] = field(default_factory=list)
    layouts: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    fitting: list[Json] = field(default_factory=list)
    """Those that show the open artifact."""
    colors: str = ""
    layout: str = ""
    open: dict[str, OpenComponent] = field(default_factory=dict)
    """By the place where it is open."""
    shown: dict[str, Json] = field(default_factory=dict)
    """By id, what the host said of it last."""
    stale: set[str] = field(default_factory=set)
    """Of which something newer is being fetched."""


@dataclass(slots=True)
class PageState:
    """All of the above with what every view shares."""

    view: str = "compose"
    theme: str = "system"
    is_fresh: bool = True
    """Whether nobody has gone to a view yet."""
    project: Json | None = None
    nodes: dict[str, Json] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    question: Question | None = None
    announcement: str = ""
    announcements: int = 0
    is_shown: bool = False
    compose: ComposeState = field(default_factory=ComposeState)
    board: BoardState = field(default_factory=BoardState)
    artifacts: ArtifactsState = field(default_factory=ArtifactsState)
    store: StoreState = field(default_factory=StoreState)
    market: MarketState = field(default_factory=MarketState)
    settings: SettingsState = field(default_factory=SettingsState)
    history: HistoryState = field(default_factory=HistoryState)
    offer: Offer | None = None
    learning: LearningState = field(default_factory=LearningState)
    motifs: MotifState = field(default_factory=MotifState)
