"""The registry: what it offers, and that only a signed one is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benches.registry_entries import write_registry
from symphony.errors import BadInput, SignatureInvalid
from symphony.kit.embed import embed, main
from symphony.kit.registry import Registry
from symphony.kit.signing import INDEX, new_key, public_key, sign

from .conftest import MakeExtension


@pytest.fixture
def folder(make_extension: MakeExtension, tmp_path: Path) -> Path:
    make_extension("ann/one", "1.0.0", description="Counts words")
    make_extension("ann/one", "1.10.0", description="Counts words")
    make_extension("ann/one", "2.0.0-beta.1", description="Counts words")
    make_extension("bob/chart", description="Draws a chart of words")
    assert main([str(tmp_path / "registry"), str(tmp_path / "sources")]) == 0
    return tmp_path / "registry"


def test_it_offers_the_newest_release(folder: Path) -> None:
    registry = Registry.open(folder)
    assert [(m.name, m.version) for m in registry.newest()] == [("ann/one", "1.10.0"), ("bob/chart", "1.0.0")]
    assert [e.version for e in registry.versions("ann/one")] == ["1.0.0", "1.10.0", "2.0.0-beta.1"]
    assert registry.newest()[0].functions[0].player == "ann/one#work"


def test_search_wants_every_word_and_prefers_names(folder: Path) -> None:
    registry = Registry.open(folder)
    assert [m.name for m in registry.search("words")] == ["ann/one", "bob/chart"]
    assert [m.name for m in registry.search("chart Words")] == ["bob/chart"]
    assert registry.search("nothing like it") == []


def test_no_registry_offers_nothing(tmp_path: Path) -> None:
    assert Registry.open(tmp_path / "none").newest() == []


def test_a_changed_index_is_refused(folder: Path) -> None:
    index = folder / "index.json"
    index.write_bytes(index.read_bytes().replace(b"Counts", b"Steals"))
    with pytest.raises(SignatureInvalid, match="does not match"):
        Registry.open(folder)


def test_an_index_with_a_foreign_path_is_refused(folder: Path) -> None:
    body = json.loads((folder / "index.json").read_bytes())
    body["extensions"][0]["file"] = "../../outside.symphony"
    key, index = new_key(), json.dumps(body).encode()
    (folder / "index.json").write_bytes(index)
    (folder / "index.sig").write_text(sign(key, INDEX, index))
    (folder / "trusted.pub").write_text(public_key(key))
    with pytest.raises(SignatureInvalid, match="cannot be read"):
        Registry.open(folder)


def test_a_swapped_package_is_refused(folder: Path) -> None:
    registry = Registry.open(folder)
    one, two = registry.versions("ann/one")[:2]
    (folder / "packages" / two.file).write_bytes((folder / "packages" / one.file).read_bytes())
    with pytest.raises(SignatureInvalid, match="not the one"):
        registry.package(two)


def test_a_name_without_publisher_is_refused(make_extension: MakeExtension, tmp_path: Path) -> None:
    make_extension("nobody")
    with pytest.raises(BadInput, match="no publisher"):
        embed(tmp_path / "registry", [tmp_path / "sources"])


def test_the_same_version_twice_is_refused(make_extension: MakeExtension, tmp_path: Path) -> None:
    sources = [make_extension(base=tmp_path / name) for name in ("a", "b")]
    with pytest.raises(BadInput, match="there twice"):
        embed(tmp_path / "registry", sources)


def test_searching_is_what_looking_at_each_entry_would_find(tmp_path: Path) -> None:
    registry = Registry.open(write_registry(tmp_path / "registry", 300))
    entries = registry.find("")
    assert [entry.name for entry in entries] == registry.names()
    name = entries[7].name
    for query in (
        "chart",
        "release1 chart",
        "e",
        name,
        name[2:],
        f"{name} run",
        "Chart TABLE1",
        "no such word at all",
    ):
        words = query.lower().split()
        having = [entry for entry in entries if all(word in entry.words for word in words)]
        having.sort(key=lambda entry: -sum(word in entry.name for word in words))
        assert [entry.name for entry in registry.find(query)] == [entry.name for entry in having], query
