"""What a node may take, and what is decided while a Melody plays: rules with reasons and a plain default."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.needs import ENOUGH, Means, Measured, model_for, needs_of
from conductor.playing import (
    Experience,
    Failure,
    Step,
    Tries,
    after_failure,
    ahead,
    levels_of,
    strategy_of,
    verdict_of,
)
from symphony.config.orchestration import ErrorRule, Models, Policies
from symphony.melody.model import Node
from symphony.types.players import FunctionSpec, ParamSpec

GIB = 1 << 30


def spec(kind: str = "operator", **given: Any) -> FunctionSpec:
    return FunctionSpec("acme/tool#run", kind, "does it", {}, {"text": "text"}, memory=GIB, cpu=2.0, **given)


ASKS = spec("instrument", params={"model": ParamSpec("string", "which model")})


def policies(document: dict[str, Any]) -> Policies:
    return Policies.model_validate(document)


# --- what a node may take -----------------------------------------------------------------------
def test_without_experience_the_manifest_and_the_setting_hold() -> None:
    assert needs_of(spec(), {}, Means(node_timeout=300.0)) == {
        "timeout": "5m",
        "retry": {"attempts": 1, "backoff": "exponential"},
        "resources": {"cpu": 2.0, "memory": "1GiB"},
    }


def test_what_was_measured_often_enough_sizes_a_node() -> None:
    seen = Measured(runs=ENOUGH, seconds=1.0, slow=9.0, memory=100 << 20, cpu=0.6)
    needs = needs_of(spec(), {}, Means(measured={"acme/tool#run": seen}))
    assert needs["timeout"] == "90s"
    assert needs["resources"] == {"cpu": 0.75, "memory": "200MiB"}
    few = Measured(runs=ENOUGH - 1, seconds=1.0, slow=9.0, memory=100 << 20, cpu=0.6)
    assert needs_of(spec(), {}, Means(measured={"acme/tool#run": few})) == needs_of(spec(), {}, Means())


def test_a_measurement_never_asks_for_more_than_the_manifest() -> None:
    seen = Measured(runs=50, slow=0.001, memory=40 * GIB, cpu=16.0)
    needs = needs_of(spec(), {}, Means(measured={"acme/tool#run": seen}))
    assert needs["resources"] == {"cpu": 2.0, "memory": "1GiB"} and needs["timeout"] == "1m"


@pytest.mark.parametrize(
    ("of", "seen", "attempts"),
    [
        (spec(), Measured(), 1),
        (spec(effects=True), Measured(runs=20, failed=20), 1),
        (ASKS, Measured(), 3),
        (spec(), Measured(runs=6, failed=4), 2),
        (spec(), Measured(runs=0, failed=9), 1),
    ],
)
def test_tries_follow_from_what_a_player_is_and_how_it_fared(
    of: FunctionSpec, seen: Measured, attempts: int
) -> None:
    assert needs_of(of, {}, Means(measured={"acme/tool#run": seen}))["retry"]["attempts"] == attempts


def test_what_stops_itself_is_not_stopped_before() -> None:
    own = spec(params={"timeout": ParamSpec("duration", default="10m")})
    assert needs_of(own, {}, Means(node_timeout=60.0))["timeout"] == "630s"
    assert needs_of(own, {"timeout": "1h"}, Means(node_timeout=60.0))["timeout"] == "3630s"


def test_policies_come_first_and_a_node_reads_them() -> None:
    rules = policies(
        {
            "defaults": {"timeout": "9m", "resources": {"gpu": 1}},
            "players": {
                "acme/*": {
                    "retry": {"attempts": 4, "delay": "2s"},
                    "resources": {"memory": "2GiB"},
                    "fallback": "other/tool#run",
                }
            },
        }
    )
    needs = needs_of(spec(), {}, Means(policies=rules, measured={"acme/tool#run": Measured(runs=99, slow=1)}))
    node = Node.model_validate({"id": "n", "kind": "operator", "player": "acme/tool#run", **needs})
    assert node.timeout == 540.0 and node.retry and (node.retry.attempts, node.retry.delay) == (4, 2.0)
    assert node.resources and (node.resources.memory, node.resources.gpu) == (2 * GIB, 1.0)
    assert node.fallback == "other/tool#run"
    assert "fallback" not in needs_of(spec(), {}, Means())


# --- which model --------------------------------------------------------------------------------
def models(**remote: dict[str, Any]) -> Models:
    return Models.model_validate({"remote": remote})


TWO = models(small={"quality": 0.6, "price_output": 1}, large={"quality": 0.9, "price_output": 500})


def test_the_model_of_most_worth_is_asked() -> None:
    assert model_for(ASKS, {}, Means(models=TWO)) == "small"
    rich = policies({"cost_weight": 0})
    assert model_for(ASKS, {}, Means(models=TWO, policies=rich)) == "large"


def test_what_a_model_made_corrects_what_is_said_of_it() -> None:
    poor = {"small": Measured(runs=100, quality=0.1)}
    assert model_for(ASKS, {}, Means(models=TWO, by_model=poor)) == "large"
    down = {"small": Measured(runs=0, failed=9)}
    assert model_for(ASKS, {}, Means(models=TWO, by_model=down)) == "large"


def test_the_host_chooses_where_models_are_alike_or_somebody_chose_already() -> None:
    alike = models(a={"quality": 0.7}, b={"quality": 0.7})
    assert model_for(ASKS, {}, Means(models=alike)) is None
    assert model_for(ASKS, {"model": "mine"}, Means(models=TWO)) is None
    assert model_for(spec(), {}, Means(models=TWO)) is None
    others = models(a={"quality": 0.7, "players": "other/*"})
    assert model_for(ASKS, {}, Means(models=others)) is None


# --- strategy -----------------------------------------------------------------------------------
def steps(*rows: tuple[str, str], **given: Any) -> list[Step]:
    return [Step(i, f"acme/{i}#run", tuple(after.split()), **given) for i, after in rows]


WIDE = (("a", ""), ("b", ""), ("c", "a b"))


def test_levels_are_what_may_play_at_once() -> None:
    found = levels_of(steps(("c", "a b"), ("a", ""), ("b", ""), ("d", "c")))
    assert [[s.id for s in level] for level in found] == [["a", "b"], ["c"], ["d"]]
    assert levels_of([]) == []


@pytest.mark.parametrize(
    ("given", "capacity", "strategy"),
    [
        ({"memory": GIB}, {"memory": 3.0 * GIB, "cpu": 4.0}, "parallel"),
        ({"memory": 2 * GIB}, {"memory": 3.0 * GIB, "cpu": 4.0}, "sequential"),
        ({"busy": 0.95}, {"cpu": 1.0}, "sequential"),
        ({"busy": 0.95}, {"cpu": 2.0}, "parallel"),
        ({"busy": 0.1}, {"cpu": 1.0}, "parallel"),
        ({}, {}, "parallel"),
    ],
)
def test_adaptive_looks_at_memory_and_cores(
    given: dict[str, Any], capacity: dict[str, float], strategy: str
) -> None:
    assert strategy_of(steps(*WIDE, **given), Policies(), capacity).value == strategy


def test_a_policy_names_the_strategy() -> None:
    for strategy in ("sequential", "parallel"):
        decision = strategy_of(
            steps(*WIDE, memory=9 * GIB), policies({"strategy": strategy}), {"memory": GIB}
        )
        assert decision.value == strategy and "policies.yaml" in decision.why


def test_later_players_are_made_ready_as_far_as_there_is_room() -> None:
    keys = {"a": "one", "b": "two", "c": "three", "d": "two", "e": "four"}
    chain = steps(("a", ""), ("b", ""), ("c", "a"), ("d", "c"), ("e", "d"))
    assert ahead(chain, keys, 9) == ["three", "four"], "what plays first needs no hint"
    assert ahead(chain, keys, 1) == ["three"] and ahead(chain, keys, 0) == []


# --- failures -----------------------------------------------------------------------------------
def failed(code: str = "timeout", attempt: int = 1, **given: Any) -> Failure:
    return Failure("acme/tool#run", code, attempt, **given)


def experience(made: int, helped: int) -> Experience:
    return Experience({("acme/tool#run", "timeout"): Tries(made, helped)})


def test_with_little_experience_the_plain_default_holds() -> None:
    decision = after_failure(failed(), Policies(), experience(4, 4))
    assert decision.value == "default" and verdict_of(decision) == {"action": "default"}


def test_experience_decides_by_class_of_error() -> None:
    hopeless = after_failure(failed(has_fallback=True), Policies(), experience(20, 1))
    assert verdict_of(hopeless) == {"action": "fallback"}
    assert verdict_of(after_failure(failed(), Policies(), experience(20, 1))) == {"action": "fail"}
    hopeful = after_failure(failed(attempt=2), Policies(), experience(20, 18))
    assert verdict_of(hopeful) == {"action": "retry", "delay": 1.0}
    assert after_failure(failed("crashed"), Policies(), experience(20, 18)).value == "default"
    assert after_failure(failed(attempt=3), Policies(), experience(20, 18)).value == "default"


def test_what_changes_something_is_not_tried_again_by_experience() -> None:
    assert after_failure(failed(has_effects=True), Policies(), experience(20, 18)).value == "default"


def test_a_policy_decides_by_class_of_error() -> None:
    rules = Policies(
        errors={"timeout": ErrorRule(attempts=3, delay=0.25), "no_endpoint": ErrorRule(action="skip")}
    )
    first, second, third = (
        verdict_of(after_failure(failed(attempt=n, has_fallback=True), rules, Experience()))
        for n in (1, 2, 3)
    )
    assert first == {"action": "retry", "delay": 0.25} and second == {"action": "retry", "delay": 0.5}
    assert third == {"action": "fallback"}
    assert verdict_of(after_failure(failed(attempt=3), rules, Experience())) == {"action": "fail"}
    assert verdict_of(after_failure(failed("no_endpoint"), rules, Experience())) == {"action": "skip"}
    assert after_failure(failed("other"), rules, Experience()).value == "default"
