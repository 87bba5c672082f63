"""Extensions that their authors work on: states of a folder, each kept as it was when it was taken."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from symphony.errors import PermissionDenied
from symphony.kit.package import pack, read
from symphony.kit.unpacking import unpack
from symphony.stage.permissions import Grants, parse_grant
from symphony.stage.roster import CastMember

log = logging.getLogger(__name__)


class Development:
    """Copies of the folders, so that what plays does not change under its own feet while the author writes."""

    def __init__(self, folder: Path) -> None:
        # Of this host alone: what another left and could not be removed is never played.
        self._root, self._folder = folder, folder / secrets.token_hex(4)
        self._lock = threading.Lock()
        self.members: dict[str, CastMember] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def clear(self) -> None:
        """Removes what a host before left."""
        try:
            shutil.rmtree(self._root)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("Former states of extensions under development stay in %s: %s", self._root, error)

    def take(self, source: Path, agreed: Sequence[str] | None) -> CastMember:
        """The folder as it is now. Its version names the content, so that the same content has the same cache.

        Raises BadInput for a folder that cannot be packed, and PermissionDenied with code `consent_needed`.
        """
        package = read(pack(source), source=str(source))
        manifest = package.manifest
        wanted = manifest.grants()
        missing = Grants(list(agreed or ())).widened_by(wanted)
        if missing:
            words = {grant: parse_grant(grant).explain() for grant in missing}
            raise PermissionDenied(
                f"{manifest.name} asks for permissions",
                code="consent_needed",
                remedy="agree to them",
                findings=[
                    {"grant": grant, "words": said, "message": said, "extension": manifest.name}
                    for grant, said in words.items()
                ],
            )
        state = package.sha256[:12]
        version = f"{manifest.version}+dev.{state}"
        target = f"{manifest.name}/{state}"
        with self._lock:
            if not (self._folder / target).exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                unpack(package, self._folder, target)
            member = CastMember(
                name=manifest.name,
                version=version,
                directory=self._folder / target,
                manifest=manifest.model_copy(
                    update={"extension": manifest.extension.model_copy(update={"version": version})}
                ),
                granted=tuple(wanted),
                is_developed=True,
            )
            self.members[manifest.name] = member
        return member

    def drop(self, name: str) -> None:
        """Ends the development of an extension. The copies go when the next host starts."""
        with self._lock:
            self.members.pop(name, None)
