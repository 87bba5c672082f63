"""Melodies as files: YAML, JSON (pretty or compact), MessagePack and postcard, all of the same document."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import to_json

from symphony.config.files import write_atomically
from symphony.config.positions import Positions, locate, yaml_positions
from symphony.config.yaml_text import check_yaml
from symphony.errors import BadInput, InvalidMelody
from symphony.melody.model import FORMAT, Melody, words_of

Format = Literal["yaml", "json", "pretty", "msgpack", "postcard"]

SUFFIXES: dict[str, Format] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "pretty",
    ".msgpack": "msgpack",
    ".melody": "postcard",
}
MAX_BYTES = 256 << 20
MAX_DEPTH = 100
"""Deepest nesting of values in a melody."""


def load(source: Path | str | bytes, suffix: str | None = None) -> Melody:
    """The melody in a file or in bytes; the format is told by `suffix` or the content.

    Raises InvalidMelody with file, line and column of the first finding and all of them as findings.
    """
    if isinstance(source, bytes):
        return loads(source, suffix)
    file = Path(source)
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise InvalidMelody(f"{file}: larger than {MAX_BYTES >> 20} MiB", remedy="split it")
        data = file.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{file}: there is no such file", remedy="check the path") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", remedy="check the path") from None
    return loads(data, suffix or file.suffix, source=str(file))


def loads(data: bytes, suffix: str | None = None, *, source: str = "melody") -> Melody:
    """The melody in `data`; `source` stands before each error."""
    form = SUFFIXES.get((suffix or "").lower()) or _detect(data)
    if form == "msgpack":
        return _build(_read_msgpack(data, source), source, dict)
    if form == "postcard":
        return _build(_read_postcard(data, source), source, dict, is_plain=True)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _invalid(source, [_finding(line, 1, "", "is not UTF-8 text")]) from None
    # A file may hold JSON under the name of YAML, and the reader of JSON is a hundred times quicker.
    is_json = form != "yaml" or text.lstrip().startswith("{")
    document = _read_json(text, source, form) if is_json else _read_yaml(text, source)
    return _build(document, source, lambda: yaml_positions(text))


def from_document(document: Any) -> Melody:
    """The melody of plain values, such as a JSON-RPC parameter. Raises InvalidMelody with all findings."""
    return _build(document, "melody", dict)


def dump(melody: Melody, form: Format | str = "yaml") -> bytes:
    """The melody as `yaml`, `json` (compact), `pretty` (JSON for people), `msgpack` or `postcard`."""
    document = melody.to_document()
    if form == "postcard":
        return _write_postcard(document)
    _refuse_foreign(document)
    match form:
        case "json":
            return to_json(document)
        case "pretty":
            return to_json(document, indent=2) + b"\n"
        case "msgpack":
            import msgpack

            packed: bytes = msgpack.packb(document, use_bin_type=True)
            return packed
        case "yaml":
            return _write_yaml(document)
    raise BadInput(f"There is no format {form!r}", remedy="use yaml, json, pretty, msgpack or postcard")


def _write_postcard(document: dict[str, Any]) -> bytes:
    from pit_native import encode_melody

    try:
        return encode_melody(document)
    except BadInput:
        # The encoder finds what does not belong there; this finds where it is.
        _refuse_foreign(document)
        raise


def _refuse_foreign(document: dict[str, Any]) -> None:
    if trouble := _foreign_value(document):
        path, message = trouble
        raise BadInput(f"{'.'.join(map(str, path))} {message}", remedy="leave it out")


def save_file(melody: Melody, file: Path | str) -> None:
    """Writes the melody; the file's suffix chooses the format."""
    file = Path(file)
    chosen = SUFFIXES.get(file.suffix.lower())
    if chosen is None:
        known = ", ".join(SUFFIXES)
        raise BadInput(f"{file}: the ending tells no format", remedy=f"use one of {known}")
    write_atomically(file, dump(melody, chosen), mode=0o644)


def _detect(data: bytes) -> Format:
    if data.startswith(b"SyMel"):
        return "postcard"
    if data[:1] and (data[0] & 0xF0 == 0x80 or data[0] in (0xDE, 0xDF)):
        return "msgpack"
    return "pretty" if data.lstrip()[:1] == b"{" else "yaml"


def _read_msgpack(data: bytes, source: str) -> Any:
    import msgpack

    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (msgpack.UnpackException, ValueError, RecursionError) as error:
        cause = str(error) or "ends too early or is nested too deeply"
        raise InvalidMelody(f"{source}: is no MessagePack: {cause}", remedy="export it again") from None


