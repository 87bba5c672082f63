"""The history of actions: whatever was done in whatever order, undoing it brings back exactly what was before."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.app import action_log
from symphony.app.action_log import Action, ActionLog
from symphony.app.host import Host
from symphony.app.undoing import Changed, apart, patched
from symphony.config.home import Home
from symphony.errors import BadInput, NotFound, SymphonyError
from tests.hosting import hosted
from tests.soak.stage import make_registry

Json = dict[str, Any]
Run = Callable[..., Any]

leaves = st.none() | st.booleans() | st.text(max_size=3) | st.lists(st.integers(0, 3), max_size=2)
states = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), leaves, max_size=4),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner | leaves, max_size=4),
    max_leaves=12,
)


@given(states, states)
def test_what_two_states_have_apart_turns_each_into_the_other(before: Json, after: Json) -> None:
    old, new = apart(before, after)
    assert patched(after, new, old) == before
    assert patched(before, old, new) == after
    assert (before == after) == (not old and not new)


@given(states, states, states)
def test_a_patch_touches_nothing_else_and_refuses_what_is_otherwise(a: Json, b: Json, other: Json) -> None:
    old, new = apart(a, b)
    try:
        made = patched(other, new, old)
    except Changed:
        return
    assert patched(made, old, new) == other, "and back again"


# --- the whole host ----------------------------------------------------------------------------------
EXTENSIONS = ("symphony/markdown", "symphony/diagram")
GRANT = "exec:git"
NAMES = ("one", "two", "three")
SETTINGS: dict[str, tuple[Any, ...]] = {
    "ui.theme": ("dark", "light", None),
    "logging.backups": (1, 2, 3, None),
    "conductor.confidence": (0.1, 0.2, None),
    "registry.trusted": (["ab" * 32], ["cd" * 32, "ef" * 32], None),
}


def melody(number: int) -> Json:
    node = {
        "id": "n",
        "kind": "operator",
        "player": "symphony/git#log",
        "params": {"since": f"{number + 1}d"},
    }
    return {"format": "symphony.melody/1", "name": "x", "nodes": [node], "edges": []}


def files_of(folder: Path) -> Json:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


async def state(host: Host, project: Path) -> Json:
    """All that actions can change, looked at from outside of them."""
    services = host.services
    with sqlite3.connect(services.home.state) as database:
        melodies = [
            database.execute(f"SELECT rowid, * FROM {table} ORDER BY 2, 3").fetchall()
            for table in ("polyphony_melodies", "polyphony_versions")
        ]
    rows = (await host.list_extensions())["extensions"]
    installer = services.extensions.installer
    return {
        "settings": [(r["key"], r["value"], r["source"]) for r in (await host.settings())["settings"]],
        "melodies": (melodies[1], [row[1:] for row in melodies[0]]),
        "listed": [row["name"] for row in (await host.list_melodies())["melodies"]],
        "extensions": [{k: v for k, v in r.items() if k not in ("usage", "problem")} for r in rows],
        "installed": installer.state().model_dump(),
        "files": {i.name: files_of(i.dir) for i in installer.list() if not i.bundled},
        "callable": sorted(services.catalogue().players),
        "project": files_of(project),
    }


class Acts:
    """Random actions of every kind that can be undone; those that the state does not allow are refused."""

    def __init__(self, host: Host, chance: random.Random, changes: list[str]) -> None:
        self.host = host
        self.chance = chance
        self.changes = changes

    def draw(self) -> Awaitable[Any]:
        host, chance = self.host, self.chance
        name = chance.choice(EXTENSIONS)
        key = chance.choice(sorted(SETTINGS))
        grants = [GRANT, "read:project/**"]
        return chance.choice(
            [
                lambda: host.set_setting(key, chance.choice(SETTINGS[key])),
                lambda: host.save_melody(melody(chance.randrange(9)), chance.choice(NAMES)),
                lambda: host.save_melody(melody(chance.randrange(9)), chance.choice(NAMES)),
                lambda: host.delete_melody(chance.choice(NAMES)),
                lambda: self.install(f"{name}@={chance.choice(('1.0.0', '1.1.0'))}"),
                lambda: host.remove_extension(name),
                lambda: host.rollback_extension(name),
                lambda: host.enable_extension(chance.choice([name, "symphony/text"]), chance.random() < 0.5),
                lambda: host.revoke_permission("symphony/git", chance.choice(grants)),
                lambda: host.allow_permission("symphony/git", chance.choice(grants)),
                lambda: host.set_budget(
                    name, {"calls": chance.randrange(3)} if chance.random() < 0.7 else {}
                ),
                lambda: host.apply_changes(chance.choice(self.changes)),
                lambda: host.undo_changes(chance.choice(self.changes)),
            ]
        )()

    async def install(self, source: str) -> None:
        try:
            await self.host.install_extension(source, [])
        except SymphonyError as error:
            agreed = [finding["grant"] for finding in error.findings if "grant" in finding]
            await self.host.install_extension(source, agreed)


async def make_changes(host: Host, project: Path) -> list[str]:
    """Two sets of changes that wait for a word."""
    for number in range(2):
        command = ["sh", "-c", f"echo {number} >> file{number}; echo more >> common{number}"]
        params = {"command": command}
        node = {"id": "edit", "kind": "operator", "player": "symphony/shell#run", "params": params}
        document = {"format": "symphony.melody/1", "name": "edit", "nodes": [node], "edges": []}
        run = await host.execute_melody(document, project=str(project), agreed=True)
        await asyncio.wait_for(host.services.engine.ended(run["run"]), 120)
    return [one["id"] for one in (await host.list_changes())["changes"]]


async def stack(host: Host, *, undone: bool) -> list[int]:
    rows = (await host.list_actions(1000))["actions"]
    return [row["id"] for row in rows if row["can"] == ("redo" if undone else "undo")]


@pytest.mark.parametrize("seed", range(2))
async def test_undoing_a_random_life_step_by_step_brings_back_each_state(
    home: Path, tmp_path: Path, seed: int
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "common0").write_text("first\n")
    chance = random.Random(seed)
    async with hosted(home, f'[registry]\nfolder = "{make_registry(tmp_path)}"\n', project=project) as host:
        await host.save_melody(melody(0), "one")
        acts = Acts(host, chance, await make_changes(host, project))
        history = [await state(host, project)]
        ids: list[int] = []
        while len(ids) < 25:
            with contextlib.suppress(SymphonyError):  # the state may not allow it; then nothing has changed
                await acts.draw()
            now, known = await state(host, project), await stack(host, undone=False)
            assert (now == history[-1]) == (known[:1] == ids[-1:] or len(known) == len(ids) + 1)
            if now != history[-1]:
                history.append(now)
                ids.append(known[0])
        for number in range(len(ids) - 1, -1, -1):
            answer = await host.undo_action()
            assert answer["id"] == ids[number] and answer["can"] == "redo"
            assert await state(host, project) == history[number], answer["said"]
        for number in range(len(ids)):
            assert (await host.redo_action())["id"] == ids[number]
            assert await state(host, project) == history[number + 1]
        kinds = {row["kind"] for row in (await host.list_actions(1000))["actions"]}
        assert {"setting", "melody", "extension", "changes"} <= kinds
        # Another host undoes what this one did.
    async with hosted(home, project=project) as host:
        for number in range(len(ids) - 1, len(ids) - 6, -1):
            await host.undo_action(ids[number])
            assert await state(host, project) == history[number]


async def test_an_action_in_the_middle_is_undone_alone_or_says_what_stands_on_it(home: Path) -> None:
    async with hosted(home) as host:
        await host.set_setting("ui.theme", "dark")
        await host.set_setting("logging.backups", 5)
        await host.set_setting("ui.theme", "light")
        first, other, last = sorted(await stack(host, undone=False))
        await host.undo_action(other)
        get = host.services.configuration.get
        assert (get("ui.theme"), get("logging.backups")) == ("light", 3)
        with pytest.raises(SymphonyError, match="has changed since") as refused:
            await host.undo_action(first)
        assert refused.value.code == "changed_meanwhile"
        assert refused.value.remedy == f"undo “Set ui.theme to light” ({last}) first"
        await host.undo_action(last)
        await host.undo_action(first)
        assert get("ui.theme") == "system"
        with pytest.raises(BadInput, match="nothing to undo"):
            await host.undo_action()
        with pytest.raises(BadInput, match="undone already"):
            await host.undo_action(first)
        with pytest.raises(NotFound):
            await host.undo_action(12345)


async def test_what_was_edited_by_hand_meanwhile_is_left_alone(home: Path) -> None:
    async with hosted(home) as host:
        await host.set_setting("ui.theme", "dark")
        file = host.services.home.config
        file.write_text(file.read_text().replace("dark", "light"))
        with pytest.raises(SymphonyError, match="has changed since"):
            await host.undo_action()
        assert "light" in file.read_text()


async def test_the_history_has_no_secret_and_says_what_failed_and_what_played(
    home: Path, tmp_path: Path
) -> None:
    async with hosted(home) as host:
        await host.set_setting("model.api_key", "s3cret-of-mine")
        await host.set_setting("model.api_key", "another-s3cret")
        with pytest.raises(SymphonyError):
            await host.set_setting("ui.theme", "no such theme")
        with pytest.raises(SymphonyError):
            await host.install_extension("symphony/markdown")  # nobody has agreed
        run = (await host.execute_melody({**melody(1), "name": "look"}, project=str(tmp_path), agreed=True))[
            "run"
        ]
        await asyncio.wait_for(host.services.engine.ended(run), 120)
    async with hosted(home) as host:
        rows = (await host.list_actions())["actions"]
        said = [(row["said"], row["can"]) for row in rows]
        assert said == [
            ("Played look", ""),
            ("Set model.api_key to ••••••", ""),
            ("Set model.api_key to ••••••", ""),
        ]
        assert rows[0]["status"] in ("failed", "succeeded") and rows[0]["subject"] == run
        assert [r["id"] for r in (await host.list_actions(1, rows[0]["id"]))["actions"]] == [rows[1]["id"]]
    for file in home.glob("actions.sqlite*"):
        assert b"s3cret" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


async def test_undoing_a_permission_that_was_given_ends_what_plays_under_it(
    home: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    async with hosted(home, project=project) as host:
        await host.revoke_permission("symphony/shell", "write:project/**")
        await host.allow_permission("symphony/shell", "write:project/**")
        node = {
            "id": "n",
            "kind": "operator",
            "player": "symphony/shell#run",
            "params": {"command": ["sleep", "300"]},
        }
        document = {"format": "symphony.melody/1", "name": "slow", "nodes": [node], "edges": []}
        run = (await host.execute_melody(document, project=str(project), agreed=True))["run"]
        async with asyncio.timeout(120):
            while not any(s["pid"] for s in host.services.pit.player_states().values()):
                await asyncio.sleep(0.01)
            await host.undo_action()
            ended = await host.services.engine.ended(run)
        assert ended.info.status == "failed"
        members = {member.name: member for member in host.services.extensions.cast()}
        assert "write:project/**" not in members["symphony/shell"].granted


def test_commands_list_and_undo(symphony: Run, home: Path) -> None:
    assert symphony("config", "set", "ui.theme", "dark").code == 0
    listed = json.loads(symphony("history", "--json").out)["actions"]
    assert [row["said"] for row in listed] == ["Set ui.theme to dark"]
    undone = symphony("undo")
    assert undone.code == 0 and "Undid: Set ui.theme to dark" in undone.out
    assert json.loads(symphony("config", "get", "ui.theme", "--json").out)["value"] == "system"
    assert "undone" in symphony("history").out
    assert symphony("redo").code == 0
    assert json.loads(symphony("config", "get", "ui.theme", "--json").out)["value"] == "dark"
    refused = symphony("redo")
    assert refused.code == 2 and refused.err.count("\n") == 1


# --- what is kept ------------------------------------------------------------------------------------
def test_the_history_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_log, "KEPT", 20)
    monkeypatch.setattr(action_log, "KEPT_STATES", 5)
    log = ActionLog(tmp_path / "actions.sqlite")
    for number in range(50):
        log.add(Action("setting", "k", f"{number}", before={"value": number}, after={"value": number + 1}))
        log.add(Action("run", "r", f"run {number}"))
    found = log.newest(1000)
    assert len(found) == 20 and found[0].said == "run 49"
    assert [action.said for action in found if action.can] == ["49", "48", "47", "46", "45"]
    large = Action("melody", "m", "large", before={"a": "x" * (5 << 20)}, after={})
    log.add(large)
    kept = log.find(large.id)
    assert kept is not None and kept.can == ""


def test_a_damaged_history_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "actions.sqlite"
    file.write_bytes(b"this is no database, however long one reads in it" * 100)
    log = ActionLog(file)
    assert log.newest(10) == []
    log.add(Action("run", "r", "played"))
    assert [action.said for action in log.newest(10)] == ["played"]
    assert (tmp_path / "actions.damaged").exists()


async def test_files_of_what_can_come_back_are_kept_no_longer_than_that(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_log, "KEPT_STATES", 2)
    settings = f'[registry]\nfolder = "{make_registry(tmp_path)}"\n'

    def folders() -> list[str]:
        return sorted(p.name.partition("-")[0] for p in Home(home).extensions.glob("*/*/*") if p.is_dir())

    async with hosted(home, settings) as host:
        acts = Acts(host, random.Random(0), [])
        await acts.install("symphony/markdown@=1.0.0")
        await host.remove_extension("symphony/markdown")
        assert folders() == ["1.0.0"]
    async with hosted(home, settings) as host:
        assert folders() == ["1.0.0"], "a start tidies away nothing that can come back"
        await host.set_setting("ui.theme", "dark")
        await host.set_setting("ui.theme", "light")
    async with hosted(home, settings):
        assert folders() == []
