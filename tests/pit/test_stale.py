"""The stale manager as Python sees it: policies from settings, plans as dicts."""

from __future__ import annotations

import pytest

import pit_native
from symphony.errors import BadInput, InvalidConfig, NotFound

DAY = 86_400.0


def test_a_plan_names_action_id_and_reason() -> None:
    stale = pit_native.StaleManager({"cloud": True, "delete_days": 365})
    stale.register("sha256:aa", 10, 0.0, 0.5)
    plans = {days: stale.plan(days * DAY) for days in (1, 10, 40, 400)}
    assert [[action["action"] for action in plan] for plan in plans.values()] == [
        [],
        ["archive"],
        ["cloud"],
        ["delete"],
    ]
    assert plans[10][0]["id"] == "sha256:aa"
    assert "10 days old" in plans[10][0]["reason"]
    assert stale.plan(10 * DAY) == plans[10], "planning changes nothing"


def test_executed_actions_pins_and_values_change_the_plan() -> None:
    stale = pit_native.StaleManager({"delete_days": 60})
    for id in ("a", "pinned"):
        stale.register(id, 10, 0.0, 0.1)
    stale.pin("pinned")
    stale.moved("a", "archive")
    assert stale.plan(40 * DAY) == []
    assert [action["id"] for action in stale.plan(61 * DAY)] == ["a"]
    stale.unpin("pinned")
    assert [action["action"] for action in stale.plan(61 * DAY)] == ["delete", "delete"]
    assert stale.forget("a") and not stale.forget("a")
    assert len(stale) == 1
    assert stale.item("pinned") == {
        "size": 10,
        "created": 0.0,
        "value": 0.1,
        "tier": "active",
        "is_pinned": False,
    }
    assert stale.item("a") is None


def test_disk_pressure_sends_the_least_valuable_away() -> None:
    stale = pit_native.StaleManager({"disk_budget": 100})
    for id, value in (("dear", 0.8), ("cheap", 0.1), ("middling", 0.5)):
        stale.register(id, 50, 0.0, value)
    assert [action["id"] for action in stale.plan(0.0)] == ["cheap"]


def test_what_the_store_lists_can_be_registered_again(tmp_path: object) -> None:
    with pit_native.ArtifactStore(str(tmp_path)) as store:
        aid = store.put(b"content", name="a", type="text/plain")
        stale = pit_native.StaleManager(None)
        for info in store.list():
            stale.register(info["id"], info["bytes"], info["created"], info["quality"])
        assert [action["id"] for action in stale.plan(info["created"] + 8 * DAY)] == [aid]


@pytest.mark.parametrize(
    "policy",
    [{"active_days": -1}, {"archive_days": 1}, {"colour": "red"}, {"active_days": "7"}, {"keep_value": 2}],
)
def test_policies_that_make_no_sense_are_refused(policy: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match="retention policy"):
        pit_native.StaleManager(policy)


def test_unknown_ids_and_tiers_are_told() -> None:
    stale = pit_native.StaleManager()
    with pytest.raises(NotFound):
        stale.pin("a")
    stale.register("a", 1, 0.0, 0.0)
    with pytest.raises(BadInput, match="active, archive or cloud"):
        stale.moved("a", "attic")
    assert stale.policy()["active_days"] == 7
