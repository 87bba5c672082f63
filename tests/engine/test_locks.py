"""Which places the nodes of a plan lock."""

from __future__ import annotations

import pytest

from symphony.engine.locks import write_locks
from symphony.engine.plan import Cast, compile_plan
from symphony.melody.formats import from_document
from symphony.types.players import FunctionSpec, ParamSpec
from symphony.types.port_types import TypeLattice

WORK = "/home/me/work"


def function(**params: str) -> FunctionSpec:
    specs = {name: ParamSpec(kind) for name, kind in params.items()}
    return FunctionSpec("me/writer#save", "operator", "", {}, {}, params=specs, effects=True)


@pytest.mark.parametrize(
    ("grants", "project", "paths"),
    [
        (["write:output/**"], None, ["output/me/writer"]),
        (["write:output/**"], WORK, ["output/me/writer"]),
        (["write:project/docs/*.md", "read:project/**"], WORK, [f"{WORK}/docs"]),
        (["write:project/**/*", "exec:git"], WORK, [WORK]),
        (["write:project/CHANGELOG.md"], WORK, [f"{WORK}/CHANGELOG.md"]),
        (["write:project/**/*"], None, []),
        (["read:project/**", "network:example.com:443", "model:*"], WORK, []),
        # The whole tree is an overlay of the sandbox: its programs may run side by side.
        (["read:project/**", "write:project/**"], WORK, []),
    ],
)
def test_a_lock_covers_what_a_grant_lets_write(
    grants: list[str], project: str | None, paths: list[str]
) -> None:
    assert write_locks(function(), {}, grants, project) == [{"path": path, "mode": "write"} for path in paths]


@pytest.mark.parametrize(
    ("path", "locked"),
    [
        ("docs/a.md", f"{WORK}/docs/a.md"),
        ("docs/../src/x.py", f"{WORK}/src/x.py"),
        # Outside of what it may write: the host will refuse it, and the lock is the grant's.
        ("../elsewhere", WORK),
        (None, WORK),
    ],
)
def test_a_node_that_names_its_path_locks_it_alone(path: str | None, locked: str) -> None:
    spec = function(path="path", title="string")
    params = {"path": path, "title": "docs/b.md"}
    assert write_locks(spec, params, ["write:project/**/*"], WORK) == [{"path": locked, "mode": "write"}]


def test_only_nodes_with_effects_lock() -> None:
    def spec(name: str, effects: bool) -> FunctionSpec:
        return FunctionSpec(f"me/writer#{name}", "operator", "", {}, {"value": "json"}, effects=effects)

    specs = [spec("save", True), spec("look", False)]
    melody = from_document(
        {
            "format": "symphony.melody/1",
            "name": "m",
            "nodes": [{"id": s.function, "kind": "operator", "player": s.player} for s in specs],
            "edges": [],
        }
    )
    cast = Cast(
        {s.player: s for s in specs},
        TypeLattice(),
        project="/p",
        pool_key=lambda extension: extension,
        versions={},
        node_timeout=5.0,
        grants=lambda extension: ["write:project/docs/**"],
    )
    save, look = compile_plan(melody, cast, run="r", run_dir="/r")["nodes"]
    assert save["locks"] == [{"path": "/p/docs", "mode": "write"}] and look["locks"] == []
