"""A content of any size goes to a tier and comes back in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiers.conftest import KEYS, connection_string

SIZES = [32, 80]
"""MiB; both are several parts of 5."""
BOUND = 24 << 20
"""Half of what the larger one is more."""


@pytest.mark.parametrize("kind", ["archive", "s3", "azure"])
def test_a_large_content_moves_in_little_memory(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    given: list[str]
    if kind == "archive":
        folder = tmp_path / "archive"
        folder.mkdir()
        given = [str(folder)]
    else:
        port = request.getfixturevalue(f"{kind}_port")
        tier: Any = request.getfixturevalue(f"make_{kind}")()
        if kind == "s3":
            given = [tier._bucket, f"http://127.0.0.1:{port}", *KEYS]
        else:
            given = [tier._container, connection_string(port)]
    command = [
        sys.executable,
        "-m",
        "tests.tiers.memory_child",
        str(tmp_path),
        json.dumps(SIZES),
        kind,
        *given,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    small, large = json.loads(done.stdout)
    assert large - small < BOUND, f"{(large - small) >> 20} MiB more"
