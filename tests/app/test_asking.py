"""A terminal puts the Conductor's question before the Melody; without one the likelier reading is taken and told."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROMPT = "lint helper.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    for folder in ("src/a", "src/b"):
        (place / folder).mkdir(parents=True)
        (place / folder / "helper.py").write_text("import os\n")
    return place


def answered(home: Path, project: Path, line: str) -> tuple[int, str]:
    """`symphony compose` in a terminal in which a person answers with this line."""
    ours, theirs = pty.openpty()
    program = str(Path(sys.prefix) / "bin" / "symphony")
    child = subprocess.Popen(
        [program, "compose", PROMPT, "--project", str(project)],
        env={**os.environ, "SYMPHONY_HOME": str(home), "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen, told = bytearray(), False
    try:
        while piece := os.read(ours, 65536):
            seen += piece
            if not told and b"Which [" in seen:
                os.write(ours, line.encode())
                told = True
    except OSError:  # the last writer is gone
        pass
    finally:
        os.close(ours)
    return child.wait(timeout=60), seen.decode()


@pytest.mark.parametrize(("line", "chosen"), [("2\n", "src/b/helper.py"), ("\n", "src/a/helper.py")])
def test_a_person_in_a_terminal_is_asked(home: Path, project: Path, line: str, chosen: str) -> None:
    code, seen = answered(home, project, line)
    assert code == 0
    assert (
        "Which file is “helper.py”?" in seen and "1  src/a/helper.py" in seen and "2  src/b/helper.py" in seen
    )
    assert f"path={chosen}" in seen
    assert "it may also be" not in seen, "what was answered is not told again"


def test_without_a_terminal_the_likelier_reading_is_taken_and_told(
    symphony: Callable[..., Any], project: Path
) -> None:
    done = symphony("compose", PROMPT, "--project", project)
    assert done.code == 0 and "path=src/a/helper.py" in done.out
    assert "Taken: src/a/helper.py; it may also be src/b/helper.py" in " ".join(done.out.split())
    answer = json.loads(symphony("compose", PROMPT, "--project", project, "--json").out)
    assert [c["value"] for c in answer["question"]["choices"]] == ["src/a/helper.py", "src/b/helper.py"]
    assert answer["melody"]["nodes"][0]["params"]["path"] == "src/a/helper.py"
