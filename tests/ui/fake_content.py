"""What the host in memory knows: Players, a Melody, results, extensions, settings."""

from __future__ import annotations

import base64
import json
from typing import Any

EXAMPLES = [
    "Which files change most and are hardest to maintain? Write me a report with a chart",
    "Summarise the last 30 days of commits",
    "List all TODOs in src/",
    "Find dead code and rank it by age",
    "Who knows which part of the code best?",
    "Run the tests and explain what fails",
]


def _param(kind: str, default: Any, description: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "default": default, "description": description, "choices": [], **more}


NODES: list[dict[str, Any]] = [
    {
        "player": "symphony/git#churn",
        "kind": "operator",
        "description": "How often each file changed",
        "inputs": {"project": "project"},
        "outputs": {"files": "list<git/churn>"},
        "params": {
            "since": _param("duration", "90d", "how far back"),
            "merges": _param("boolean", False, "whether merges count"),
        },
    },
    {
        "player": "symphony/code#complexity",
        "kind": "operator",
        "description": "Cyclomatic complexity of each file",
        "inputs": {"project": "project"},
        "outputs": {"files": "list<code/complexity>"},
        "params": {"path": _param("path", "", "a folder of the project")},
    },
    {
        "player": "symphony/data#join",
        "kind": "operator",
        "description": "Joins two tables by a column",
        "inputs": {"left": "list<record>", "right": "list<record>"},
        "outputs": {"rows": "list<record>"},
        "params": {
            "on": _param("string", "path", "the column"),
            "how": _param("string", "inner", "which rows", choices=["inner", "left"]),
        },
    },
    {
        "player": "symphony/data#top",
        "kind": "operator",
        "description": "The largest rows by a column",
        "inputs": {"rows": "list<record>"},
        "outputs": {"rows": "list<record>"},
        "params": {"by": _param("string", "score", "the column"), "count": _param("integer", 10, "how many")},
    },
    {
        "player": "symphony/report#chart",
        "kind": "operator",
        "description": "A chart of a table as SVG",
        "inputs": {"rows": "list<record>"},
        "outputs": {"chart": "image/svg+xml"},
        "params": {},
    },
    {
        "player": "symphony/report#markdown",
        "kind": "operator",
        "description": "A report in Markdown from several inputs",
        "inputs": {"sections": "list<any>"},
        "outputs": {"report": "text/markdown"},
        "params": {"title": _param("string", "", "the report's title")},
    },
    {
        "player": "symphony/shell#run",
        "kind": "operator",
        "description": "Runs a program that you granted",
        "inputs": {"project": "project"},
        "outputs": {"stdout": "text", "exit_code": "integer"},
        "params": {"command": _param("list", None, "the program and its arguments", required=True)},
    },
]

MELODY: dict[str, Any] = {
    "format": "symphony.melody/1",
    "name": "hotspots",
    "description": "Files that change most and are hardest to maintain",
    "metadata": {
        "author": "conductor",
        "tags": ["git", "risk"],
        "why": {"churn": "“change most” asks for it"},
    },
    "nodes": [
        {"id": "churn", "kind": "operator", "player": "symphony/git#churn", "params": {"since": "365d"}},
        {"id": "complexity", "kind": "operator", "player": "symphony/code#complexity"},
        {"id": "join", "kind": "operator", "player": "symphony/data#join", "params": {"on": "path"}},
        {"id": "top", "kind": "operator", "player": "symphony/data#top", "params": {"count": 10}},
        {"id": "chart", "kind": "operator", "player": "symphony/report#chart"},
        {"id": "report", "kind": "operator", "player": "symphony/report#markdown"},
    ],
    "edges": [
        {"kind": "data", "from": "churn.files", "to": "join.left"},
        {"kind": "data", "from": "complexity.files", "to": "join.right"},
        {"kind": "data", "from": "join.rows", "to": "top.rows"},
        {"kind": "data", "from": "top.rows", "to": "chart.rows"},
        {"kind": "data", "from": "top.rows", "to": "report.sections"},
        {"kind": "data", "from": "chart.chart", "to": "report.sections"},
    ],
}

