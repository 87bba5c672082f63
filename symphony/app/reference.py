"""Makes `docs/settings.md` and `docs/manifest.md` from the schemas: `python -m symphony.app.reference FOLDER`."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from symphony.config.catalogue import SettingSpec, catalogue, holds_at_once
from symphony.stage import manifest, motif
from symphony.types.quantities import format_size

_HEAD = "<!-- Made by `make docs` from {source}: change that instead. -->\n"

_SETTINGS = """\
# Settings

A later source wins: the defaults, your file (`symphony config path`), the project's `conductor.json`,
`.yaml` or `.toml`, the environment (`SYMPHONY_SECTION__KEY`, such as `SYMPHONY_LOGGING__LEVEL=debug`), the
command line. `symphony config show` lists every value with where it comes from; `symphony config set KEY
VALUE` changes yours, `--project` the project's, and `symphony undo` takes that back. The host reads its
files again when they change. What is wrong in one is refused with its line, and the settings of before
stay.

Durations are written as `30s`, `5m`, `2h`, `7d`, sizes as `512MiB` or `2GB`. In the last column:
**project**, the project's own file may set it; **restart**, a change holds from the next start of Symphony,
as the part reads it when it starts; all others hold at once.
"""

_MANIFEST = """\
# The manifest

Every extension has a `Symphony.toml`. [extensions.md](extensions.md) says how to write one. A key that is
not listed here is an error with its line and column, and so are bad versions and patterns. Older names are
understood: `file_access`, `network_access`, `model_access`, `memory_limit`, `cpu_limit` and `gpu_required`.
"""

_COMMON = ("enabled", "timeout", "metrics_enabled", "retry_policy.")

_TABLE = ("| key | type | default | what it does | |", "|---|---|---|---|---|")

_TYPES = {
    "str": "text",
    "bool": "boolean",
    "float": "number",
    "float | None": "number",
    "Any": "any",
    "Identifier": "name",
    "ValueType": "type",
    "Size": "size",
    "Cores": "cores, or a share such as `50%`",
    "ViewName": "view",
    "list[str]": "list of texts",
    "list[Any]": "list",
    "list[ViewName]": "list of views",
    "dict[str, str]": "table of texts",
    "dict[Identifier, PortType]": "table of port types",
    "dict[PortType, list[PortType]]": "table of lists of port types",
    "dict[PortType, list[str]]": "table of lists of texts",
    "dict[str, Annotated[str, BeforeValidator(_range)]]": "table of ranges",
    "Palette | None": "table of colours",
}
"""What a reader is told in the place of an annotation. Tables of the manifest are linked instead."""


def settings_page() -> str:
    """All settings by section; what every component has stands once."""
    specs = list(catalogue().values())
    sections: dict[str, list[SettingSpec]] = {}
    common: dict[str, list[SettingSpec]] = {}
    for spec in specs:
        section, key = _section(spec.key)
        if key.startswith(_COMMON) and f"{section}.enabled" in catalogue():
            common.setdefault(key, []).append(spec)
        else:
            sections.setdefault(section, []).append(spec)
    lines = [_HEAD.format(source="symphony/config/schema.py") + _SETTINGS]
    components = dict.fromkeys(_section(spec.key)[0] for found in common.values() for spec in found)
    named = ", ".join(f"`{component}`" for component in components)
    lines += [f"## Every component\n\nEach of {named} has these.\n", *_TABLE]
    lines += [_setting(found[0], key) for key, found in common.items()]
    for section, found in sections.items():
        lines += [f"\n## {section}\n", *_TABLE]
        lines += [_setting(spec, _section(spec.key)[1]) for spec in found]
    lines += [
        "\n## extensions\n\n`extensions.PUBLISHER/NAME.KEY` is a value of an extension's `[configuration]`; secret "
        "ones stay with the host."
    ]
    return "\n".join(lines) + "\n"


def _section(key: str) -> tuple[str, str]:
    parts = key.split(".")
    at = len(parts) - (2 if parts[-2] == "retry_policy" else 1)
    return ".".join(parts[:at]), ".".join(parts[at:])


def _setting(spec: SettingSpec, key: str) -> str:
    kind = ", ".join(f"`{choice}`" for choice in spec.choices) or spec.type
    default = "as the machine has" if spec.is_of_machine else _written(spec.default)
    marks = ["project"] if spec.is_for_projects else []
    marks += [] if holds_at_once(spec.key) else ["restart"]
    meaning = spec.description.partition("; a change holds from")[0]
    return _row(f"`{key}`", kind, default, meaning, ", ".join(marks))


def _written(value: object) -> str:
    if value in ("", None, [], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def manifest_page() -> str:
    """Every table of the manifest with its keys, each table after the one that has it."""
    words = {**_words(manifest), **_words(motif)}
    lines = [_HEAD.format(source="symphony/stage/manifest.py and motif.py") + _MANIFEST]
    todo: list[type[BaseModel]] = [manifest.Manifest]
    done = set[str]()
    while todo:
        model = todo.pop(0)
        if model.__name__ in done:
            continue
        done.add(model.__name__)
        lines += [f"\n## {_title(model)}\n\n{inspect.cleandoc(model.__doc__ or '')}\n"]
        lines += ["| key | type | default | what it is |", "|---|---|---|---|"]
        for owner in reversed(model.__mro__):
            for name, (kind, text) in words.get(owner.__name__, {}).items():
                field = model.model_fields[name]
                inner = next((one for one in _tables() if one.__name__ in kind), None)
                shown = f"[{_linked(inner)}](#{_anchor(inner)})" if inner else _kind(kind)
                if inner is not None:
                    todo.append(inner)
                shown = f"list of {shown}" if inner and kind.startswith("list") else shown
                shown = f"table of {shown}" if inner and kind.startswith("dict") else shown
                default = field.get_default(call_default_factory=True)
                is_table = isinstance(default, BaseModel)
                given = (
                    "required" if default is PydanticUndefined else "" if is_table else _given(kind, default)
                )
                lines.append(_row(f"`{field.alias or name}`", shown, given, text.rstrip(".")))
    return "\n".join(lines) + "\n"


def _tables() -> list[type[BaseModel]]:
    found = [one for module in (manifest, motif) for one in vars(module).values() if inspect.isclass(one)]
    skipped = ("BaseModel", "_Table", "Palette")
    return [one for one in found if issubclass(one, BaseModel) and one.__name__ not in skipped]


def _title(model: type[BaseModel]) -> str:
    text = inspect.cleandoc(model.__doc__ or "")
    if text.startswith("`["):
        return text[1:].partition("`")[0]
    return {"Manifest": "Tables", "ParameterField": "Parameters", "ConfigurationField": "Fields"}.get(
        model.__name__, model.__name__.removeprefix("Function")
    )


def _linked(model: type[BaseModel]) -> str:
    title = _title(model)
    return f"`{title}`" if title.startswith("[") else title.lower()


def _anchor(model: type[BaseModel]) -> str:
    return _title(model).strip("[]").lower()


def _kind(annotation: str) -> str:
    if annotation.startswith("Literal["):
        return ", ".join(f"`{choice}`" for choice in ast.literal_eval(annotation.removeprefix("Literal")))
    if annotation.startswith("list[") and annotation.endswith("Capability]"):
        return "list of grants"
    if annotation.startswith("Annotated["):
        return _kind(annotation.removeprefix("Annotated[").partition(",")[0])
    return _TYPES[annotation]


def _given(annotation: str, default: object) -> str:
    if annotation == "Size" and isinstance(default, int):
        return f"`{format_size(default)}`"
    return _written(default)


def _words(module: ModuleType) -> dict[str, dict[str, tuple[str, str]]]:
    """Class → field → its annotation and its docstring, as the source has them. Raises ValueError for a field that says
    nothing of itself.
    """
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef) or node.name == "Palette":
            continue
        fields = found.setdefault(node.name, {})
        for field, after in zip(node.body, [*node.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            is_said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if not is_said:
                raise ValueError(f"{module.__name__}.{node.name}.{field.target.id} has no docstring")
            assert isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            text = " ".join(str(after.value.value).split())
            fields[field.target.id] = ast.unparse(field.annotation).replace("'", '"'), text
    return found


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PAGES = {"settings.md": settings_page, "manifest.md": manifest_page}


def main(folder: Path) -> None:
    """Writes the pages into a folder."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
