"""YAML documents beside the settings: `policies.yaml`, `models.yaml`, `workflows.yaml` of the home and of a project.

They are read when they are used and have changed since, so that an edit holds from the next prompt on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from symphony.config.files import read_settings, setting_positions
from symphony.config.positions import locate
from symphony.errors import InvalidConfig

Model = TypeVar("Model", bound=BaseModel)

PROJECT_FOLDER = ".symphony"
"""Where a project keeps its own documents."""


class Documents(Generic[Model]):
    """One kind of document in its layers: the home's, over it the project's.

    Tables of both are merged; of the same key the project's value holds. What a project may not say is
    the schema's to know: `check_project` raises ValueError with the key and why.
    """

    def __init__(self, name: str, schema: type[Model], home: Path) -> None:
        self._name = name
        self._schema = schema
        self._home = home / name
        self._read: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._merged: tuple[tuple[Any, ...], Model] | None = None

    def get(self, project: Path | None = None) -> Model:
        """The merged document as it stands now; defaults where there is no file.

        Raises InvalidConfig, in one line with file, line, column and key, when a layer does not hold to the schema.
        """
        files = [self._home]
        if project is not None:
            files.append(project / PROJECT_FOLDER / self._name)
        stamps = tuple((file, _stamp(file)) for file in files)
        if self._merged is not None and self._merged[0] == stamps:
            return self._merged[1]
        merged: dict[str, Any] = {}
        for file, stamp in stamps:
            if stamp is not None:
                _merge(merged, self._layer(file, stamp, is_project=file != self._home))
        model = self._schema.model_validate(merged)
        self._merged = stamps, model
        return model

    def _layer(self, file: Path, stamp: tuple[int, int], *, is_project: bool) -> dict[str, Any]:
        known = self._read.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        content = read_settings(file)
        try:
            checked = self._schema.model_validate(content)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            said = detail["msg"].removeprefix("Value error, ")
            if detail["type"] == "extra_forbidden":
                said = "is no key here"
            raise _wrong(file, tuple(detail["loc"]), said) from None
        refused = getattr(checked, "refused_of_projects", None)
        if is_project and refused is not None and (keys := [k for k in content if k in refused]):
            raise _wrong(file, (keys[0],), "may not be set by a project")
        self._read[file] = stamp, content
        return content


def _stamp(file: Path) -> tuple[int, int] | None:
    """Changes with the file; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _merge(into: dict[str, Any], layer: dict[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            _merge(into[key], value)
        else:
            into[key] = value


def _wrong(file: Path, path: tuple[str | int, ...], message: str) -> InvalidConfig:
    line, column = locate(setting_positions(file), path) or (1, 1)
    key = ".".join(map(str, path))
    finding = {"file": str(file), "line": line, "column": column, "key": key, "message": message}
    return InvalidConfig(
        f"{file}:{line}:{column}: {key}: {message}",
        remedy="correct the file; docs/orchestration.md describes it",
        findings=[finding],
    )
