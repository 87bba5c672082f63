"""`policies.yaml` and `models.yaml`: layers, the place of an error, and reading again without a restart."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from symphony.app.local_models import LocalModels
from symphony.app.paths import encoder_files
from symphony.config.documents import PROJECT_FOLDER, Documents
from symphony.config.orchestration import Models, Policies
from symphony.errors import InvalidConfig


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / PROJECT_FOLDER).mkdir(parents=True)
    return tmp_path / "project"


def write(folder: Path, text: str, name: str = "policies.yaml") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_the_project_is_over_the_home_and_the_rest_stays(home: Path, project: Path) -> None:
    documents = Documents("policies.yaml", Policies, home)
    assert documents.get(project) == Policies()
    write(home, "strategy: sequential\nplayers:\n  acme/*: {timeout: 5m}\n  '*': {timeout: 1m}\n")
    write(project / PROJECT_FOLDER, "strategy: parallel\nerrors:\n  timeout: {attempts: 4}\n")
    here = documents.get(project)
    assert here.strategy == "parallel" and here.errors["timeout"].attempts == 4
    assert here.rule("acme/tool#run").timeout == 300.0 and here.rule("other/x#y").timeout == 60.0
    assert documents.get().strategy == "sequential", "elsewhere the home alone counts"


def test_an_edit_holds_from_the_next_look_on(home: Path) -> None:
    documents = Documents("policies.yaml", Policies, home)
    write(home, "strategy: sequential\n")
    first = documents.get()
    assert documents.get() is first, "what has not changed is not read again"
    write(home, "strategy: parallel\n")
    os.utime(home / "policies.yaml", ns=(1, 1))
    assert documents.get().strategy == "parallel"
    (home / "policies.yaml").unlink()
    assert documents.get().strategy == "adaptive"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("strategy: sequential\nstrategie: x\n", "2:1", "strategie: is no key here"),
        ("players:\n  acme/*:\n    timeout: never\n", "3:5", "'never' is no duration"),
        ("errors:\n  timeout: {attempts: 0}\n", "2:13", "greater than or equal to 1"),
        ("players: {'a/b#c': {fallback: nobody}}\n", "1:21", "pattern"),
        ("strategy: [\n", "2:1", "strategy"),
        ("- a\n", "1:1", "no table"),
        ("a: &x 1\nb: *x\n", "2:4", "alias"),
    ],
)
def test_an_error_names_its_place(home: Path, text: str, place: str, said: str) -> None:
    write(home, text)
    with pytest.raises(InvalidConfig) as caught:
        Documents("policies.yaml", Policies, home).get()
    told = str(caught.value)
    assert f"policies.yaml:{place}: " in told and "\n" not in told
    assert said in told or said == "strategy"


def test_a_project_decides_neither_whom_is_paid_nor_how_much(home: Path, project: Path) -> None:
    write(project / PROJECT_FOLDER, "budget: {seconds: 10h}\n")
    with pytest.raises(InvalidConfig, match=r"1:1: budget: may not be set by a project"):
        Documents("policies.yaml", Policies, home).get(project)
    write(project / PROJECT_FOLDER, "remote: {dear: {quality: 1}}\n", "models.yaml")
    with pytest.raises(InvalidConfig, match=r"1:1: remote: may not be set by a project"):
        Documents("models.yaml", Models, home).get(project)
    write(
        home, "remote: {dear: {quality: 1, players: acme/*}}\nlocal: {encoder: {idle: 5m}}\n", "models.yaml"
    )
    models = Documents("models.yaml", Models, home).get()
    assert list(models.of("acme/tool#run")) == ["dear"] and models.of("other/tool#run") == {}
    assert models.local["encoder"].idle == 300.0


class Pool:
    """A pool that keeps what it was told of a model, and counts how often one was held."""

    def __init__(self) -> None:
        self.idle: float | None = None
        self.held = 0

    def register_model(self, id: str, loader: Any, *, memory: int = 0, idle: float | None = None) -> None:
        self.idle = idle

    def hold_model(self, id: str, timeout: float | None = None) -> nullcontext[Any]:
        self.held += 1
        return nullcontext()


@pytest.mark.parametrize(
    ("text", "idle", "held"),
    [
        ("", 900.0, 1),
        ("local: {sentence encoder: {idle: 5m}}\n", 300.0, 1),
        ("local: {sentence encoder: {prewarm: false}}\n", 900.0, 0),
    ],
)
def test_the_life_of_a_local_model_is_its_own(home: Path, text: str, idle: float, held: int) -> None:
    write(home, text, "models.yaml")
    pool = Pool()
    documents = Documents("models.yaml", Models, home)
    LocalModels(pool, 900.0, lambda: documents.get().local).encoder(encoder_files())
    assert (pool.idle, pool.held) == (idle, held)
