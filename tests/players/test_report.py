"""The report Player: what it writes is what the rows say, in Markdown and SVG that parse."""

from __future__ import annotations

import base64
import csv
import io
import re
import xml.etree.ElementTree as ElementTree

import pytest

from symphony.sdk import PlayerFailure

FILES = [
    {"file": f"src/part_{i}.py", "commits": 50 - 2 * i, "lines": 7 * i, "exists": True} for i in range(24)
]
COMMITS = [
    {"short": f"{i:07x}", "date": f"2024-0{1 + i % 3}-1{i % 9}T10:00:00+01:00", "author": "Ada" if i % 3 else "José",
     "subject": f"Change | number *{i}*", "hash": f"{i:040x}"}
    for i in range(30)
]  # fmt: skip
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>A &amp; B</title></svg>'


@pytest.fixture
def report(player):
    return player("report")


def markdown(report, *sections, **params):
    return report.call("markdown", params, {"sections": list(sections)})["report"]


def chart(report, rows, **params):
    return report.call("chart", params, {"items": rows})["chart"]


@pytest.fixture
def drawn(report, monkeypatch):
    """Draws rows and decodes the chart's PNG, with the extension's own Pillow."""
    monkeypatch.syspath_prepend(report.entry.parent / "vendor")

    def draw(rows, **params):
        from PIL import Image

        with Image.open(io.BytesIO(report.call("chart", params, {"items": rows})["png"])) as opened:
            opened.load()
            return opened

    return draw


def ink(picture) -> int:
    """How many pixels are not white."""
    return sum(picture.convert("L").histogram()[:250])


def texts(svg: str) -> list[str]:
    """All texts that the drawing shows."""
    return [
        "".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")
    ]


def test_a_report_of_a_table_and_its_chart(report):
    picture = chart(report, FILES)
    text = markdown(report, *FILES, picture, title="What changes")
    assert report.artifacts["report"] == {"name": "report.md", "type": "text/markdown"}
    lines = text.splitlines()
    assert lines[0] == "# What changes"
    assert "## Findings" in lines and "## Files by commits" in lines
    assert "- **`src/part_0.py`** leads 24 files with commits 50." in lines
    total, first = sum(r["commits"] for r in FILES), sum(r["commits"] for r in FILES[:3])
    assert f"hold {100 * first / total:.0f} % of all commits ({total:,} in total)" in text
    rows = [line for line in lines if line.startswith("| `src/")]
    assert len(rows) == 20 and rows[0].startswith("| `src/part_0.py` | 50 |")
    assert "*4 more of 24 rows are not shown.*" in lines
    assert "Exists" not in text
    embedded = re.search(r"!\[Commits by file\]\(data:image/svg\+xml;base64,([^)]+)\)", text)
    assert embedded and base64.b64decode(embedded[1]).decode() == picture
    assert (
        lines.index("## Findings") < text[: embedded.start()].count("\n") < lines.index("## Files by commits")
    )


def test_nested_lists_of_several_edges_are_the_same(report):
    assert markdown(report, FILES, SVG) == markdown(report, *FILES, SVG)


def test_several_kinds_of_sections(report):
    text = markdown(
        report, *FILES[:3], *COMMITS, "# Notes\n\nSome words.", 1234567, True, "--- a/x\n+++ b/x\n", None, SVG
    )
    assert text.count("\n# ") == 0 and text.startswith("# Files by commits")
    assert "## Commits" in text and "## Notes" in text and "**1,234,567**" in text
    assert "```diff\n--- a/x" in text
    assert "Most frequent author: **Ada**, 20 of 30 (67 %)." in text
    assert "Date: from 2024-01-10 to 2024-03-18." in text
    assert "![A & B](data:" in text
    assert "0000000000000000000000000000000000000001" not in text


def test_cells_cannot_break_the_table(report):
    rows = [
        {"name": "a|b\nc", "note": "<script>*x*</script> [l](u)", "n": 1},
        {"name": "`d`", "note": "", "n": 2},
    ]
    text = report.call("table", inputs={"items": rows})["table"]
    lines = text.strip().splitlines()
    assert len(lines) == 4
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 4, line
    assert "<script>" not in text


def test_a_headline_is_text(report):
    text = markdown(report, *FILES, title="Which *.py files\nuse <b>?")
    assert text.splitlines()[0] == r"# Which \*.py files use \<b\>?"
    assert markdown(report, *FILES, title=" ").startswith("# Files by commits")


def test_nothing_is_said_to_be_nothing(report):
    assert "Nothing was found." in markdown(report)
    assert "Nothing was found." in report.call("table", inputs={"items": []})["table"]
    assert "Nothing to show" in texts(chart(report, []))


def test_table_columns_and_title(report):
    text = report.call("table", {"columns": ["lines", "file"], "limit": 2, "title": "T"}, {"items": FILES})[
        "table"
    ]
    assert text.splitlines()[:4] == ["## T", "", "| Lines | File |", "| ---: | --- |"]
    assert "*22 more of 24 rows are not shown.*" in text
    with pytest.raises(PlayerFailure, match="no column 'x'"):
        report.call("table", {"columns": ["x"]}, {"items": FILES})


