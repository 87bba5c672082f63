"""Manifests: what is read, and where an error is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.config.positions import toml_positions
from symphony.errors import InvalidManifest
from symphony.stage.manifest import load_manifest, parse_manifest

DOCUMENT_5 = """\
[extension]
name = "gpt-4-instrument"
version = "1.0.0"
type = "instrument"
author = "OpenAI"
description = "GPT-4 language model integration"

[capabilities]
model_access = ["gpt-4", "gpt-4-turbo"]
network_access = ["api.openai.com"]
file_access = ["read:config", "write:cache"]

[dependencies]
symphony-core = "^1.0"
tokio = "^1.0"

[resources]
memory_limit = "2GB"
cpu_limit = "50%"
gpu_required = false

[configuration]
api_key = { type = "string", required = true, secret = true }
temperature = { type = "float", default = 0.7, min = 0.0, max = 2.0 }
"""

HEAD = '[extension]\nname = "ann/one"\nversion = "1.0.0"\ntype = "operator"\n'


def test_document_5_is_read_word_for_word() -> None:
    manifest = parse_manifest(DOCUMENT_5)
    assert (manifest.name, manifest.version) == ("local/gpt-4-instrument", "1.0.0")
    assert manifest.extension.author == "OpenAI"
    assert manifest.grants() == [
        "read:config/**",
        "write:cache/**",
        "network:api.openai.com:443",
        "model:gpt-4",
        "model:gpt-4-turbo",
    ]
    assert (manifest.resources.memory, manifest.resources.cpu, manifest.resources.gpu) == (
        2 * 10**9,
        0.5,
        False,
    )
    assert manifest.host_range == "^1.0"
    assert manifest.extension_dependencies() == {"tokio": "^1.0"}
    assert manifest.configuration["api_key"].secret
    assert manifest.configuration["temperature"].max == 2.0


def test_functions_become_players() -> None:
    manifest = parse_manifest(
        HEAD
        + """
[types]
"git/commit" = ["record"]

[[functions]]
name = "log"
description = "Commits"
examples = ["who committed"]
deterministic = true
inputs = { project = "project", base = "text" }
optional = ["base"]
outputs = { commits = "list<git/commit>" }
params = { since = { type = "duration", default = "90d", description = "ago" }, n = { type = "integer", min = 1 } }
seconds = 2
resources = { cpu = "50%", memory = "64MiB" }

