"""`Symphony.toml`: what an extension is, which functions it has, what it needs and what it may do."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from symphony.config.positions import locate, toml_error_position, toml_positions
from symphony.errors import InvalidManifest
from symphony.stage.motif import ComponentTable, LayoutTable, ThemeTable
from symphony.stage.permissions import parse_grant
from symphony.types.players import PROJECT_FACTS, FunctionSpec, ParamSpec
from symphony.types.port_types import element_type, is_port_type
from symphony.types.quantities import parse_cpu, parse_duration, parse_size
from symphony.types.versions import VersionRange, is_version

FILE_NAME = "Symphony.toml"
MAX_BYTES = 1 << 20
HOST_DEPENDENCY = "symphony-core"
"""The dependency that stands for the range of host versions."""

_PART = r"[a-z0-9][a-z0-9_-]{0,63}"
_NAME = re.compile(rf"(?:{_PART}/)?{_PART}")
_DEPENDENCY = re.compile(rf"{_PART}(?:/{_PART})?")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,63}")

ValueType = Literal[
    "string", "integer", "number", "float", "boolean", "duration", "date", "path", "list", "any"
]
_FITS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "float": (int, float),
    "boolean": (bool,),
    "duration": (str, int, float),
    "path": (str,),
    "list": (list,),
}


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _extension_name(value: Any) -> Any:
    if isinstance(value, str):
        _check(
            bool(_NAME.fullmatch(value)),
            f"{value!r} is no extension name; write publisher/name in lower case",
        )
        return value if "/" in value else f"local/{value}"
    return value


def _version(value: Any) -> Any:
    if isinstance(value, str):
        _check(is_version(value), f"{value!r} is no version; write three numbers such as 1.2.0")
    return value


def _range(value: Any) -> Any:
    if isinstance(value, str):
        VersionRange.parse(value)
    return value


def _port_type(value: Any) -> Any:
    if isinstance(value, str):
        _check(
            is_port_type(value),
            f"{value!r} is no port type; write for instance text/markdown or list<record>",
        )
    return value


def _identifier(value: Any) -> Any:
    if isinstance(value, str):
        _check(
            bool(_IDENTIFIER.fullmatch(value)),
            f"{value!r} is no name; use lower-case letters, digits and underscores",
        )
    return value


def _entry(value: Any) -> Any:
    if isinstance(value, str):
        path = PurePosixPath(value)
        inside = bool(value) and not path.is_absolute() and ".." not in path.parts and "\\" not in value
        _check(inside, f"{value!r} is no file inside the extension's folder")
    return value


def _capability(prefixes: tuple[str, ...], written: str) -> Callable[[Any], Any]:
    """A validator that brings an entry of `[capabilities]` into normal form; `written` shows one."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if len(prefixes) == 1 and prefixes[0] != "exec:":
            return parse_grant(prefixes[0] + value).target
        _check(value.startswith(prefixes), f"{value!r} is no capability of this kind; write {written}")
        return str(parse_grant(value))

    return validate


Identifier = Annotated[str, BeforeValidator(_identifier)]
PortType = Annotated[str, BeforeValidator(_port_type)]
Size = Annotated[int, BeforeValidator(lambda v: parse_size(v) if isinstance(v, (str, int, float)) else v)]
Cores = Annotated[float, BeforeValidator(lambda v: parse_cpu(v) if isinstance(v, (str, int, float)) else v)]


FileCapability = Annotated[
    str, BeforeValidator(_capability(("read:", "write:"), "read:PATTERN or write:PATTERN"))
]
NetworkCapability = Annotated[str, BeforeValidator(_capability(("network:",), "HOST:PORT"))]
ModelCapability = Annotated[str, BeforeValidator(_capability(("model:",), "MODEL"))]
SystemCapability = Annotated[str, BeforeValidator(_capability(("exec:",), "exec:PROGRAM"))]
IpcCapability = Annotated[str, BeforeValidator(_capability(("ipc:",), "publisher/name"))]


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=True, defer_build=True
    )


