"""`python -m benches --json F [--only NAME]`: measures, prints a table, writes the rows."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import traceback
from pathlib import Path

from benches.measure import Row

MODULES = (
    "pool",
    "graph",
    "schedule",
    "engine",
    "store",
    "space",
    "search",
    "formats",
    "bus",
    "stage",
    "stage_trouble",
    "conductor",
    "application",
    "application_page",
    "application_board",
    "application_host",
)


def page(rows: list[Row]) -> str:
    """The rows as a Markdown page; they are true of the machine that it names and of no other."""
    machine = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in machine if line.startswith("model name"))
    processor = next(named, platform.machine())
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {processor}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        "Each row runs its peer beside it in the same process, in turn, and takes the ratio of the medians: below 1 is",
        "quicker or smaller than the peer. Shares, such as space saved, are better above 1.",
        "",
        "| measure | value | peer | peer's value | ratio | how |",
        "|---|---:|---|---:|---:|---|",
    ]
    for row in rows:
        peer = "" if row.peer_value is None else f"{row.peer_value:.3g} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        value = f"{row.value:.3g} {row.unit}"
        lines.append(
            f"| {row.name} | {value} | {row.peer} | {peer} | {ratio} | {row.how.replace('|', '/')} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs what is asked for; 1 when a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--only", help="only rows whose name contains this")
    parser.add_argument("--markdown", type=Path, help="write them as a page for the documentation")
    parser.add_argument("--full", action="store_true", help="also the rows that take minutes each")
    options = parser.parse_args()
    print(f"# {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    rows: list[Row] = []
    failed = 0
    for module in MODULES:
        found = importlib.import_module(f"benches.{module}")
        table = {**found.ROWS, **(getattr(found, "LONG_ROWS", {}) if options.full else {})}
        for name, measure in table.items():
            if options.only and options.only not in name:
                continue
            try:
                row = measure(name)
            except Exception:
                traceback.print_exc()
                failed += 1
                continue
            rows.append(row)
            against = (
                f"{row.ratio:6.2f} × {row.peer} ({row.peer_value:.3g})" if row.ratio is not None else row.peer
            )
            print(f"{row.name:44} {row.value:10.3g} {row.unit:6} {against}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([r.to_json() for r in rows], indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(page(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
