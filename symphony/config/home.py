"""The folder that holds all state of a host, and what lies where in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from symphony.config.files import write_atomically
from symphony.errors import EnvironmentLacks


class Home:
    """The layout of `SYMPHONY_HOME`. Nothing is made before `create`."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().absolute()

    @classmethod
    def resolve(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The home that `SYMPHONY_HOME` names, else the platform's data folder."""
        given = (os.environ if environment is None else environment).get("SYMPHONY_HOME")
        if given:
            return cls(given)
        from platformdirs import user_data_path

        return cls(user_data_path("symphony", appauthor=False))

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r})"

    @property
    def lock(self) -> Path:
        """The host's lock, held by the kernel."""
        return self.path / "lock"

    @property
    def config(self) -> Path:
        """The user's settings."""
        return self.path / "config.toml"

    @property
    def store(self) -> Path:
        """The Artifact Store."""
        return self.path / "store"

    @property
    def tiers(self) -> Path:
        """Which tier beside the store holds what."""
        return self.path / "tiers.sqlite"

    @property
    def runs(self) -> Path:
        """One folder a run, with its journal."""
        return self.path / "runs"

    @property
    def pages(self) -> Path:
        """What of the page outlives the host."""
        return self.path / "pages.sqlite"

    @property
    def actions(self) -> Path:
        """The history of actions, and what they replaced."""
        return self.path / "actions.sqlite"

    @property
    def logs(self) -> Path:
        """Structured logs, rotated."""
        return self.path / "logs"

    @property
    def extensions(self) -> Path:
        """Installed extensions."""
        return self.path / "extensions"

    @property
    def audit(self) -> Path:
        """Every use of a capability."""
        return self.path / "audit.jsonl"

    @property
    def cache(self) -> Path:
        """What can be made again."""
        return self.path / "cache"

    @property
    def learning(self) -> Path:
        """What was decided and how it went, and the policies that were learnt from it."""
        return self.path / "learning"

    @property
    def output(self) -> Path:
        """What Players write as `output/`."""
        return self.path / "output"

    @property
    def state(self) -> Path:
        """The SQLite file of the Polyphony Store."""
        return self.path / "state.sqlite"

    @property
    def socket(self) -> Path:
        """Where commands reach a running host. May be longer than a socket's address: open it with
        `symphony.app.wire`.
        """
        return self.path / "host.sock"

    @property
    def sockets(self) -> Path:
        """The folder of the Players' sockets."""
        return self.path / "sockets"

    def create(self) -> Self:
        """Makes the folders that are missing, readable by their owner alone.

        Raises EnvironmentLacks when the home cannot be made or belongs to somebody else.
        """
        for folder in (
            self.path,
            self.store,
            self.runs,
            self.logs,
            self.extensions,
            self.cache,
            self.sockets,
        ):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise EnvironmentLacks(
                    f"The folder {folder} cannot be made: {error.strerror}",
                    remedy="set SYMPHONY_HOME to a folder that you may write",
                ) from None
        return self

    # --- what the host remembers between starts ------------------------------------------------
    def last_project(self) -> Path | None:
        """The project that was open last, if it still exists."""
        try:
            path = Path(json.loads((self.path / "last_project.json").read_text("utf-8"))["path"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return path if path.is_dir() else None

    def remember_project(self, project: Path) -> None:
        """Notes the open project for the next start."""
        write_atomically(self.path / "last_project.json", json.dumps({"path": str(project)}).encode())

    def address(self) -> str | None:
        """Where a running host serves its page, token included."""
        try:
            return (self.path / "address").read_text("utf-8").strip() or None
        except OSError:
            return None

    def write_address(self, address: str | None) -> None:
        """Notes where the page is served, readable by the owner alone; None forgets it."""
        file = self.path / "address"
        if address is None:
            file.unlink(missing_ok=True)
        else:
            write_atomically(file, address.encode())