def _read_postcard(data: bytes, source: str) -> Any:
    from pit_native import decode_melody

    try:
        return decode_melody(data)
    except BadInput as error:
        raise InvalidMelody(
            f"{source}: is no binary Melody: {error.message}", remedy="export it again"
        ) from None


def _read_json(text: str, source: str, form: Format) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if form == "yaml":  # flow-style YAML begins like JSON
            return _read_yaml(text, source)
        raise _invalid(source, [_finding(error.lineno, error.colno, "", error.msg)]) from None
    except RecursionError:
        raise _invalid(source, [_finding(1, 1, "", "is nested too deeply")]) from None
    except ValueError as error:
        raise _invalid(source, [_finding(1, 1, "", str(error))]) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _read_yaml(text: str, source: str) -> Any:
    import yaml

    try:
        check_yaml(text)
        loader = _yaml_loader()(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _invalid(source, [_finding(line, column, "", error.problem or "cannot be read")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        cause = "is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise _invalid(source, [_finding(1, 1, "", cause)]) from None


def _yaml_loader() -> Any:
    """YAML as JSON knows values: no dates (they stay text), no duplicate keys."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    message = f"the key {key.value} stands there twice"
                    raise yaml.constructor.ConstructorError(None, None, message, key.start_mark)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    return Loader


def _write_yaml(document: dict[str, Any]) -> bytes:
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.yaml_implicit_resolvers = base.yaml_implicit_resolvers
    text = yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(text).encode()


def _build(
    document: Any, source: str, positions: Callable[[], Positions], *, is_plain: bool = False
) -> Melody:
    """The melody of a document; `is_plain` when its reader knows no values but those of JSON."""
    if not isinstance(document, dict):
        raise _invalid(source, [_finding(1, 1, "", "is no melody: it is not a table of keys")])
    if document.get("format", FORMAT) != FORMAT:
        line, column = locate(positions(), ("format",)) or (1, 1)
        message = f"is {document['format']!r}; this host reads {FORMAT}"
        raise _invalid(source, [_finding(line, column, "format", message)])
    trouble = None if is_plain else _foreign_value(document)
    if trouble is not None:
        path, message = trouble
        line, column = locate(positions(), path) or (1, 1)
        raise _invalid(source, [_finding(line, column, ".".join(map(str, path)), message)])
    try:
        return Melody.model_validate(document)
    except ValidationError as error:
        raise _invalid(source, _schema_findings(error, positions())) from None


def _foreign_value(document: dict[str, Any]) -> tuple[tuple[str | int, ...], str] | None:
    """The first value that JSON does not know, or that is nested too deeply, with its place."""
    from pit_native import is_plain_document

    if is_plain_document(document, MAX_DEPTH):
        return None
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while todo:
        path, value = todo.pop()
        if len(path) > MAX_DEPTH:
            return path, f"is nested deeper than {MAX_DEPTH}"
        if isinstance(value, dict):
            for key, inner in value.items():
                if not isinstance(key, str):
                    return path, f"has the key {key!r}, which is no text"
                todo.append(((*path, key), inner))
        elif isinstance(value, list):
            todo.extend(((*path, index), inner) for index, inner in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            return path, f"is {value}, which is no number of JSON"
        elif not isinstance(value, (str, int, float, bool, type(None))):
            return path, f"is a {type(value).__name__}, which a melody cannot hold"
    return None


def _schema_findings(error: ValidationError, positions: Positions) -> list[dict[str, Any]]:
    findings = []
    for detail in error.errors(include_url=False):
        path = tuple(detail["loc"])
        message, remedy = words_of(detail), ""
        if detail["type"] == "extra_forbidden":
            message, remedy = "is no key of a melody", "remove it or correct its spelling"
        elif detail["type"] == "missing":
            message = "is missing"
        line, column = locate(positions, path) or (0, 0)
        findings.append(_finding(line, column, ".".join(str(part) for part in path), message, remedy))
    return findings


def _finding(line: int, column: int, key: str, message: str, remedy: str = "") -> dict[str, Any]:
    return {"line": line, "column": column, "key": key, "message": message, "remedy": remedy}


def _invalid(source: str, findings: list[dict[str, Any]]) -> InvalidMelody:
    first = findings[0]
    place = f"{source}:{first['line']}:{first['column']}" if first["line"] else source
    key = f"{first['key']}: " if first["key"] else ""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    cause = re.sub(r"\s+", " ", first["message"])
    return InvalidMelody(
        f"{place}: {key}{cause}{more}", remedy=first["remedy"] or "correct the melody", findings=findings
    )
