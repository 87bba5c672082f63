"""What to look for in each language's syntax tree: definitions and imports, as tree-sitter queries."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Grammar:
    """One language. `definitions` captures `@name` inside a node captured as its kind; `imports` captures `@target`."""

    module: str
    entry: str
    suffixes: tuple[str, ...]
    definitions: str
    imports: str


_JAVASCRIPT_DEFINITIONS = """
(class_declaration name: (_) @name) @class
(function_declaration name: (_) @name) @function
(generator_function_declaration name: (_) @name) @function
(method_definition name: (_) @name) @method
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @function
"""
_TYPESCRIPT_DEFINITIONS = (
    _JAVASCRIPT_DEFINITIONS
    + """
(abstract_class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @interface
(type_alias_declaration name: (_) @name) @type
(enum_declaration name: (_) @name) @enum
"""
)
_JAVASCRIPT_IMPORTS = """
(import_statement source: (string (string_fragment) @target))
(export_statement source: (string (string_fragment) @target))
(call_expression function: [(identifier) (import)] @callee arguments: (arguments . (string (string_fragment) @target))
  (#any-of? @callee "require" "import"))
"""

GRAMMARS = {
    "python": Grammar(
        "tree_sitter_python",
        "language",
        (".py", ".pyi"),
        """
        (class_definition name: (_) @name) @class
        (function_definition name: (_) @name) @function
        """,
        """
        (import_statement name: [(dotted_name) @target (aliased_import name: (dotted_name) @target)])
        (import_from_statement module_name: (_) @target)
        """,
    ),
    "typescript": Grammar(
        "tree_sitter_typescript",
        "language_typescript",
        (".ts", ".mts", ".cts"),
        _TYPESCRIPT_DEFINITIONS,
        _JAVASCRIPT_IMPORTS,
    ),
    "tsx": Grammar(
        "tree_sitter_typescript", "language_tsx", (".tsx",), _TYPESCRIPT_DEFINITIONS, _JAVASCRIPT_IMPORTS
    ),
    "javascript": Grammar(
        "tree_sitter_javascript",
        "language",
        (".js", ".mjs", ".cjs", ".jsx"),
        _JAVASCRIPT_DEFINITIONS,
        _JAVASCRIPT_IMPORTS,
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        "language",
        (".rs",),
        """
        (function_item name: (_) @name) @function
        (function_signature_item name: (_) @name) @function
        (struct_item name: (_) @name) @struct
        (union_item name: (_) @name) @union
        (enum_item name: (_) @name) @enum
        (trait_item name: (_) @name) @trait
        (type_item name: (_) @name) @type
        (mod_item name: (_) @name) @module
        (macro_definition name: (_) @name) @macro
        (impl_item type: (_) @name) @impl
        """,
        "(use_declaration argument: (_) @target)",
    ),
    "go": Grammar(
        "tree_sitter_go",
        "language",
        (".go",),
        """
        (function_declaration name: (_) @name) @function
        (method_declaration
          receiver: (parameter_list (parameter_declaration type: (_) @parent)) name: (_) @name) @method
        (type_spec name: (_) @name type: (struct_type)) @struct
        (type_spec name: (_) @name type: (interface_type)) @interface
        (type_spec name: (_) @name type: [(type_identifier) (qualified_type) (function_type) (map_type)
          (slice_type) (array_type) (channel_type) (pointer_type)]) @type
        (type_alias name: (_) @name) @type
        """,
        "(import_spec path: (_) @target)",
    ),
    "c": Grammar(
        "tree_sitter_c",
        "language",
        (".c", ".h"),
        """
        (function_definition declarator: (_) @declarator) @function
        (struct_specifier name: (_) @name body: (_)) @struct
        (union_specifier name: (_) @name body: (_)) @union
        (enum_specifier name: (_) @name body: (_)) @enum
        (type_definition declarator: (type_identifier) @name) @type
        (preproc_function_def name: (_) @name) @macro
        """,
        "(preproc_include path: (_) @target)",
    ),
}
"""Each grammar comes from its own wheel, for the packs of all grammars download theirs at run time."""

_BY_SUFFIX = {suffix: name for name, grammar in GRAMMARS.items() for suffix in grammar.suffixes}


def language_of(path: str) -> str | None:
    """The name of the grammar for a file, or None when there is none."""
    dot = path.rfind(".")
    return _BY_SUFFIX.get(path[dot:].lower()) if dot >= 0 else None


@cache
def load(name: str) -> tuple[Any, Any, Any]:
    """The language and its two queries, compiled: `(language, definitions, imports)`."""
    from tree_sitter import Language, Query

    grammar = GRAMMARS[name]
    language = Language(getattr(importlib.import_module(grammar.module), grammar.entry)())
    return language, Query(language, grammar.definitions), Query(language, grammar.imports)
