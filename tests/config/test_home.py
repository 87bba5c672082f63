"""The home's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphony.config import Home
from symphony.errors import EnvironmentLacks


def test_it_is_private_and_made_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "h").create()
    home.create()
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert home.store.is_dir() and home.sockets.is_dir() and home.logs.is_dir()
    assert home.lock.parent == home.path


def test_the_environment_names_it(tmp_path: Path) -> None:
    assert Home.resolve({"SYMPHONY_HOME": str(tmp_path)}).path == tmp_path
    assert Home.resolve({}).path.name == "symphony"


def test_sockets_lie_below_the_home_however_long_its_path_is(tmp_path: Path) -> None:
    home = Home(tmp_path / ("long" * 40)).create()
    assert home.sockets.is_relative_to(home.path)
    assert home.sockets.stat().st_mode & 0o077 == 0


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentLacks, match="cannot be made"):
        Home(tmp_path / "file" / "home").create()


def test_the_last_project_and_the_address_are_remembered(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").create()
    assert home.last_project() is None and home.address() is None
    home.remember_project(tmp_path)
    home.write_address("http://127.0.0.1:1/#token=x")
    assert home.last_project() == tmp_path and home.address() == "http://127.0.0.1:1/#token=x"
    home.remember_project(tmp_path / "gone")
    home.write_address(None)
    assert home.last_project() is None and home.address() is None