class ExtensionTable(_Table):
    """`[extension]`: who it is and how it starts."""

    name: Annotated[str, BeforeValidator(_extension_name)]
    """`publisher/name`, in lower case; without a publisher `local/` is put before it."""
    version: Annotated[str, BeforeValidator(_version)]
    """Three numbers, such as 1.2.0; semantic versioning."""
    type: Literal["instrument", "operator", "motif"]
    """Whether it is backed by a model, a utility, or a part of the page."""
    description: str = ""
    """One sentence, shown in the marketplace and searched."""
    author: str = ""
    """Who wrote it."""
    license: str = ""
    """An SPDX expression."""
    homepage: str = ""
    """Where more is said of it."""
    runtime: Literal["python", "process", "mcp", "motif"] = "python"
    """What plays it: Python with the SDK, a program of any language, an MCP server, or nothing (a Motif of colours)."""
    entry: Annotated[str, BeforeValidator(_entry)] = "player.py"
    """The file that is started, inside the folder."""
    fresh: bool = False
    """Each of its Players starts from nothing, with a hash seed and an address layout of its own."""
    transport: Literal["socket", "stdio"] = "socket"
    """Where a program of `runtime = "process"` speaks: a socket, or its standard input and output."""


class McpTable(_Table):
    """`[mcp]`: how the server of `runtime = "mcp"` starts. `{project}` in the command is the project's folder.

    The first word is `python` for the host's interpreter with the package's `vendor`, a file of the package, or a
    program of the system.
    """

    command: list[str] = Field(min_length=1)
    """The command line of the server."""
    env: dict[str, str] = {}
    """Its environment."""


