"""What is installed, as one small file that is replaced whole: after a crash it says the old or the new."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from symphony.config.files import write_atomically
from symphony.errors import SymphonyError
from symphony.stage.budgets import Allowance

FILE = "installed.json"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)


class VersionRecord(_Record):
    """An installed version: its folder below the extensions' folder, and what the user has granted it."""

    version: str
    folder: str
    sha256: str
    key: str
    granted: list[str]
    installed: float
    agreed_tools: dict[str, dict[str, Any]] = {}
    """Tools of an MCP server whose definitions changed, as the user agreed to them since: name → definition."""
    asked_tools: dict[str, dict[str, Any]] = {}
    """Definitions that the user was asked about and has not agreed to: what agrees to it → definition."""


class ExtensionRecord(_Record):
    """An extension with its versions, the active one last. `is_held` keeps automatic updates away."""

    versions: list[VersionRecord]
    enabled: bool = True
    is_held: bool = False

    @property
    def active(self) -> VersionRecord:
        """The version that plays."""
        return self.versions[-1]


class InstallState(_Record):
    """All extensions by name; `disabled_bundled` names bundled ones that are switched off."""

    format: Literal["symphony.installed/1"] = "symphony.installed/1"
    extensions: dict[str, ExtensionRecord] = {}
    disabled_bundled: list[str] = []
    revoked_bundled: dict[str, list[str]] = {}
    """Grants of bundled extensions that the user has taken back."""
    allowances: dict[str, Allowance] = {}
    """Limits that the user has set for single extensions, bundled or not."""

    @classmethod
    def read(cls, folder: Path) -> InstallState:
        """The state in `folder`, empty when there is none. Raises SymphonyError when it is damaged."""
        file = folder / FILE
        try:
            return cls.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            cause = str(error).splitlines()[0]
            raise SymphonyError(
                f"{file}: cannot be read: {cause}", remedy="move it away and install again", code="damaged"
            ) from None

    def write(self, folder: Path) -> None:
        """Makes this the state, on disk when it returns."""
        write_atomically(folder / FILE, self.model_dump_json(indent=1).encode())
