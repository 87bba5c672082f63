"""What the host asks of a text engine: buffers that are opened, edited and read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NewType, Protocol

BufferId = NewType("BufferId", str)


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Replaces the characters from `start` up to `end` (offsets in code points) by `text`."""

    start: int
    end: int
    text: str


class TextEditingPort(Protocol):
    """A buffer belongs to whoever opened it until it is closed; nothing reaches the disk before `save`."""

    async def open_file(self, path: Path) -> BufferId:
        """A buffer with the file's text; a new one each time. Raises NotFound, or BadInput if it is no text."""
        ...

    async def edit_text(self, buffer: BufferId, edit: TextEdit) -> None:
        """Changes the buffer. Raises NotFound, or BadInput when the range lies outside; then nothing changes."""
        ...

    async def get_buffer_content(self, buffer: BufferId) -> str:
        """The text as it is now. Raises NotFound."""
        ...

    async def save(self, buffer: BufferId) -> None:
        """Writes the text to its file, whole or not at all. Raises NotFound or StorageFull."""
        ...

    async def close(self, buffer: BufferId) -> None:
        """Forgets the buffer with what was not saved. Raises NotFound."""
        ...
