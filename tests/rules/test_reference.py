"""The pages that are made from the code are those that the code makes now."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphony.app.reference import PAGES
from symphony.config.catalogue import catalogue

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), "run make docs"


def test_every_setting_says_what_it_does_and_stands_on_its_page() -> None:
    text = (DOCS / "settings.md").read_text("utf-8")
    for key, spec in catalogue().items():
        assert spec.description, key
        section, _, name = key.rpartition(".")
        assert f"`{name}`" in text or f"`retry_policy.{name}`" in text, key
        assert f"## {section}\n" in text or f"`{section.removesuffix('.retry_policy')}`" in text, section
