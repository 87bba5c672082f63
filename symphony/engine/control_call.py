"""What the run loop asks of a control Player."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ControlCall:
    """Which control Player, with which parameters and inputs. `run` may be a nested run."""

    run: str
    node: str
    player: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Any]
