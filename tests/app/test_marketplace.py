"""The marketplace of a registry that offers more than anybody scrolls through."""

from __future__ import annotations

from pathlib import Path

from benches.registry_entries import write_registry
from symphony.app.extensions import Extensions
from symphony.config import Configuration
from symphony.config.home import Home
from symphony.kit.registry import Entry, Registry


def test_the_first_are_listed_and_the_others_found(home: Path, tmp_path: Path) -> None:
    registry = write_registry(tmp_path / "registry", 40)
    place = Home(home).create()
    place.config.write_text(f'[registry]\nfolder = "{registry}"\n')
    offer = Extensions(place, Configuration.load(place))
    rows, on_offer = offer.rows("", offered=5)
    installed = [row["name"] for row in rows if row["installed"]]
    assert installed == sorted(installed) and "symphony/git" in installed
    assert (len(rows) - len(installed), on_offer) == (5, 40)
    assert [row["name"] for row in offer.rows("", offered=0)[0]] == installed
    names = offer.registry.names()
    assert [row["name"] for row in rows if not row["installed"]] == names[:5]
    assert [row["name"] for row in offer.rows(names[-1], offered=5)[0]] == [names[-1]]
    assert offer.rows("git log", offered=5)[0][0]["name"] == "symphony/git"
    offer.close()


def test_only_what_is_shown_is_read(home: Path, tmp_path: Path) -> None:
    """A manifest is validated for a row that is asked for and for no other: ten thousand would take seconds."""
    registry = write_registry(tmp_path / "registry", 40)
    place = Home(home).create()
    place.config.write_text(f'[registry]\nfolder = "{registry}"\n')
    offer = Extensions(place, Configuration.load(place))
    offer.rows("", offered=7)
    offered = [entry for name in offer.registry.names() for entry in offer.registry.versions(name)]
    assert sum("manifest" in entry.__dict__ for entry in offered) == 7
    offer.close()


def test_every_word_is_looked_for_and_those_in_the_name_come_first() -> None:
    def entry(name: str, description: str) -> Entry:
        return Entry(name, "1.0.0", "f", 1, "0", {"extension": {"description": description}})

    registry = Registry(
        None,
        [
            entry("a/charts", "draws bars"),
            entry("b/bars", "draws a Chart of them"),
            entry("c/chart-bars", "both"),
            entry("d/lines", "draws a chart"),
        ],
    )
    assert [e.name for e in registry.find("CHART bar")] == ["c/chart-bars", "a/charts", "b/bars"]
    assert [e.name for e in registry.find("bar CHART")] == ["c/chart-bars", "a/charts", "b/bars"]
    assert [e.name for e in registry.find("")] == ["a/charts", "b/bars", "c/chart-bars", "d/lines"]
    assert registry.find("chart nothing") == []