QUESTION = {
    "name": "path:utils.py",
    "text": "Which file is “utils.py”?",
    "choices": [
        {"label": "src/a/utils.py", "value": "src/a/utils.py"},
        {"label": "src/b/utils.py", "value": "src/b/utils.py"},
    ],
}

EXPLANATIONS = [
    {"node": "churn", "why": "“change most” asks how often each file changed", "confidence": 0.94},
    {"node": "complexity", "why": "“hardest to maintain” is measured as complexity", "confidence": 0.81},
    {"node": "join", "why": "both measures speak of the same files", "confidence": 0.77},
    {"node": "top", "why": "a ranking needs the largest only", "confidence": 0.58},
    {"node": "chart", "why": "you asked for a chart", "confidence": 0.97},
    {"node": "report", "why": "you asked for a report", "confidence": 0.3},
]

CHART = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 160" width="420" height="160">
<rect width="420" height="160" fill="white"/><g fill="#5b5bd6"><rect x="90" y="14" width="300" height="22"/>
<rect x="90" y="46" width="210" height="22"/><rect x="90" y="78" width="150" height="22"/>
<rect x="90" y="110" width="60" height="22"/></g><g font-family="sans-serif" font-size="12" fill="#333">
<text x="8" y="30">engine.py</text><text x="8" y="62">store.rs</text><text x="8" y="94">page.tsx</text>
<text x="8" y="126">cli.py</text></g></svg>"""

ROWS = [
    {
        "path": f"src/part{number}/module_{number}.py",
        "changes": 90 - number * 3,
        "complexity": 40 - number,
        "score": round(9.9 - number / 3, 2),
    }
    for number in range(24)
]

REPORT = (
    "# Hotspots\n\nThe **ten files** that change most and are hardest to maintain.\n\n"
    "| file | changes | complexity |\n|---|--:|--:|\n"
    + "".join(f"| `{row['path']}` | {row['changes']} | {row['complexity']} |\n" for row in ROWS[:10])
    + f"\n![Chart](data:image/svg+xml;base64,{base64.b64encode(CHART).decode()})\n\n"
    "## What to do\n\n- [x] Split `module_0.py`\n- [ ] Add tests to `module_1.py`\n\n"
    "```python\ndef score(changes: int, complexity: int) -> float:\n    return changes * complexity\n```\n"
    "\n<script>window.hacked = true</script>\n"
)

OUTPUTS: dict[str, tuple[tuple[str, str, bytes], ...]] = {
    "symphony/git#churn": (("churn.files.json", "list<git/churn>", json.dumps(ROWS).encode()),),
    "symphony/data#top": (
        (
            "top.rows.csv",
            "text/csv",
            b"path,changes\n" + b"".join(f"{r['path']},{r['changes']}\n".encode() for r in ROWS[:10]),
        ),
    ),
    "symphony/report#chart": (("chart.svg", "image/svg+xml", CHART),),
    "symphony/report#markdown": (("report.md", "text/markdown", REPORT.encode()),),
}


def _extension(
    name: str, kind: str, description: str, functions: list[str], permissions: dict[str, str], **more: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1.0.0",
        "type": kind,
        "description": description,
        "installed": False,
        "enabled": False,
        "bundled": False,
        "update": None,
        "state": "",
        "functions": [
            {"name": f, "inputs": {"project": "project"}, "outputs": {"rows": "list<record>"}, "params": {}}
            for f in functions
        ],
        "capabilities": {"grants": list(permissions)},
        "permissions": list(permissions.values()),
        **more,
    }


READ = {"read:project/**": "read all files of the open project"}

EXTENSIONS = [
    _extension(
        "symphony/git",
        "operator",
        "Reads a repository: log, diff, status, churn by file, authors.",
        ["log", "diff", "status", "churn", "authors"],
        {**READ, "exec:git": "run the program git"},
        installed=True,
        enabled=True,
        bundled=True,
        state="running",
    ),
    _extension(
        "symphony/code",
        "operator",
        "Outline, complexity, lint, dead code and TODOs of source files.",
        ["outline", "complexity", "lint", "todos"],
        {**READ, "exec:ruff": "run the program ruff"},
        installed=True,
        enabled=True,
        bundled=True,
        state="installed",
    ),
    _extension(
        "symphony/report",
        "operator",
        "Reports in Markdown, charts as SVG and PNG.",
        ["markdown", "chart"],
        {},
        installed=True,
        enabled=True,
        bundled=True,
        state="installed",
    ),
    _extension(
        "acme/licenses",
        "operator",
        "Lists the licences of all dependencies.",
        ["scan"],
        READ,
        installed=True,
        enabled=True,
        state="installed",
        update="1.1.0",
    ),
    _extension(
        "acme/changelog",
        "operator",
        "Writes a changelog from commits since the last tag.",
        ["changelog"],
        {**READ, "write:project/CHANGELOG.md": "change CHANGELOG.md of the open project"},
    ),
    _extension(
        "acme/weather",
        "operator",
        "The weather of a place.",
        ["now"],
        {"network:api.example.com:443": "reach api.example.com over the network"},
    ),
    _extension(
        "acme/words", "operator", "Counts words and measures readability.", ["count", "readability"], {}
    ),
]

SETTINGS: list[dict[str, Any]] = [
    {
        "key": "ui.theme",
        "value": "system",
        "default": "system",
        "source": "default",
        "type": "string",
        "description": "Colours of the page",
        "choices": ["system", "light", "dark"],
    },
    {
        "key": "pit.pool.capacity",
        "value": 128,
        "default": 128,
        "source": "default",
        "type": "integer",
        "description": "How many Players may be loaded at once",
        "choices": [],
    },
    {
        "key": "pit.pool.idle",
        "value": "5m",
        "default": "10m",
        "source": "user",
        "type": "string",
        "description": "After what time an idle Player is unloaded",
        "choices": [],
    },
    {
        "key": "conductor.enabled",
        "value": True,
        "default": True,
        "source": "default",
        "type": "boolean",
        "description": "Whether prompts are composed",
        "choices": [],
    },
    {
        "key": "telemetry.level",
        "value": "info",
        "default": "info",
        "source": "project",
        "type": "string",
        "description": "From which level records are kept",
        "choices": ["debug", "info", "warning", "error"],
    },
    {
        "key": "model.endpoint",
        "value": None,
        "default": None,
        "source": "default",
        "type": "string",
        "description": "Address of an OpenAI-compatible endpoint",
        "choices": [],
    },
]

SETTINGS += [
    {
        "key": key,
        "value": "",
        "default": "",
        "source": "default",
        "type": "string",
        "description": description,
        "choices": [],
    }
    for key, description in (
        ("ui.colors", "Motif whose colours the page has"),
        ("ui.layout", "Motif that arranges the views"),
    )
]

PALETTE = {"background": "#101418", "foreground": "#f0f4f8", "border_strong": "#556677"}

BROUGHT: dict[str, Any] = {
    "themes": [{"extension": "acme/night", "name": "Night", "dark": PALETTE}],
    "layouts": [
        {
            "extension": "acme/desk",
            "name": "Desk",
            "first": "artifacts",
            "order": ["artifacts", "board"],
            "density": "compact",
        }
    ],
    "components": [
        {"player": "acme/counter#count", "title": "Counter", "artifact": None},
        {"player": "acme/counter#again", "title": "Other counter", "artifact": None},
        {"player": "acme/counter#read", "title": "Count words", "artifact": "text/markdown"},
    ],
}
"""What Motifs bring to hosts that have some."""


def counter(count: int) -> dict[str, Any]:
    """The tree of a Player that counts."""
    text = {"type": "Text", "key": None, "props": {}, "children": [f"pressed {count} times"]}
    button = {"type": "Button", "key": "more/and more", "props": {"label": "More"}, "children": []}
    return {"type": "Stack", "key": None, "props": {}, "children": [text, button]}


AUDIT = [
    {
        "time": 1_780_000_000.0,
        "extension": "symphony/git",
        "capability": "exec",
        "detail": "git log --numstat",
        "allowed": True,
        "run": "run-1",
        "node": "churn",
    },
    {
        "time": 1_780_000_010.0,
        "extension": "acme/licenses",
        "capability": "network",
        "detail": "example.org:443",
        "allowed": False,
        "run": "run-1",
        "node": "scan",
    },
]
