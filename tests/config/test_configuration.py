"""Settings: which layer wins, what is shown, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from symphony.config import Configuration, Home
from symphony.config.catalogue import catalogue
from symphony.errors import BadInput, InvalidConfig, StorageFull


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    return path


def _row(configuration: Configuration, key: str) -> dict[str, Any]:
    return next(row for row in configuration.show() if row["key"] == key)


def test_each_layer_overrides_the_one_before(home: Home, project: Path) -> None:
    key = "engine.max_nodes"
    seen = [Configuration.load(home, env={})]
    home.config.write_text("[engine]\nmax_nodes = 2\n")
    seen.append(Configuration.load(home, env={}))
    (project / "conductor.yaml").write_text("engine:\n  max_nodes: 3\n")
    seen.append(Configuration.load(home, project, env={}))
    env = {"SYMPHONY_ENGINE__MAX_NODES": "4"}
    seen.append(Configuration.load(home, project, env=env))
    seen.append(Configuration.load(home, project, env=env, flags={key: 5}))
    assert [c.get(key) for c in seen] == [10_000, 2, 3, 4, 5]
    assert [c.source(key) for c in seen] == [
        "default",
        f"user: {home.config}",
        f"project: {project / 'conductor.yaml'}",
        "environment: SYMPHONY_ENGINE__MAX_NODES",
        "flags",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("conductor.json", '{"engine": {"node_timeout": "20s"}}'),
        ("conductor.toml", 'engine.node_timeout = "20s"'),
        ("conductor.yml", "engine: {node_timeout: 20s}"),
    ],
)
def test_projects_may_write_toml_json_or_yaml(home: Home, project: Path, name: str, text: str) -> None:
    (project / name).write_text(text)
    assert Configuration.load(home, project, env={}).get("engine.node_timeout") == 20.0


def test_every_setting_is_described_and_every_component_has_its_four(home: Home) -> None:
    rows = Configuration.load(home, env={}).show()
    assert all(row["description"] and row["type"] for row in rows)
    keys = {row["key"] for row in rows}
    parts = ("host", "stage", "engine", "conductor", "model", "registry")
    for component in (*parts, "pit.pool", "pit.dag", "pit.store", "pit.arbitration", "pit.stale"):
        for name in ("enabled", "timeout", "retry_policy.attempts", "metrics_enabled"):
            assert f"{component}.{name}" in keys


def test_defaults_fit_their_own_schema(home: Home) -> None:
    configuration = Configuration.load(home, env={})
    for key, spec in catalogue().items():
        configuration.set(key, spec.default)
    assert all(row["source"].startswith("user") for row in configuration.show())
    assert configuration.get("host.port") == 0 and configuration.get("pit.pool.capacity") == 128


def test_set_keeps_comments_and_the_rest(home: Home) -> None:
    home.config.write_text('# mine\n[ui]\ntheme = "dark" # at night\n')
    configuration = Configuration.load(home, env={})
    configuration.set("pit.pool.capacity", 7)
    configuration.set("ui.theme", "light")
    text = home.config.read_text()
    assert "# mine" in text and "# at night" in text
    assert (configuration.get("pit.pool.capacity"), configuration.get("ui.theme")) == (7, "light")
    configuration.set("ui.theme", None)
    assert configuration.get("ui.theme") == "system"
    assert home.config.stat().st_mode & 0o777 == 0o600


def test_set_writes_the_projects_file(home: Home, project: Path) -> None:
    configuration = Configuration.load(home, env={})
    with pytest.raises(BadInput, match="No project"):
        configuration.set("ui.theme", "dark", "project")
    configuration.open_project(project)
    configuration.set("ui.theme", "dark", "project")
    assert json.loads((project / "conductor.json").read_text()) == {"ui": {"theme": "dark"}}
    (project / "conductor.json").rename(project / "keep")
    (project / "conductor.yaml").write_text("engine: {max_nodes: 9}\n")
    configuration.set("ui.theme", "light", "project")
    assert configuration.get("engine.max_nodes") == 9 and configuration.get("ui.theme") == "light"


def test_secrets_are_not_shown(home: Home) -> None:
    configuration = Configuration.load(home, env={"SYMPHONY_MODEL__API_KEY": "12345"})
    assert configuration.get("model.api_key") == "12345"
    assert "12345" not in json.dumps(configuration.show())
    configuration.set("extensions.ann/one.token", "s3cret")
    configuration.set("extensions.ann/one.size", 3)
    shown = json.dumps(configuration.show(secrets=["extensions.ann/one.token"]))
    assert "s3cret" not in shown and "extensions.ann/one.size" in shown
    assert configuration.extension_values("ann/one") == {"token": "s3cret", "size": 3}
    assert configuration.get("extensions") == {"ann/one": {"token": "s3cret", "size": 3}}


def test_a_setting_that_nobody_knows_is_not_set(home: Home) -> None:
    """What a Player's manifest requires may name anything."""
    configuration = Configuration.load(home, env={"SYMPHONY_MODEL__ENDPOINT": "http://127.0.0.1:9/v1"})
    assert configuration.is_set("model.endpoint")
    assert not configuration.is_set("model.api_key")
    assert not configuration.is_set("no.such.setting") and not configuration.is_set("")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = = 1", ":1:5: "),
        ("[engine]\nfoo = 1", r":2:1: engine\.foo: is no setting"),
        ("\n[engine]\nmax_nodes = 0", r":3:1: engine\.max_nodes: .*greater"),
        ("[stage.player]\nmemory = 'lots'", r":2:1: stage\.player\.memory: 'lots' is no size"),
        ("engine = 1", r":1:1: engine: is a table"),
        ("ui.theme = 'pink'", r"ui\.theme: .*'system', 'light' or 'dark'"),
    ],
)
def test_errors_name_file_line_and_key(home: Home, text: str, message: str) -> None:
    home.config.write_text(text)
    with pytest.raises(InvalidConfig, match=message) as refused:
        Configuration.load(home, env={})
    assert str(refused.value).startswith(str(home.config)) and "\n" not in str(refused.value)
    assert refused.value.remedy and refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("conductor.json", '{\n "engine": {"max_nodes": "x"}}', r"json:2:13: engine\.max_nodes"),
        ("conductor.json", '{\n "engine": ', r"json:2:12: "),
        ("conductor.yaml", "engine:\n\tx", r"yaml:2:1: "),
        ("conductor.yaml", "- 1\n", "holds no table"),
        ("conductor.yaml", "a: &x 1\nb: *x", "alias"),
        ("conductor.yaml", "[" * 5000, "nested too deeply"),
        ("conductor.json", '{"model": {"endpoint": "http://evil"}}', "may not be set by a project"),
        (
            "conductor.json",
            '{"stage": {"sandbox": {"allow_missing": ["seccomp"]}}}',
            "may not be set by a project",
        ),
        (
            "conductor.json",
            '{"extensions": {"ann/one": {"url": "http://evil"}}}',
            "may not be set by a project",
        ),
    ],
)
def test_errors_in_a_projects_file(home: Home, project: Path, name: str, text: str, message: str) -> None:
    (project / name).write_text(text)
    configuration = Configuration.load(home, env={})
    with pytest.raises(InvalidConfig, match=message):
        configuration.open_project(project)
    assert configuration.project is None


