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
    due = plans[10][0]
    assert (due["id"], due["from"], due["bytes"]) == ("sha256:aa", "active", 10)
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
        "used": 0.0,
        "value": 0.1,
        "tier": "active",
        "is_pinned": False,
        "is_held": False,
    }
    assert stale.item("a") is None


def test_holds_and_uses_change_the_plan_and_it_is_explained() -> None:
    stale = pit_native.StaleManager({"delete_days": 60, "archive": False})
    stale.register("a", 10, 0.0, 0.1)
    stale.set_hold("a", True)
    assert stale.plan(61 * DAY) == []
    assert "held" in stale.explain("a", 61 * DAY)
    stale.set_hold("a", False)
    assert stale.explain("a", 61 * DAY).startswith("delete: 61 days old")
    stale.used("a", 30 * DAY)
    assert stale.plan(61 * DAY) == []
    with pytest.raises(NotFound):
        stale.explain("b", 0.0)


def test_a_disk_that_runs_full_is_relieved() -> None:
    stale = pit_native.StaleManager({"min_free": 100, "cloud": True, "archive": False})
    stale.register("a", 50, 0.0, 0.1)
    assert stale.plan(0.0, free=100) == stale.plan(0.0) == []
    assert [action["action"] for action in stale.plan(0.0, free=60)] == ["cloud"]


def test_runs_are_assessed_with_reasons() -> None:
    def run(id: str, status: str, created: float, **more: object) -> dict[str, object]:
        players = ["symphony/git#log"]
        return {
            "run": id,
            "task": "list commits",
            "status": status,
            "created": created,
            "players": players,
        } | more

    runs = [run("a", "failed", 1.0), run("b", "succeeded", 2.0, reward=0.8, corrections=1)]
    failed, fixed = pit_native.StaleManager.assess(runs)
    assert (failed["run"], fixed["run"]) == ("a", "b")
    # 1 - (1 - 0.6)(1 - 0.4 / sqrt 2) and 1 - (1 - 0.7)(1 - 0.6)(1 - 0.4)(1 - 0.4 / sqrt 2)
    assert failed["value"] == pytest.approx(0.7131, abs=1e-4)
    assert fixed["value"] == pytest.approx(0.9484, abs=1e-4)
    assert fixed["reasons"][0] == "0.70: the user corrected it (1 times)"
    with pytest.raises(BadInput, match="status"):
        pit_native.StaleManager.assess([{"run": "a", "task": "t"}])


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
