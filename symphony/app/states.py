"""What of the host can be undone: settings, melodies, extensions and permissions, ratings, changes to projects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony.app.action_log import ActionLog
from symphony.app.changes import Changes
from symphony.config import Configuration
from symphony.errors import BadInput
from symphony.kit.installer import Installer, folders_of
from symphony.kit.state import InstallState
from symphony.melody.store import PolyphonyStore

if TYPE_CHECKING:
    from symphony.app.learning.service import Learning

Json = dict[str, Any]


class SettingStates:
    """A setting as a file has it; the subject is of `subject_of`. `changed` is told of keys with another value."""

    def __init__(self, configuration: Configuration, changed: Callable[[list[str]], None]) -> None:
        self._configuration = configuration
        self._changed = changed

    async def look(self, subject: str) -> Json:
        """The value in that file."""
        return await asyncio.to_thread(self.value, subject)

    async def put(self, subject: str, state: Json) -> None:
        """Writes it there, or removes it."""
        key, file = _parts(subject)
        scope = self._configuration.scope_of(file)
        if scope is None:
            raise BadInput(
                f"{file} is not the settings of the open project", remedy="open that project first"
            )
        self._changed(await asyncio.to_thread(self._configuration.set, key, state.get("value"), scope))

    def value(self, subject: str) -> Json:
        """As `look`, at once."""
        key, file = _parts(subject)
        found = self._configuration.written(key, file)
        return {} if found is None else {"value": found}


def subject_of(configuration: Configuration, key: str, scope: str) -> str:
    """A setting in the file of a scope."""
    return f"{key} in {configuration.file_of(scope)}"


def _parts(subject: str) -> tuple[str, Path]:
    key, _, file = subject.partition(" in ")
    return key, Path(file)


class MelodyStates:
    """A saved melody with all its versions; the subject is its id. `changed` is told that the list is another."""

    def __init__(self, melodies: PolyphonyStore, changed: Callable[[], None]) -> None:
        self._melodies = melodies
        self._changed = changed

    async def look(self, subject: str) -> Json:
        """All that is kept of it."""
        return await asyncio.to_thread(self._melodies.kept, subject)

    async def put(self, subject: str, state: Json) -> None:
        """Makes this all that is kept of it."""
        await asyncio.to_thread(self._melodies.put_back, subject, state)
        self._changed()


class ExtensionStates:
    """All that is installed, enabled, granted and limited, whatever the subject.

    The files of what could come back are spared.
    """

    def __init__(
        self,
        installer: Installer,
        log: ActionLog,
    ) -> None:
        self._installer = installer
        self._log = log
        self.changed: Callable[[InstallState, InstallState], Awaitable[None]] | None = None
        """Told of the state before and after one was put back."""
        self._seen: Json = {}
        """The state before the action that is under way."""

    async def look(self, subject: str) -> Json:
        """The whole state: what an action made different of it is all that is kept."""
        state = await asyncio.to_thread(self._installer.state)
        self._seen = state.model_dump(mode="json")
        return self._seen

    async def put(self, subject: str, state: Json) -> None:
        """Makes this what is installed."""
        before, after = InstallState.model_validate(self._seen), InstallState.model_validate(state)
        await asyncio.to_thread(self._installer.restore, after)
        if self.changed is not None:
            await self.changed(before, after)

    def spared(self) -> set[str]:
        """Folders of versions that an action may bring back."""
        found = folders_of(InstallState.model_validate(self._seen))
        for state in self._log.states("extension"):
            for record in (state.get("extensions") or {}).values():
                found |= {version["folder"] for version in record.get("versions", ())}
        return found


class RatingStates:
    """What the user says of a run; the subject is the run."""

    def __init__(self, learning: Learning) -> None:
        self._learning = learning

    async def look(self, subject: str) -> Json:
        """`{"rating": …}`: 1 good, -1 bad, 0 none."""
        return {"rating": int(((await self._learning.rating(subject)) or {}).get("rating") or 0)}

    async def put(self, subject: str, state: Json) -> None:
        """Rates it so."""
        await self._learning.rate(subject, state["rating"])


class ChangeStates:
    """Whether a set of changes is in its project."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def look(self, subject: str) -> Json:
        """`{"applied": …}`"""
        return {"applied": await self._changes.is_applied(subject)}

    async def put(self, subject: str, state: Json) -> None:
        """Applies it or takes it back."""
        await (self._changes.apply if state["applied"] else self._changes.undo)(subject)