[capabilities]
files = ["read:project/**"]
network = ["API.example.com", "host:8080"]
system = ["exec:git"]
ipc = ["publisher/other"]
"""
    )
    (log,) = manifest.functions
    assert (log.player, log.kind, log.deterministic) == ("ann/one#log", "operator", True)
    assert log.outputs == {"commits": "list<git/commit>"} and log.optional == {"base"}
    assert (log.params["since"].default, log.params["n"].minimum) == ("90d", 1)
    assert (log.seconds, log.cpu, log.memory) == (2.0, 0.5, 64 << 20)
    assert manifest.types == {"git/commit": ["record"]}
    assert manifest.capabilities.model_dump()["network"] == ["api.example.com:443", "host:8080"]
    assert manifest.grants()[-1] == "ipc:publisher/other"
    assert manifest.resources.cpu == 2.0 and manifest.resources.memory == 4 << 30


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("[extension\n", 1, 11, ""),
        ("a = 1\na = 2\n", 2, 6, ""),
        (HEAD.replace("1.0.0", "1.0"), 3, 1, "is no version"),
        (HEAD.replace("ann/one", "Ann One"), 2, 1, "is no extension name"),
        (HEAD.replace("operator", "tool"), 4, 1, "instrument"),
        (HEAD + "colour = 1\n", 5, 1, "is no key"),
        (HEAD + 'entry = "../player.py"\n', 5, 1, "inside the extension"),
        (
            HEAD + '[capabilities]\nfiles = [\n  "read:project/**",\n  "read:/etc/**",\n]\n',
            8,
            3,
            "leaves its folder",
        ),
        (HEAD + '[capabilities]\nfiles = ["exec:git"]\n', 6, 10, "read:PATTERN"),
        (HEAD + '[capabilities]\nnetwork = ["*.example.com"]\n', 6, 12, "is no host"),
        (HEAD + '[capabilities]\nnetwork = ["a:99999"]\n', 6, 12, "port"),
        (HEAD + '[capabilities]\nsystem = ["exec:/bin/sh"]\n', 6, 11, "plain name"),
        (HEAD + '[capabilities]\nmodels = ["a"]\nmodel_access = ["b"]\n', 5, 1, "same key"),
        (HEAD + '[dependencies]\n"a/b" = "one"\n', 6, 1, "is no version range"),
        (HEAD + '[resources]\nmemory = "lots"\n', 6, 1, "is no size"),
        (HEAD + "[configuration]\nx = { type = 'float', default = 3.0, max = 2.0 }\n", 6, 1, "above max"),
        (HEAD + "[configuration]\nx = { type = 'string', default = 3 }\n", 6, 1, "is no string"),
        (HEAD + "[[functions]]\nname = 'a'\n", 5, 1, "missing"),
        (
            HEAD
            + "[[functions]]\nname='a'\ndescription=''\nparams = { x = { type='string', files=['*.py'] } }\n",
            8,
            12,
            "files is for a path",
        ),
        (
            HEAD + "[[functions]]\nname='a'\ndescription=''\ninputs = { x = 'List of x' }\n",
            8,
            12,
            "port type",
        ),
        (HEAD + "[[functions]]\nname='a'\ndescription=''\noptional=['y']\n", 5, 1, "no input"),
        (HEAD + "[[functions]]\nname='a'\ndescription=''\n" * 2, 1, 1, "twice"),
    ],
)
def test_errors_name_line_and_column(text: str, line: int, column: int, part: str) -> None:
    if "twice" in part:
        text = HEAD + "[[functions]]\nname='a'\ndescription=''\n" * 2
    with pytest.raises(InvalidManifest) as refused:
        parse_manifest(text, source="Symphony.toml")
    finding = refused.value.findings[0]
    assert (finding["line"], finding["column"]) == (line, column), refused.value
    assert part in finding["message"]
    assert f"Symphony.toml:{line}:{column}: " in str(refused.value) and "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_all_findings_come_at_once() -> None:
    with pytest.raises(InvalidManifest) as refused:
        parse_manifest(HEAD.replace("1.0.0", "one") + "x = 1\ny = 2\n")
    assert [f["line"] for f in refused.value.findings] == [3, 5, 6]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match="no such manifest"):
        load_manifest(tmp_path)
    (tmp_path / "Symphony.toml").write_bytes(b'[extension]\nname = "\xff"\n')
    with pytest.raises(InvalidManifest, match=r":2:9: is not UTF-8"):
        load_manifest(tmp_path)
    (tmp_path / "Symphony.toml").write_text(HEAD)
    assert load_manifest(tmp_path / "Symphony.toml").name == "ann/one"


def test_the_bundled_manifests_are_valid() -> None:
    root = Path(__file__).resolve().parents[2] / "extensions"
    found = [
        load_manifest(file) for file in sorted(root.glob("**/Symphony.toml")) if "vendor" not in file.parts
    ]
    assert len(found) >= 8
    for manifest in found:
        for function in manifest.functions:
            assert 8 <= len(function.examples) <= 40, function.player


_plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.integers() | _plain, lambda v: st.dictionaries(_plain, v, min_size=1, max_size=3), max_leaves=8
    )
)
def test_every_key_of_a_toml_text_is_found(value: object) -> None:
    import tomlkit

    text = tomlkit.dumps({"root": value, "last": [1, {"a": 2}]})
    positions = toml_positions(text)
    assert ("last", 1, "a") in positions or "[[last]]" in text
    line, column = positions["root",]
    assert text.splitlines()[line - 1][column - 1 :].lstrip("[").startswith("root")