def test_csv_reads_back(report):
    rows = [{"a": 'x,"y"', "b": 1}, {"a": "ü\nz", "b": None, "c": [1]}]
    text = report.call("csv", inputs={"items": rows})["csv"]
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"a": 'x,"y"', "b": "1", "c": ""},
        {"a": "ü\nz", "b": "", "c": "[1]"},
    ]
    assert "'=1+1" in report.call("csv", inputs={"items": [{"a": "=1+1"}]})["csv"]


def test_a_bar_chart_shows_the_values(report):
    svg = chart(report, FILES)
    shown = texts(svg)
    assert report.artifacts["chart"] == {"name": "chart.svg", "type": "image/svg+xml"}
    for row in FILES[:15]:
        assert row["file"] in shown and str(row["commits"]) in shown
    assert FILES[15]["file"] not in shown
    assert any("9 more not shown" in text for text in shown)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root[0].text == "Commits by file"


@pytest.mark.parametrize("kind", ["bar", "barh", "line", "scatter", "pie", "auto"])
def test_every_kind_draws_and_repeats(report, kind):
    params = {"kind": kind, "title": "Costs $5 & <more>"}
    outputs = report.call("chart", params, {"items": FILES})
    assert outputs == report.call("chart", params, {"items": FILES})
    assert any("Costs $5 & <more>" in text for text in texts(outputs["chart"]))
    assert outputs["png"].startswith(b"\x89PNG\r\n\x1a\n")


def test_the_png_is_the_same_chart_sharp_and_on_white(report, drawn):
    picture = drawn(FILES, title="Größe: α → ✓")
    assert report.artifacts["png"] == {"name": "chart.png", "type": "image/png"}
    assert picture.width >= 1500 and picture.info["Title"] == "Größe: α → ✓"
    for x, y in ((0, 0), (picture.width - 1, picture.height - 1)):
        assert picture.convert("RGBA").getpixel((x, y)) == (255, 255, 255, 255)
    # The longest bar and a shorter one have their lengths, in the palette's colour.
    colour, pixels = (0x4F, 0x46, 0xE5), picture.convert("RGB")
    lengths = [
        sum(pixels.getpixel((x, y)) == colour for x in range(pixels.width)) for y in range(pixels.height)
    ]
    lengths = [length for length in dict.fromkeys(lengths) if length > 50]
    assert lengths[0] / lengths[-1] == pytest.approx(FILES[0]["commits"] / FILES[14]["commits"], rel=0.02)


def test_the_png_shows_its_texts(drawn):
    """Labels leave ink, each its own, without any font of the system."""
    bars = [{"file": name, "commits": 3} for name in ("iiii", "MMMM")]
    other = [{"file": name, "commits": 3} for name in ("iiii", "....")]
    assert ink(drawn(bars)) > ink(drawn(other)) + 500


def test_letters_that_the_png_lacks_are_told(report):
    rows = [{"file": "日本.py", "commits": 3}, {"file": "größe.py", "commits": 2}]
    assert any("日本.py" in text for text in texts(chart(report, rows)))
    [told] = report.host.reported("log")
    assert told["level"] == "warning" and "日本;" in told["message"] and "ö" not in told["message"]


def test_a_png_in_a_report_is_named_by_its_title(report):
    picture = report.call("chart", {"title": "A & B"}, {"items": FILES})["png"]
    text = markdown(report, *FILES, picture, b"\x89PNG broken")
    embedded = re.search(r"!\[A & B\]\(data:image/png;base64,([^)]+)\)", text)
    assert embedded and base64.b64decode(embedded[1]) == picture
    assert "![Picture](data:image/png;base64," in text


def test_rows_without_numbers_are_counted(report):
    shown = texts(chart(report, COMMITS))
    assert any("Commits by week" in text for text in shown)
    shown = texts(chart(report, COMMITS, label="author"))
    assert {"Ada", "20", "José", "10"} <= set(shown)


def test_ranked_columns_win(report):
    rows = [
        {"language": n, "files": f, "lines": v} for n, f, v in (("Rust", 1, 90), ("Go", 8, 50), ("C", 3, 20))
    ]
    assert any("Lines by language" in t for t in texts(chart(report, rows)))
    assert any("Files by language" in t for t in texts(chart(report, rows, value="files")))


def test_a_long_path_keeps_its_end(report):
    rows = [
        {"file": f"very/long/folder/names/everywhere/in/this/tree/{i}/module.py", "commits": i}
        for i in (3, 2)
    ]
    assert any(text.startswith("…") and text.endswith("/module.py") for text in texts(chart(report, rows)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kind": "radar"}, "no kind of chart"),
        ({"value": "nothing"}, "no column 'nothing'"),
        ({"kind": "scatter", "label": "file", "value": "file"}, "two columns of numbers"),
    ],
)
def test_bad_input_is_named(report, params, message):
    with pytest.raises(PlayerFailure, match=message) as failure:
        chart(report, FILES, **params)
    assert failure.value.code == "bad_input" and failure.value.remedy


def test_a_pie_refuses_negative_amounts(report):
    with pytest.raises(PlayerFailure, match="not negative"):
        chart(report, [{"name": "a", "amount": -1}, {"name": "b", "amount": 2}], kind="pie")
