"""Vendoring: done once for a lock, again when the lock changes, never half."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphony.errors import EnvironmentLacks
from symphony.kit.vendor import main, stamp, vendor


def test_an_up_to_date_folder_is_left_alone(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("")
    assert vendor(tmp_path)
    assert not vendor(tmp_path)
    lock.write_text("# changed\n")
    (tmp_path / "vendor" / "old").write_text("")
    assert vendor(tmp_path)
    assert not (tmp_path / "vendor" / "old").exists()
    assert (tmp_path / "vendor" / ".stamp").read_text() == stamp(lock)


def test_a_failure_keeps_the_old_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "old").write_text("")
    (tmp_path / "requirements.lock").write_text("not a requirement at all ===\n")
    with pytest.raises(EnvironmentLacks, match=r"requirements\.lock"):
        vendor(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["requirements.lock", "vendor"]
    assert (tmp_path / "vendor" / "old").exists()
    assert main([str(tmp_path)]) == 3
    assert "requirements.lock" in capsys.readouterr().err


def test_without_a_lock_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert not vendor(tmp_path)
