"""What the manifest of a Motif may say, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphony.errors import InvalidManifest
from symphony.stage.manifest import Manifest, load_manifest, parse_manifest
from symphony.stage.motif import Palette, contrast

EXTENSIONS = Path(__file__).resolve().parents[2] / "extensions"

HEAD = """
[extension]
name = "acme/motif"
version = "1.0.0"
type = "{type}"
runtime = "{runtime}"
"""
FUNCTION = """
[[functions]]
name = "show"
description = "Shows something"
inputs = {{ {inputs} }}
optional = [{optional}]
"""


BEHIND = {
    "background": "foreground",
    "surface": "foreground",
    "on_primary": "primary",
    "primary": "on_primary",
    "primary_hover": "on_primary",
}
COMPONENT = """
[[components]]
title = "C"
function = "show"
"""


def palette() -> dict[str, str]:
    found = load_manifest(EXTENSIONS / "paper").theme
    assert found is not None and found.light is not None
    return found.light.model_dump()


def read(*parts: str, type: str = "motif", runtime: str = "motif") -> Manifest:
    return parse_manifest(HEAD.format(type=type, runtime=runtime) + "".join(parts))


def theme(**changed: str) -> str:
    colours = {**palette(), **changed}
    lines = "".join(f'{name} = "{colour}"\n' for name, colour in colours.items() if colour)
    return f'[theme]\nname = "T"\n[theme.light]\n{lines}'


def test_the_bundled_motifs_are_read() -> None:
    assert load_manifest(EXTENSIONS / "desk").layout is not None
    explorer = load_manifest(EXTENSIONS / "explorer")
    assert explorer.functions == [] and explorer.component("rows") is not None
    assert explorer.function("rows") is None and explorer.component("other") is None


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#ff0000", "#ffffff") == contrast("#ffffff", "#ff0000") == pytest.approx(4.0, abs=0.005)


def test_colours_are_written_in_one_way() -> None:
    theme_of = read(theme(border="#ABCDEF")).theme
    assert theme_of is not None and theme_of.light is not None and theme_of.light.border == "#abcdef"


@pytest.mark.parametrize(
    "wrong",
    [
        "red",
        "#fff",
        "#12345g",
        "rgb(1,2,3)",
        "#123456;",
        "url(https://a.b)",
        "var(--bad)",
        "#1234567",
        " #123456",
    ],
)
def test_what_is_no_colour_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidManifest, match="no colour"):
        read(theme(ring=wrong))


@pytest.mark.parametrize(
    "name", sorted(set(Palette.model_fields) - {"border", "border_strong", "ring", "sunken"})
)
def test_words_that_cannot_be_read_are_refused(name: str) -> None:
    # In the colour of what it is read on, or of what is read on it, it disappears.
    other = BEHIND.get(name) or (name.removesuffix("_soft") if name.endswith("_soft") else "surface")
    with pytest.raises(InvalidManifest, match="contrast"):
        read(theme(**{name: palette()[other]}))


@pytest.mark.parametrize(
    ("parts", "options", "wrong"),
    [
        ([theme(ring="")], {}, "ring"),
        (['[theme]\nname = "T"'], {}, "no colours"),
        ([theme()], {"type": "operator", "runtime": "python"}, "only an extension of type"),
        ([theme(), '[theme.light.more]\nx = "#000000"'], {}, "no key"),
        (['[layout]\nname = "L"\nfirst = "nowhere"'], {}, "compose"),
        (['[layout]\nname = "L"\norder = ["board", "board"]'], {}, "board twice"),
        (['[layout]\nname = "L"\ndensity = "loose"'], {}, "compact"),
        ([], {"type": "operator"}, 'needs type = "motif"'),
        ([FUNCTION.format(inputs="", optional="")], {}, "runs nothing"),
        (['[capabilities]\nsystem = ["exec:git"]'], {}, "runs nothing"),
        ([COMPONENT], {"runtime": "python"}, "names no function"),
        (
            [FUNCTION.format(inputs='a = "text", b = "text"', optional=""), COMPONENT],
            {"runtime": "python"},
            "one input or none",
        ),
        (
            [FUNCTION.format(inputs='a = "text"', optional='"a"'), COMPONENT],
            {"runtime": "python"},
            "one input or none",
        ),
        (['[layout]\nname = ""'], {}, "name"),
    ],
)
def test_what_does_not_fit_is_refused(parts: list[str], options: dict[str, str], wrong: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        read(*parts, **options)
    assert wrong in str(caught.value)
