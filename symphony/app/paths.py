"""Where the built parts are: the page, the encoder, the launcher, the embedded registry."""

from __future__ import annotations

import sys
from pathlib import Path

from symphony.app.planning import ConductorFiles
from symphony.config.home import Home

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that this host runs from."""


def page_files() -> Path:
    """The built page."""
    return ROOT / "frontend" / "dist"


def encoder_files() -> Path:
    """The sentence encoder: `encoder.onnx` and `tokenizer.json`."""
    return ROOT / "build" / "encoder"


def bundled_extensions() -> Path:
    """The bundled Players."""
    return ROOT / "extensions"


def registry_files() -> Path:
    """The registry that the build embedded and signed."""
    return ROOT / "build" / "registry"


def launcher() -> Path:
    """The sandbox launcher, beside the interpreter of the environment."""
    return Path(sys.prefix) / "bin" / "symphony-launcher"


def template_library() -> Path:
    """What the interpreter of the Players' template loads."""
    return Path(sys.prefix) / "lib" / "libsymphony_template.so"


def conductor_files(home: Home, encoder: str = "") -> ConductorFiles:
    """What the Conductor loads; `encoder` is the folder of another encoder than the built one."""
    weights = ROOT / "conductor" / "weights" / "policy.npz"
    place = Path(encoder).expanduser() if encoder else encoder_files()
    return ConductorFiles(place, weights if weights.exists() else None, home.path / "cache")
