"""The marketplace of a registry that offers more than anybody scrolls through."""

from __future__ import annotations

from pathlib import Path

import pytest

from benches.registry_entries import write_registry
from symphony.app import extensions
from symphony.app.extensions import Extensions
from symphony.config import Configuration
from symphony.config.home import Home


def test_the_first_are_listed_and_the_others_found(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, "LISTED", 5)
    registry = write_registry(tmp_path / "registry", 40)
    place = Home(home).create()
    place.config.write_text(f'[registry]\nfolder = "{registry}"\n')
    offer = Extensions(place, Configuration.load(place))
    rows = offer.rows("", installed_only=False)
    installed = [row["name"] for row in rows if row["installed"]]
    assert installed == sorted(installed) and "symphony/git" in installed
    assert len(rows) - len(installed) == 5
    assert [row["name"] for row in offer.rows("", installed_only=True)] == installed
    last = offer.registry.names()[-1]
    assert last not in [row["name"] for row in rows]
    assert [row["name"] for row in offer.rows(last, installed_only=False)] == [last]
    assert offer.rows("git log", installed_only=False)[0]["name"] == "symphony/git"
    offer.close()
