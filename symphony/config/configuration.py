"""The merged configuration: which layer gives which value, and changing one of them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ValidationError

from symphony.config.catalogue import SettingSpec, catalogue, waits_because
from symphony.config.files import project_file, read_settings, setting_positions, write_setting
from symphony.config.home import Home
from symphony.config.positions import locate
from symphony.config.schema import Settings
from symphony.errors import BadInput, InvalidConfig

Scope = Literal["user", "project"]

ENVIRONMENT_PREFIX = "SYMPHONY_"
HIDDEN = "••••••"
"""What is shown in the place of a secret that is set."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings from one source. `place` names it: a file, `environment` or `flags`."""

    name: str
    place: str
    settings: dict[str, Any]
    file: Path | None = None


class Configuration:
    """Settings merged from defaults, the user's file, the project's, the environment and flags."""

    def __init__(self, home: Home, environment: Mapping[str, str], flags: Mapping[str, Any]) -> None:
        self.home = home
        self.project: Path | None = None
        self._environment = environment
        self._flags = flags
        self.settings = Settings()
        """The merged settings, typed."""
        self._sources: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._reading = threading.RLock()
        """Held while layers are read or written: the host follows the files while a method changes them."""

    @classmethod
    def load(
        cls,
        home: Home | Path,
        project: Path | None = None,
        env: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> Self:
        """Reads all layers. `flags` maps keys such as `host.port` to values; `env` defaults to the process's.

        Raises InvalidConfig, in one line with file, line and key, when a layer does not hold to the schema.
        """
        environment = dict(os.environ if env is None else env)
        loaded = cls(home if isinstance(home, Home) else Home(home), environment, dict(flags or {}))
        loaded.open_project(project)
        return loaded

    def open_project(self, project: Path | None) -> None:
        """Takes the project's layer from another folder. On an error the old settings stay."""
        before = self.project
        self.project = project
        try:
            self.reload()
        except InvalidConfig:
            self.project = before
            raise

    def reload(self) -> list[str]:
        """Reads all layers again; answers with the keys whose value has changed.

        On an error, which names what is wrong, the settings of before stay.
        """
        with self._reading:
            return self._reload()

    def _reload(self) -> list[str]:
        layers = self._layers()
        sources: dict[str, str] = {}
        merged: dict[str, Any] = {}
        for layer in layers:
            _validate(layer)
            _merge(merged, layer.settings)
            for key in _leaves(layer.settings):
                sources[key] = layer.name if layer.file is None else f"{layer.name}: {layer.place}"
        settings = Settings.model_validate(merged)
        values = {**dict(_flat(settings)), "extensions": settings.extensions}
        changed = [key for key in {**self._values, **values} if self._values.get(key) != values.get(key)]
        self.settings, self._sources, self._values = settings, sources, values
        return changed

    def get(self, key: str) -> Any:
        """The value of `key`; durations in seconds, sizes in bytes. Raises InvalidConfig if there is none."""
        try:
            return self._values[key]
        except KeyError:
            if key.startswith("extensions."):
                return None
            raise unknown_key(key) from None

    def is_set(self, key: str) -> bool:
        """Whether `key` is a setting that has a value; one that nobody knows has none."""
        return bool(self._values.get(key))

    def extension_values(self, name: str) -> dict[str, Any]:
        """The configuration values that are set for the extension `publisher/name`."""
        return dict(self.settings.extensions.get(name, {}))

    def source(self, key: str) -> str:
        """Where `key` comes from: `default`, `user: FILE`, `project: FILE`, `environment: NAME`, `flags`."""
        return self._sources.get(key, "default")

    def show(self, secrets: Collection[str] = ()) -> list[dict[str, Any]]:
        """A row for every setting, in the order of the schema; secrets are hidden.

        `secrets` names further secret keys: those of `extensions.` whose manifest says so.
        """
        written = dict(_flat_document(self.settings.model_dump()))
        rows = []
        for key, spec in catalogue().items():
            value = HIDDEN if spec.is_secret and written[key] else written[key]
            rows.append({**_row(spec), "value": value, "source": self.source(key)})
        for extension, values in self.settings.extensions.items():
            for name, value in values.items():
                key = f"extensions.{extension}.{name}"
                spec = SettingSpec(
                    key, "any", None, f"configuration of {extension}", is_secret=key in secrets
                )
                shown = HIDDEN if spec.is_secret and value else value
                rows.append({**_row(spec), "value": shown, "source": self.source(key)})
        return rows

    def set(self, key: str, value: Any, scope: str = "user") -> list[str]:
        """Writes a setting into the user's or the project's file and reloads, answering as that; None removes it there.

        Raises InvalidConfig when the key is unknown, the value does not fit, or the scope may not set it;
        then nothing has been written.
        """
        if scope not in ("user", "project"):
            raise BadInput(f"There is no scope {scope!r}", remedy="use user or project")
        path = _split(key)
        if path[0] != "extensions" and key not in catalogue():
            raise unknown_key(key)
        value = _parse_text(value, key) if isinstance(value, str) else value
        file = self.file_of(scope)
        if value is not None:
            document: dict[str, Any] = {}
            _put(document, path, value)
            _validate(Layer(scope, str(file), document))
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._reading:
            write_setting(file, path, value)
            return self.reload()

    def written(self, key: str, file: Path) -> Any:
        """What a file of settings itself says of `key`; None when it says nothing. Raises InvalidConfig."""
        with self._reading:
            found: Any = read_settings(file)
        for part in _split(key):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def scope_of(self, file: Path) -> Scope | None:
        """Which scope writes into `file` now."""
        if file == self.home.config:
            return "user"
        return "project" if self.project is not None and file == self.file_of("project") else None

    def file_of(self, scope: str) -> Path:
        """The file that a scope writes into. Raises BadInput when no project is open."""
        if scope == "user":
            return self.home.config
        if self.project is None:
            raise BadInput("No project is open", remedy="give one with --project or set it for the user")
        return project_file(self.project) or self.project / "conductor.json"

    def _layers(self) -> list[Layer]:
        layers = [Layer("user", str(self.home.config), read_settings(self.home.config), self.home.config)]
        file = project_file(self.project) if self.project is not None else None
        if file is not None:
            layers.append(Layer("project", str(file), read_settings(file), file))
        layers += _environment_layers(self._environment)
        if self._flags:
            document: dict[str, Any] = {}
            for key, value in self._flags.items():
                _put(document, _split(key), value)
            layers.append(Layer("flags", "the command line", document))
        return layers


def unknown_key(key: str) -> InvalidConfig:
    """The error for a key that is no setting, with the nearest one as remedy."""
    import difflib

    near = difflib.get_close_matches(key, catalogue(), n=1)
    remedy = f"did you mean {near[0]}?" if near else "`symphony config show` lists them"
    return InvalidConfig(f"There is no setting {key}", remedy=remedy)


def _row(spec: SettingSpec) -> dict[str, Any]:
    return {
        "key": spec.key,
        "description": spec.description,
        "type": spec.type,
        "default": spec.default,
        "choices": list(spec.choices),
        "secret": spec.is_secret,
        "waits": waits_because(spec.key),
    }


def _split(key: str) -> tuple[str, ...]:
    """The parts of a key; the name of an extension is one part."""
    if key.startswith("extensions."):
        extension, _, name = key.removeprefix("extensions.").rpartition(".")
        if extension and name:
            return ("extensions", extension, name)
        raise unknown_key(key)
    return tuple(key.split("."))


def _put(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        document = document.setdefault(part, {})
    document[path[-1]] = value


def _merge(into: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in settings.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]
    return found


def _flat(model: BaseModel, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            found += _flat(value, f"{prefix}{name}.")
        elif name == "extensions" and not prefix:
            found += _flat_document({name: value})
        else:
            found.append((f"{prefix}{name}", value))
    return found


def _flat_document(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            found += _flat_document(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _environment_layers(environment: Mapping[str, str]) -> list[Layer]:
    """A layer for each `SYMPHONY_SECTION__KEY`, so that an error can name its variable."""
    layers = []
    for variable in sorted(environment):
        if not variable.startswith(ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        document: dict[str, Any] = {}
        _put(document, tuple(key.split(".")), _parse_text(environment[variable], key))
        layers.append(Layer(f"environment: {variable}", variable, document))
    return layers


def _parse_text(text: str, key: str) -> Any:
    """A value that was given as text: a list as JSON or with commas, JSON where no text is wanted."""
    spec = catalogue().get(key)
    if spec is None or spec.type in ("string", "choice", "duration", "size"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        if spec.type == "list":
            return [part.strip() for part in text.split(",") if part.strip()]
        return text


def _validate(layer: Layer) -> None:
    """Checks one layer alone, so that what is wrong can be pinned to its file and line."""
    if layer.name == "project":
        for key in _leaves(layer.settings):
            spec = catalogue().get(key)
            if key.startswith("extensions.") or (spec is not None and not spec.is_for_projects):
                raise _error(
                    layer, _split(key), "may not be set by a project", "set it with `symphony config set`"
                )
    try:
        Settings.model_validate(layer.settings)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        message = detail["msg"].removeprefix("Value error, ")
        remedy = "give a value that fits; `symphony config show` describes it"
        path = tuple(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            message, remedy = "is no setting", unknown_key(".".join(path)).remedy
        elif detail["type"] in ("model_type", "dict_type"):
            message = "is a table of settings, not a value"
        raise _error(layer, path, message, remedy) from None


def _error(layer: Layer, path: tuple[str, ...], message: str, remedy: str) -> InvalidConfig:
    key = ".".join(path)
    place = layer.place
    finding: dict[str, Any] = {"file": place, "key": key, "message": message, "remedy": remedy}
    if layer.file is not None:
        positions = setting_positions(layer.file)
        line, column = locate(positions, path) or (1, 1)
        finding.update(line=line, column=column)
        place = f"{place}:{line}:{column}"
    return InvalidConfig(f"{place}: {key}: {message}", remedy=remedy, findings=[finding])
