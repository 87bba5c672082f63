"""Programming languages that prompts name, and the endings of their files."""

from __future__ import annotations

LANGUAGES = {
    "python": "py", "typescript": "ts", "javascript": "js", "rust": "rs", "go": "go", "golang": "go", "c": "c",
    "java": "java", "markdown": "md", "ruby": "rb", "c++": "cpp", "cpp": "cpp", "html": "html", "css": "css",
    "shell": "sh", "bash": "sh", "yaml": "yaml", "toml": "toml", "json": "json", "csv": "csv", "kotlin": "kt",
    "swift": "swift", "php": "php", "sql": "sql", "xml": "xml", "tsx": "tsx",
}  # fmt: skip
"""Names of languages and the endings of their files."""
