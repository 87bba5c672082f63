"""The extensions of the registry, on real and on planted projects."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from symphony.sdk import PlayerFailure


def test_licences_of_what_is_installed_and_what_is_named(player, tmp_path):
    def put(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    put(".gitignore", "node_modules/\n.venv/\n")
    put("node_modules/left/package.json", json.dumps({"name": "left", "version": "1.0.0", "license": "MIT"}))
    put(
        "node_modules/@a/b/package.json",
        json.dumps({"name": "@a/b", "version": "2.0.0", "licenses": [{"type": "ISC"}]}),
    )
    put("node_modules/broken/package.json", "{")
    put(
        "package-lock.json",
        json.dumps(
            {
                "packages": {
                    "": {},
                    "node_modules/left": {"version": "1.0.0"},
                    "node_modules/only": {"version": "3.0.0", "license": "GPL-3.0"},
                }
            }
        ),
    )
    put(".venv/lib/site/x-1.dist-info/METADATA", "Name: x\nVersion: 1\nLicense-Expression: MPL-2.0\n\nBody\n")
    put(
        ".venv/lib/site/y-2.dist-info/METADATA",
        "Name: y\nVersion: 2\nClassifier: License :: OSI Approved :: BSD License\nLicense: long\n text\n",
    )
    put(
        "Cargo.lock",
        '[[package]]\nname = "me"\nversion = "0.1.0"\n[[package]]\nname = "serde"\nversion = "1.0.0"\n'
        'source = "registry"\n',
    )
    rows = player("registry/licenses", tmp_path).call("dependencies")["packages"]
    assert {(r["ecosystem"], r["package"], r["version"]): (r["license"], r["family"]) for r in rows} == {
        ("cargo", "serde", "1.0.0"): ("unknown", "unknown"),
        ("npm", "@a/b", "2.0.0"): ("ISC", "permissive"),
        ("npm", "left", "1.0.0"): ("MIT", "permissive"),
        ("npm", "only", "3.0.0"): ("GPL-3.0", "strong copyleft"),
        ("python", "x", "1"): ("MPL-2.0", "weak copyleft"),
        ("python", "y", "2"): ("BSD License", "permissive"),
    }
    strong = player("registry/licenses", tmp_path).call("dependencies", {"family": "strong copyleft"})[
        "packages"
    ]
    assert [r["package"] for r in strong] == ["only"]


@pytest.mark.parametrize(
    ("license", "family"),
    [
        ("MIT OR GPL-2.0-only", "permissive"),
        ("MIT AND LGPL-2.1", "weak copyleft"),
        ("GNU Lesser General Public License v3", "weak copyleft"),
        ("GNU General Public License v3 (GPLv3)", "strong copyleft"),
        ("AGPL-3.0-or-later", "strong copyleft"),
        ("Apache-2.0", "permissive"),
        ("Custom", "unknown"),
        ("", "unknown"),
    ],
)
def test_families(player, license, family):
    harness = player("registry/licenses")
    with harness._inside():
        from families import family as family_of

        assert family_of(license) == family


def test_headers(player, tmp_path):
    (tmp_path / "a.py").write_text("# SPDX-License-Identifier: MIT\n# Copyright 2024 Ada\n")
    (tmp_path / "b.c").write_text("/* Licensed under the Apache License 2.0 */\n")
    (tmp_path / "c.rs").write_text("fn main() {}\n")
    (tmp_path / "readme.txt").write_text("MIT License\n")
    harness = player("registry/licenses", tmp_path)
    rows = harness.call("headers")["files"]
    assert [(r["file"], r["license"]) for r in rows] == [
        ("a.py", "MIT"),
        ("b.c", "Apache License"),
        ("c.rs", ""),
    ]
    assert rows[0]["copyright"] == "Copyright 2024 Ada"
    assert [r["file"] for r in harness.call("headers", {"missing_only": True})["files"]] == ["c.rs"]
    with pytest.raises(PlayerFailure):
        harness.call("headers", {"path": "../"})


def test_release_notes(player, history):
    commits = [
        {
            "short": "a1",
            "subject": "feat(api): add *search*",
            "body": "",
            "author": "Ada",
            "date": "2024-02-03T00:00:00Z",
        },
        {
            "short": "a2",
            "subject": "fix!: drop the old flag.",
            "body": "",
            "author": "Ada",
            "date": "2024-02-01T00:00:00Z",
        },
        {
            "short": "a3",
            "subject": "Repair the parser",
            "body": "",
            "author": "Joe",
            "date": "2024-02-02T00:00:00Z",
        },
        {"short": "a4", "subject": "chore: bump", "body": ""},
        {"short": "a5", "subject": "Faster", "body": "BREAKING CHANGE: the cache moved"},
        {"short": "a6", "subject": "Merge x", "body": "", "merge": True},
    ]
    harness = player("registry/changelog")
    notes = harness.call("notes", {"version": "2.0.0"}, {"commits": commits})["notes"]
    assert notes == (
        "## 2.0.0 (2024-02-01 to 2024-02-03)\n\n"
        "### Breaking changes\n\n- Drop the old flag (a2)\n- Faster: the cache moved (a5)\n\n"
        "### Added\n\n- **api**: Add \\*search\\* (a1)\n\n"
        "### Fixed\n\n- Repair the parser (a3)\n"
    )
    assert "### Housekeeping" in harness.call("notes", {"internal": True}, {"commits": commits})["notes"]
    assert "(a3, Joe)" in harness.call("notes", {"authors": True}, {"commits": commits})["notes"]
    assert "No changes." in harness.call("notes", inputs={"commits": []})["notes"]
    real = player("git", history.root).call("log")["commits"]
    text = harness.call("notes", inputs={"commits": real})["notes"]
    assert text.count("\n- ") == sum(not c["merge"] for c in real)


def test_diagrams(player, history):
    code = player("code", history.root)
    diagram = player("registry/diagram")
    imports = code.call("imports")["imports"]
    text = diagram.call("modules", {"outside": True}, {"imports": imports})["diagram"]
    boxes = dict(re.findall(r'(n\d+)[\[(]+"([^"]+)"', text))
    arrows = {(boxes[a], int(n), boxes[b]) for a, n, b in re.findall(r"(n\d+) -->\|(\d+)\| (n\d+)", text)}
    assert arrows == {("src", 1, "re"), ("tests", 1, "src")}
    assert "```mermaid\nflowchart LR\n" in text
    symbols = code.call("outline")["symbols"]
    text = diagram.call("classes", inputs={"symbols": symbols})["diagram"]
    assert "  class Engine {\n    start()\n  }" in text
    assert "no dependencies" in diagram.call("modules", inputs={"imports": []})["diagram"]
    assert "nothing_found" in diagram.call("classes", inputs={"symbols": []})["diagram"]


DOCUMENT = """# Títle `x`!