class ValueField(_Table):
    """A parameter of a function, or a field of `[configuration]`."""

    type: ValueType
    """What a value must be."""
    description: str = ""
    """What it is for, shown beside its field."""
    default: Any = None
    """The value where none is given."""
    required: bool = False
    """Whether a value must be given."""
    choices: list[Any] = []
    """The only values that it may have."""
    min: float | None = None
    """The least number."""
    max: float | None = None
    """The greatest number."""

    @model_validator(mode="after")
    def _consistent(self) -> ValueField:
        low, high = self.min, self.max
        _check(low is None or high is None or low <= high, f"min {low} is above max {high}")
        for value in [*self.choices, *([] if self.default is None else [self.default])]:
            self._check_value(value)
        if self.choices and self.default is not None:
            _check(self.default in self.choices, f"the default {self.default!r} is none of the choices")
        return self

    def _check_value(self, value: Any) -> None:
        expected = _FITS.get(self.type)
        if expected is not None:
            fits = isinstance(value, expected) and not (isinstance(value, bool) and bool not in expected)
            _check(fits, f"{value!r} is no {self.type}")
        if self.type == "duration":
            parse_duration(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            _check(self.min is None or value >= self.min, f"{value!r} is below min {self.min}")
            _check(self.max is None or value <= self.max, f"{value!r} is above max {self.max}")

    def to_spec(self) -> ParamSpec:
        """The parameter as the rest of the host knows it."""
        return ParamSpec(
            type="number" if self.type == "float" else self.type,
            description=self.description,
            default=self.default,
            required=self.required,
            choices=tuple(self.choices),
            minimum=self.min,
            maximum=self.max,
        )


class ParameterField(ValueField):
    """A parameter of a function."""

    files: list[str] = []
    """Of a `path`: which files it is for, as patterns such as `*.csv`; the Conductor gives it no other."""

    @model_validator(mode="after")
    def _names_files(self) -> ParameterField:
        _check(self.type == "path" or not self.files, f"files is for a path, not for a {self.type}")
        return self

    def to_spec(self) -> ParamSpec:
        """The parameter as the rest of the host knows it."""
        return replace(super().to_spec(), files=tuple(self.files))


class ConfigurationField(ValueField):
    """A field of `[configuration]`; a secret one never leaves the host."""

    secret: bool = False
    """Whether it stays with the host, is never shown, and is put in by the host where it is needed."""


class FunctionResources(_Table):
    """What one call of a function needs at a time."""

    cpu: Cores = 1.0
    """Cores."""
    memory: Size = 256 << 20
    """Memory."""
    gpu: float = 0.0
    """Graphics processors."""


class FunctionTable(_Table):
    """`[[functions]]`: one Player."""

    name: Identifier
    """Its name; Melodies call it `publisher/extension#name`."""
    description: str
    """What it does; the Conductor finds it by this."""
    examples: list[str] = []
    """Prompts that it answers, 8 to 40, in any language; the Conductor finds it by these, too."""
    deterministic: bool = False
    """Whether the same inputs give the same outputs, so that the cache may answer."""
    effects: bool = False
    """Whether it changes something outside, so that the cache never answers."""
    inputs: dict[Identifier, PortType] = {}
    """Its inputs: name and port type."""
    optional: list[str] = []
    """Inputs that need no edge."""
    outputs: dict[Identifier, PortType] = {}
    """Its outputs: name and port type."""
    params: dict[Identifier, ParameterField] = {}
    """Its parameters."""
    seconds: float = Field(default=0.1, ge=0)
    """How long it takes, before anything was measured."""
    requires: list[str] = []
    """What it can do nothing without: settings such as `model.endpoint`, or `project.git`, a project in git."""
    keeps: list[str] = []
    """Outputs whose rows have the columns of the input."""
    resources: FunctionResources = Field(default_factory=lambda: _ANY_RESOURCES)
    """What one call needs."""

    @model_validator(mode="after")
    def _consistent(self) -> FunctionTable:
        for name in self.optional:
            _check(name in self.inputs, f"optional names {name!r}, which is no input")
        both = sorted(self.inputs.keys() & self.params.keys())
        _check(not both, f"{', '.join(both)} is both an input and a parameter")
        for name in self.keeps:
            _check(name in self.outputs, f"keeps names {name!r}, which is no output")
        unknown = [key for key in self.requires if key.startswith("project.") and key not in PROJECT_FACTS]
        known = ", ".join(PROJECT_FACTS)
        _check(not unknown, f"requires names {', '.join(unknown)}; of a project it may require {known}")
        return self


class Capabilities(_Table):
    """`[capabilities]`: all that the extension may do, once the user has agreed."""

    files: list[FileCapability] = []
    """`read:PATTERN` or `write:PATTERN`, such as `read:project/**`; `output/` is a folder of its own."""
    network: list[NetworkCapability] = []
    """`HOST:PORT`; without a port 443."""
    models: list[ModelCapability] = []
    """Names of models that it may ask, through the host."""
    system: list[SystemCapability] = []
    """`exec:PROGRAM`, such as `exec:git`, started by the host in a sandbox of its own; `gpu:*`."""
    ipc: list[IpcCapability] = []
    """Extensions that it may call and listen to, through the host."""

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        return _rename(data, {"file_access": "files", "network_access": "network", "model_access": "models"})

    def grants(self) -> list[str]:
        """The capabilities as grants in normal form, each once."""
        written = [
            *self.files,
            *(f"network:{target}" for target in self.network),
            *(f"model:{target}" for target in self.models),
            *self.system,
            *(f"ipc:{target}" for target in self.ipc),
        ]
        return list(dict.fromkeys(written))


class ResourcesTable(_Table):
    """`[resources]`: the limits of the Player's process."""

    memory: Size = 4 << 30
    """Most memory."""
    cpu: Annotated[Cores, Field(gt=0)] = 2.0
    """Most cores."""
    gpu: bool = False
    """Whether it needs a graphics processor."""

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        return _rename(data, {"memory_limit": "memory", "cpu_limit": "cpu", "gpu_required": "gpu"})


def _rename(data: Any, names: dict[str, str]) -> Any:
    if not isinstance(data, dict):
        return data
    for old, new in names.items():
        _check(not (old in data and new in data), f"{old} and {new} are the same key; keep {new}")
    return {names.get(key, key): value for key, value in data.items()}


# One for all manifests that say nothing of them: pydantic would copy a default, all of it, for each.
_NO_CAPABILITIES: Capabilities = Capabilities.model_construct()
_USUAL_RESOURCES: ResourcesTable = ResourcesTable.model_construct()
_ANY_RESOURCES: FunctionResources = FunctionResources.model_construct()


class Manifest(_Table):
    """A whole `Symphony.toml`."""

    extension: ExtensionTable
    """Who it is and how it starts."""
    types: dict[PortType, list[PortType]] = {}
    """Port types of its own, each with the types that it is a kind of."""
    columns: dict[PortType, list[str]] = {}
    """The columns of the rows of its own types, so that a Melody names them rightly."""
    function_tables: list[FunctionTable] = Field(default=[], alias="functions")
    """Its functions, each a Player."""
    mcp: McpTable | None = None
    """How its MCP server starts."""
    capabilities: Capabilities = Field(default_factory=lambda: _NO_CAPABILITIES)
    """All that it may do."""
    resources: ResourcesTable = Field(default_factory=lambda: _USUAL_RESOURCES)
    """The limits of its process."""
    dependencies: dict[str, Annotated[str, BeforeValidator(_range)]] = {}
    """Other extensions and the range of their versions; `symphony-core` is the host."""
    configuration: dict[Identifier, ConfigurationField] = {}
    """Values that the user gives it, by name."""
    theme: ThemeTable | None = None
    """Colours that a Motif brings."""
    layout: LayoutTable | None = None
    """An arrangement of the views that a Motif brings."""
    components: list[ComponentTable] = []
    """Parts of the page that a Motif brings."""

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        seen: dict[str, FunctionTable] = {}
        for function in self.function_tables:
            _check(function.name not in seen, f"the function {function.name} stands there twice")
            seen[function.name] = function
        self._check_motif(seen)
        _check(
            (self.mcp is not None) == (self.extension.runtime == "mcp"),
            'runtime = "mcp" and the table [mcp] belong together',
        )
        _check(
            self.extension.transport == "socket" or self.extension.runtime == "process",
            'transport = "stdio" needs runtime = "process"; the SDK of other Players uses the socket',
        )
        for name in self.dependencies:
            _check(bool(_DEPENDENCY.fullmatch(name)), f"{name!r} is no extension name")
        return self

    def _check_motif(self, functions: dict[str, FunctionTable]) -> None:
        if self.extension.type != "motif":
            brings = [name for name in ("theme", "layout", "components") if getattr(self, name)]
            _check(not brings, f'only an extension of type = "motif" has a table [{" ".join(brings[:1])}]')
        if self.extension.runtime == "motif":
            _check(self.extension.type == "motif", 'runtime = "motif" needs type = "motif"')
            _check(
                not functions and not self.grants(),
                'runtime = "motif" runs nothing; functions and capabilities need runtime = "python"',
            )
        for component in self.components:
            function = functions.get(component.function)
            _check(
                function is not None, f"the component {component.title!r} names no function of [[functions]]"
            )
            fits = function is not None and len(function.inputs) <= 1 and not function.optional
            _check(fits, f"{component.function} shows a component; it takes one input or none")

    @property
    def name(self) -> str:
        """`publisher/name`; `local/name` when the manifest gives no publisher."""
        return self.extension.name

    @property
    def version(self) -> str:
        """The semantic version."""
        return self.extension.version

    @cached_property
    def functions(self) -> list[FunctionSpec]:
        """The Players of this extension, as the Conductor and the validator know them."""
        shown = {component.function for component in self.components}
        return [self._spec(function) for function in self.function_tables if function.name not in shown]

    def function(self, name: str) -> FunctionSpec | None:
        """The Player of that name."""
        return next((spec for spec in self.functions if spec.function == name), None)

    def component(self, name: str) -> FunctionSpec | None:
        """The function that shows a component; no Melody can call it."""
        if all(component.function != name for component in self.components):
            return None
        return next(self._spec(function) for function in self.function_tables if function.name == name)

    def grants(self) -> list[str]:
        """What it asks for, as `read:project/**`, `network:host:443`, `model:name`, `exec:git`, `ipc:a/b`, `gpu:*`."""
        return [*self.capabilities.grants(), *(["gpu:*"] if self.resources.gpu else [])]

    @property
    def host_range(self) -> str | None:
        """The range of host versions it works with, when it names one."""
        return self.dependencies.get(HOST_DEPENDENCY)

    def extension_dependencies(self) -> dict[str, str]:
        """The other dependencies: name to version range."""
        return {name: text for name, text in self.dependencies.items() if name != HOST_DEPENDENCY}

    def _spec(self, function: FunctionTable) -> FunctionSpec:
        return FunctionSpec(
            player=f"{self.name}#{function.name}",
            kind=self.extension.type,
            description=function.description,
            inputs=function.inputs,
            outputs=function.outputs,
            params={name: param.to_spec() for name, param in function.params.items()},
            examples=tuple(function.examples),
            optional=frozenset(function.optional),
            deterministic=function.deterministic,
            effects=function.effects,
            seconds=function.seconds,
            cpu=function.resources.cpu,
            memory=function.resources.memory,
            gpu=function.resources.gpu,
            requires=tuple(function.requires),
            columns={
                port: tuple(self.columns[element])
                for port, kind in function.outputs.items()
                if (element := element_type(kind)) in self.columns
            },
            keeps=frozenset(function.keeps),
        )


def load_manifest(path: Path | str) -> Manifest:
    """Reads a `Symphony.toml`, or the one in the folder `path`.

    Raises InvalidManifest, whose message has file, line, column, key and cause of the first finding
    and whose findings hold all of them.
    """
    file = Path(path)
    if file.is_dir():
        file = file / FILE_NAME
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise InvalidManifest(f"{file}: there is no such manifest", remedy=f"add a {FILE_NAME}") from None
    except OSError as error:
        raise InvalidManifest(f"{file}: cannot be read: {error.strerror}", remedy="check the file") from None
    return parse_manifest(data, source=str(file))


def parse_manifest(data: bytes | str, *, source: str = FILE_NAME) -> Manifest:
    """The manifest in `data`; `source` stands before each error. Raises InvalidManifest."""
    if len(data) > MAX_BYTES:
        raise InvalidManifest(f"{source}: larger than {MAX_BYTES >> 20} MiB", remedy="make it smaller")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        column = error.start - (error.object.rfind(b"\n", 0, error.start) + 1) + 1
        raise _invalid(source, [_finding(line, column, "", "is not UTF-8 text")]) from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, column = toml_error_position(error, text)
        cause = re.sub(r" \(at .*\)$", "", str(error))
        raise _invalid(source, [_finding(line, column, "", cause)]) from None
    except RecursionError:
        raise _invalid(source, [_finding(1, 1, "", "is nested too deeply")]) from None
    try:
        return Manifest.model_validate(tables)
    except ValidationError as error:
        raise _invalid(source, _schema_findings(error, text)) from None


def _schema_findings(error: ValidationError, text: str) -> list[dict[str, Any]]:
    positions = toml_positions(text)
    findings = []
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if part != "[key]")
        key = ".".join(str(part) for part in path)
        line, column = locate(positions, path) or (1, 1)
        message, remedy = detail["msg"].removeprefix("Value error, "), ""
        if detail["type"] == "extra_forbidden":
            message, remedy = "is no key of the manifest", "remove it or correct its spelling"
        elif detail["type"] == "missing":
            message = "is missing"
        findings.append(_finding(line, column, key, message, remedy))
    return findings


def _finding(line: int, column: int, key: str, message: str, remedy: str = "") -> dict[str, Any]:
    return {"line": line, "column": column, "key": key, "message": message, "remedy": remedy}


def _invalid(source: str, findings: list[dict[str, Any]]) -> InvalidManifest:
    findings.sort(key=lambda f: (f["line"], f["column"]))
    first = findings[0]
    key = f"{first['key']}: " if first["key"] else ""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    message = f"{source}:{first['line']}:{first['column']}: {key}{first['message']}{more}"
    return InvalidManifest(message, remedy=first["remedy"] or "correct the manifest", findings=findings)
