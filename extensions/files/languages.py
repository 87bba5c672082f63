"""Names the language of a file by its name."""

from __future__ import annotations

_BY_NAME = {
    "makefile": "Makefile",
    "dockerfile": "Dockerfile",
    "cmakelists.txt": "CMake",
    "jenkinsfile": "Groovy",
}

_SUFFIXES = {
    "Python": "py pyi pyx",
    "JavaScript": "js mjs cjs jsx",
    "TypeScript": "ts tsx mts cts",
    "Rust": "rs",
    "Go": "go",
    "C": "c h",
    "C++": "cc cpp cxx hh hpp hxx",
    "C#": "cs",
    "Java": "java",
    "Kotlin": "kt kts",
    "Swift": "swift",
    "Scala": "scala",
    "Ruby": "rb",
    "PHP": "php",
    "Perl": "pl pm",
    "Lua": "lua",
    "R": "r",
    "Julia": "jl",
    "Haskell": "hs",
    "Elixir": "ex exs",
    "Erlang": "erl",
    "Clojure": "clj cljs",
    "Dart": "dart",
    "Zig": "zig",
    "OCaml": "ml mli",
    "Shell": "sh bash zsh fish",
    "PowerShell": "ps1",
    "SQL": "sql",
    "HTML": "html htm",
    "CSS": "css scss sass less",
    "Vue": "vue",
    "Svelte": "svelte",
    "Markdown": "md markdown",
    "reStructuredText": "rst",
    "Text": "txt",
    "JSON": "json jsonl",
    "YAML": "yaml yml",
    "TOML": "toml",
    "XML": "xml xsd svg",
    "CSV": "csv tsv",
    "INI": "ini cfg conf",
    "Protocol Buffers": "proto",
    "GraphQL": "graphql gql",
    "Terraform": "tf",
    "Nix": "nix",
    "Jupyter": "ipynb",
    "TeX": "tex",
    "Assembly": "s asm",
    "Lock file": "lock",
}
_BY_SUFFIX = {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


def language_of(path: str) -> str:
    """The language's name, or "Other"."""
    name = path.rpartition("/")[2].lower()
    return _BY_NAME.get(name) or _BY_SUFFIX.get(name.rpartition(".")[2] if "." in name else "", "Other")