See [ok](other.md), [part](other.md#a-part), [gone](missing.md), ![pic](no.png)
[up](../../etc/passwd) and [web](https://example.org/x) and [self](#nothing).

## Same

## Same

```
[not](a-link.md)
```

- [ ] task <script>alert(1)</script>
"""


def test_links(player, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/one.md").write_text(DOCUMENT)
    (tmp_path / "docs/other.md").write_text("# A part\n")
    rows = player("registry/markdown", tmp_path).call("links")["links"]
    assert {(r["target"], r["problem"]) for r in rows} == {
        ("missing.md", "no such file"),
        ("no.png", "no such file"),
        ("../../etc/passwd", "leads out of the project"),
        ("#nothing", "no such heading"),
    }
    assert {(r["file"], r["line"]) for r in rows} == {("docs/one.md", 3)}
    assert len(player("registry/markdown", tmp_path).call("links", {"all": True})["links"]) == 7


def test_contents(player):
    outputs = player("registry/markdown").call("contents", inputs={"text": DOCUMENT})
    assert [(h["heading"], h["level"], h["anchor"]) for h in outputs["headings"]] == [
        ("Títle x!", 1, "títle-x"),
        ("Same", 2, "same"),
        ("Same", 2, "same-1"),
    ]
    assert outputs["contents"].splitlines() == [
        "- [Títle x!](#títle-x)",
        "  - [Same](#same)",
        "  - [Same](#same-1)",
    ]


def test_html_shows_source_html_and_does_not_run_it(player):
    svg = "![c](data:image/svg+xml;base64,AAAA)\n\n[bad](javascript:alert(1))\n"
    page = player("registry/markdown").call("html", inputs={"text": DOCUMENT + svg})["html"]
    tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            tags.append((tag, dict(attributes)))

    Reader().feed(page)
    names = [tag for tag, _ in tags]
    assert "script" not in names and "h1" in names and "input" in names
    assert "<title>Títle x!</title>" in page
    assert any(a.get("src") == "data:image/svg+xml;base64,AAAA" for t, a in tags if t == "img")
    assert not any(str(a.get("href", "")).startswith("javascript") for t, a in tags if t == "a")


def test_documents_are_found_in_the_project_only(player, history):
    harness = player("registry/markdown", history.root)
    assert harness.call("contents", {"path": "README.md"})["headings"][0]["heading"] == "The project"
    for path in ("../x.md", "nothing.md", "src"):
        with pytest.raises(PlayerFailure) as failure:
            harness.call("html", {"path": path})
        assert failure.value.code == "bad_input" and failure.value.remedy