def test_two_files_in_a_project_are_refused(home: Home, project: Path) -> None:
    for name in ("conductor.json", "conductor.toml"):
        (project / name).write_text("")
    with pytest.raises(InvalidConfig, match=r"conductor\.json and conductor\.toml"):
        Configuration.load(home, project, env={})


def test_errors_name_the_environment_variable(home: Home) -> None:
    with pytest.raises(InvalidConfig, match=r"^SYMPHONY_PIT__POOL__CAPACITY: "):
        Configuration.load(home, env={"SYMPHONY_PIT__POOL__CAPACITY": "many"})
    with pytest.raises(InvalidConfig, match=r"^SYMPHONY_PIT__POL__CAPACITY: .* is no setting"):
        Configuration.load(home, env={"SYMPHONY_PIT__POL__CAPACITY": "1"})
    env = {"SYMPHONY_STAGE__SANDBOX__ALLOW_MISSING": "a, b", "SYMPHONY_HOME": "x", "SYMPHONY_SOCKET": "y"}
    assert Configuration.load(home, env=env).get("stage.sandbox.allow_missing") == ["a", "b"]


def test_a_bad_value_is_not_written(home: Home) -> None:
    configuration = Configuration.load(home, env={})
    for key, value, message in (
        ("pit.pool.capcity", 3, r"did you mean pit\.pool\.capacity"),
        ("pit.pool.capacity", -3, "greater"),
        ("pit.pool", 3, "no setting"),
        ("extensions.x", 3, "no setting"),
    ):
        with pytest.raises(InvalidConfig, match=message):
            configuration.set(key, value)
    assert not home.config.exists()
    with pytest.raises(BadInput, match="scope"):
        configuration.set("ui.theme", "dark", "world")
    with pytest.raises(InvalidConfig, match="no setting nope"):
        configuration.get("nope")


def test_a_bad_edit_keeps_the_old_settings(home: Home) -> None:
    configuration = Configuration.load(home, env={})
    home.config.write_text("[ui]\ntheme = 'dark'\n")
    assert configuration.reload() == ["ui.theme"]
    home.config.write_text("[ui]\ntheme = 'pink'\n")
    with pytest.raises(InvalidConfig):
        configuration.reload()
    assert configuration.get("ui.theme") == "dark"


def test_a_full_disk_keeps_the_old_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    configuration = Configuration.load(home, env={})
    configuration.set("ui.theme", "dark")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match="disk is full"):
            configuration.set("ui.theme", "light")
    assert Configuration.load(home, env={}).get("ui.theme") == "dark"
    assert [p.name for p in home.path.iterdir() if p.name.startswith(".")] == []
