"""What the host asks of the Grand Stage: extensions that are loaded and called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NewType, Protocol

ExtensionId = NewType("ExtensionId", str)


class ExtensionPort(Protocol):
    """An extension that fails, hangs or ends harms only the call it was in."""

    async def load_extension(self, folder: Path) -> ExtensionId:
        """Makes the extension in `folder` callable; the same one again gives the same id.

        Raises InvalidManifest.
        """
        ...

    async def invoke_extension(
        self,
        extension: ExtensionId,
        function: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any],
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The outputs by port. Raises NotFound for an unknown extension or function, PlayerError when it fails."""
        ...

    async def unload_extension(self, extension: ExtensionId) -> None:
        """Ends the extension's process; afterwards its id is unknown. Raises NotFound."""
        ...
