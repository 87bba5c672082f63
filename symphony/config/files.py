"""Reading settings from TOML, JSON and YAML files, and writing one setting back without losing the rest."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from symphony.config.positions import Positions, toml_error_position, toml_positions, yaml_positions
from symphony.config.yaml_text import check_yaml
from symphony.errors import BadInput, InvalidConfig, StorageFull

PROJECT_FILES = ("conductor.json", "conductor.toml", "conductor.yaml", "conductor.yml")
"""The names that a project's settings may have; at most one of them."""

MAX_BYTES = 1 << 20


def read_settings(file: Path) -> dict[str, Any]:
    """The settings in `file`, empty when there is none. Raises InvalidConfig with line and column."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidConfig(f"{file}: cannot be read: {error.strerror}", remedy="check the file") from None
    if len(data) > MAX_BYTES:
        raise InvalidConfig(f"{file}: larger than {MAX_BYTES >> 20} MiB", remedy="make it smaller")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{file}: is not UTF-8 text: {error.reason}", remedy="save it as UTF-8") from None
    settings = _PARSERS[file.suffix](file, text)
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise InvalidConfig(f"{file}:1:1: holds no table of settings", remedy="write key and value pairs")
    return settings


def setting_positions(file: Path) -> Positions:
    """Where each setting of `file` stands; empty when it cannot be read."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return toml_positions(text) if file.suffix == ".toml" else yaml_positions(text)


def project_file(project: Path) -> Path | None:
    """The project's settings file. Raises InvalidConfig when there are several."""
    found = [project / name for name in PROJECT_FILES if (project / name).is_file()]
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise InvalidConfig(f"{project}: has {names}", remedy="keep one of them")
    return found[0] if found else None


def write_setting(file: Path, path: tuple[str, ...], value: Any) -> None:
    """Puts one setting into `file`, which keeps its other settings, and in TOML its comments.

    None removes the setting. The file is replaced whole, so that a crash leaves old or new.
    """
    if file.suffix == ".toml":
        import tomlkit

        text = file.read_text("utf-8") if file.exists() else ""
        document: Any = tomlkit.parse(text)
        _put(document, path, value, tomlkit.table)
        write_atomically(file, tomlkit.dumps(document).encode())
        return
    settings = read_settings(file)
    _put(settings, path, value, dict)
    if file.suffix == ".json":
        content = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    else:
        import yaml

        content = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    write_atomically(file, content.encode())


def _put(settings: Any, path: tuple[str, ...], value: Any, table: Any) -> None:
    for part in path[:-1]:
        if part not in settings:
            if value is None:
                return
            settings[part] = table()
        settings = settings[part]
    if value is None:
        settings.pop(path[-1], None)
    else:
        settings[path[-1]] = value


def write_atomically(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Replaces `file`; whoever reads sees the old content or the new one, also after a power loss."""
    import errno
    import tempfile

    try:
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            Path(temporary).replace(file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(file.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"The disk is full at {file}", remedy="free some space and try again") from None
        raise BadInput(f"{file}: cannot be written: {error.strerror}", remedy="check its folder") from None


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse_toml(file: Path, text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, column = toml_error_position(error, text)
        raise _malformed(file, line, column, str(error).partition(" (at ")[0]) from None


def _parse_json(file: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _malformed(file, error.lineno, error.colno, error.msg) from None
    except RecursionError:
        raise _malformed(file, 1, 1, "is nested too deeply") from None


def _parse_yaml(file: Path, text: str) -> Any:
    import yaml

    try:
        check_yaml(text)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _malformed(file, line, column, error.problem or "cannot be read") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _malformed(file, 1, 1, str(error).splitlines()[0]) from None


def _malformed(file: Path, line: int, column: int, cause: str) -> InvalidConfig:
    finding: Mapping[str, Any] = {"line": line, "column": column, "message": cause}
    return InvalidConfig(
        f"{file}:{line}:{column}: {cause}", remedy="correct the file", findings=[dict(finding)]
    )


_PARSERS = {".toml": _parse_toml, ".json": _parse_json, ".yaml": _parse_yaml, ".yml": _parse_yaml}
