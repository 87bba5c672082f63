"""What a Motif brings to the page, as its manifest says it: colours, an arrangement of the views, and components."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

LEAST_CONTRAST = 4.5
"""The least contrast between words and what is behind them (WCAG 2.2, level AA)."""

ViewName = Literal["compose", "board", "artifacts", "store", "market", "panels", "settings"]

_COLOUR = re.compile(r"#[0-9a-f]{6}")


def _colour(value: Any) -> Any:
    if isinstance(value, str):
        value = value.lower()
        if not _COLOUR.fullmatch(value):
            raise ValueError(f"{value!r} is no colour; write six hexadecimal digits, such as #1b1d2a")
    return value


Colour = Annotated[str, BeforeValidator(_colour)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Palette(_Table):
    """All colours of the page in light or in dark. What is read must stand out from what is behind it."""

    background: Colour
    surface: Colour
    sunken: Colour
    foreground: Colour
    muted: Colour
    border: Colour
    border_strong: Colour
    primary: Colour
    primary_hover: Colour
    on_primary: Colour
    accent: Colour
    accent_soft: Colour
    info: Colour
    info_soft: Colour
    good: Colour
    good_soft: Colour
    warning: Colour
    warning_soft: Colour
    bad: Colour
    bad_soft: Colour
    ring: Colour

    @model_validator(mode="after")
    def _legible(self) -> Palette:
        for words, behind in _READ_ON:
            ratio = contrast(getattr(self, words), getattr(self, behind))
            if ratio < LEAST_CONTRAST:
                raise ValueError(
                    f"{words} on {behind} has a contrast of {ratio:.1f}, which cannot be read by everyone; "
                    f"it must be {LEAST_CONTRAST} or more"
                )
        return self


_READ_ON = [
    *((words, behind) for words in ("foreground", "muted") for behind in ("background", "surface", "sunken")),
    *(("on_primary", behind) for behind in ("primary", "primary_hover")),
    *(
        (tone, behind)
        for tone in ("accent", "info", "good", "warning", "bad")
        for behind in ("background", "surface", f"{tone}_soft")
    ),
]


class ThemeTable(_Table):
    """`[theme]`: colours for the light page, the dark page, or both."""

    name: str = Field(min_length=1, max_length=40)
    """What Settings calls it."""
    light: Palette | None = None
    """The colours of the light page, each as `#rrggbb`; `docs/motifs.md` names them."""
    dark: Palette | None = None
    """Those of the dark page."""

    @model_validator(mode="after")
    def _some(self) -> ThemeTable:
        if self.light is None and self.dark is None:
            raise ValueError("has no colours; add [theme.light], [theme.dark] or both")
        return self


class LayoutTable(_Table):
    """`[layout]`: which view opens first, in which order the navigation names them, and how dense they are."""

    name: str = Field(min_length=1, max_length=40)
    """What Settings calls it."""
    first: ViewName = "compose"
    """The view that opens first."""
    order: list[ViewName] = []
    """The views in the order of the navigation; those left out follow."""
    density: Literal["normal", "compact"] = "normal"
    """How close things stand together."""

    @model_validator(mode="after")
    def _once(self) -> LayoutTable:
        twice = next((a for a, b in pairwise(sorted(self.order)) if a == b), None)
        if twice is not None:
            raise ValueError(f"order names {twice} twice")
        return self


class ComponentTable(_Table):
    """`[[components]]`: a function that shows a tree of the catalogue for as long as it is open.

    A function with one input is a view of the artifacts of that input's type; one without is a panel.
    """

    title: str = Field(min_length=1, max_length=40)
    """What it is called on the page."""
    function: str
    """The function of `[[functions]]` that shows it."""


def contrast(first: str, second: str) -> float:
    """The contrast of two colours `#rrggbb`, 1 to 21 (WCAG 2.2, relative luminance of sRGB)."""
    high, low = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
