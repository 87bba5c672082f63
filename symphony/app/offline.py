"""What commands can do without a started host: compose, validate, read and change settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from symphony.app.action_log import Action
from symphony.app.extensions import Extensions, open_catalogue
from symphony.app.limits import findings_of, play_limits
from symphony.app.methods.settings import row_of, said_of_setting
from symphony.app.orchestration import Rules
from symphony.app.paths import conductor_files
from symphony.app.planning import Planner
from symphony.app.project import look_at, resolve_project
from symphony.app.states import SettingStates, subject_of
from symphony.app.undoing import apart
from symphony.config import Configuration
from symphony.config.catalogue import catalogue
from symphony.config.configuration import HIDDEN
from symphony.config.home import Home
from symphony.melody.formats import load

Ask = Callable[[dict[str, Any]], str]
"""A question to the value of the choice."""


def compose_offline(
    prompt: str, project: Path, revised: Path | None = None, ask: Ask | None = None
) -> dict[str, Any]:
    """The `compose --json` answer, by a Conductor of this process; for the Melody of a file when one is `revised`.

    `ask` is given the composition's question, where it has one, and gives the value of the choice.
    """
    melody = load(revised).to_document() if revised is not None else None
    place = resolve_project(project)
    home = Home.resolve()
    configuration = Configuration.load(home=home, project=place)
    catalogue = open_catalogue(home, configuration)
    rules = Rules(home, configuration)
    planner = Planner(
        conductor_files(home),
        lambda: catalogue,
        configuration.is_set,
        means=rules.means,
        templates=rules.templates,
    )
    view = look_at(place)
    if melody is not None:
        return composition_json(planner.revise(melody, prompt, view))
    made = planner.compose(prompt, view)
    if made.question is not None and ask is not None:
        chosen = ask(made.question)
        made = planner.compose(prompt, view, {made.question["name"]: chosen})
    return composition_json(made)


def composition_json(composition: Any, confidence: float = 0.0) -> dict[str, Any]:
    """A composition in the shape of the contracts; choices below `confidence` say that they are unsure."""
    if not composition.possible:
        return {
            "possible": False,
            "missing": list(composition.missing),
            "extensions": list(composition.extensions),
        }
    return {
        "possible": True,
        "melody": composition.melody,
        "explanations": [
            {**e, "why": f"not sure: {e['why']}"} if e["confidence"] < confidence else e
            for e in composition.explanations
        ],
        "predicted_seconds": composition.predicted_seconds,
        "missing": list(composition.missing),
        "extensions": list(composition.extensions),
        **({"question": composition.question} if composition.question is not None else {}),
    }


def validate_offline(file: Path) -> dict[str, Any]:
    """The `melody validate --json` answer for a file."""
    melody = load(file)
    home = Home.resolve()
    configuration = Configuration.load(home=home, project=None)
    extensions = Extensions(home, configuration)
    try:
        limits = play_limits(configuration, extensions.cast())
        findings = findings_of(melody, extensions.catalogue(), limits)
    finally:
        extensions.close()
    return {"valid": not any(f["severity"] == "error" for f in findings), "findings": findings}


def settings_offline() -> dict[str, Any]:
    """The settings where no host runs: also those with which none would start."""
    with _settings() as (configuration, extensions):
        return {"settings": configuration.show(extensions.secrets())}


def set_offline(key: str, value: Any, scope: str) -> dict[str, Any]:
    """Changes a setting where no host runs; its row."""
    with _settings() as (configuration, extensions):
        spec = catalogue().get(key)
        if (spec is not None and spec.is_secret) or key in extensions.secrets():
            configuration.set(key, value, scope)
            extensions.actions.add(
                Action("setting", key, said_of_setting(key, None if value is None else HIDDEN))
            )
        else:
            place = subject_of(configuration, key, scope)
            states = SettingStates(configuration, lambda keys: None)
            before = states.value(place)
            configuration.set(key, value, scope)
            old, new = apart(before, states.value(place))
            if old or new:
                extensions.actions.add(
                    Action("setting", place, said_of_setting(key, value), before=old, after=new)
                )
        return row_of(configuration.show(extensions.secrets()), key)


@contextmanager
def _settings() -> Iterator[tuple[Configuration, Extensions]]:
    home = Home.resolve()
    home.create()
    configuration = Configuration.load(home=home, project=None)
    extensions = Extensions(home, configuration)
    try:
        yield configuration, extensions
    finally:
        extensions.close()
