"""What the SDK needs of `Symphony.toml`, read only when the host did not say it."""

from __future__ import annotations

import os

from symphony.sdk.declared import DeclaredOutputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Manifest:
    """The manifest beside an entry file. An extension without one has no name and declares nothing."""

    def __init__(self, entry: str) -> None:
        self._path = os.path.join(os.path.dirname(os.path.abspath(entry)), "Symphony.toml")  # noqa: PTH100, PTH118, PTH120
        self._content: dict[str, Any] | None = None
        self._outputs: dict[str, DeclaredOutputs] = {}

    @property
    def content(self) -> dict[str, Any]:
        """The parsed file; empty when there is none."""
        if self._content is None:
            # Imported here: parsing TOML costs more than all the rest of a Player's start.
            import tomllib

            try:
                with open(self._path, "rb") as file:  # noqa: PTH123
                    self._content = tomllib.load(file)
            except FileNotFoundError:
                self._content = {}
        return self._content

    def outputs(self, function: str) -> DeclaredOutputs | None:
        """The declared outputs of a function, or None when it is not declared."""
        known = self._outputs.get(function)
        if known is not None:
            return known
        for declared in self.content.get("functions", []):
            if declared.get("name") == function:
                outputs = DeclaredOutputs(declared.get("outputs", {}), self.content.get("types"))
                return self._outputs.setdefault(function, outputs)
        return None

    def identity(self) -> tuple[str, str]:
        """Name and version. A name without publisher belongs to `local`."""
        extension = self.content.get("extension", {})
        name = str(extension.get("name", ""))
        return (name if "/" in name or not name else f"local/{name}"), str(extension.get("version", ""))
