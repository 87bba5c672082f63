"""`python -m tests.soak --seconds N`: soaks, prints what came of it, ends with 1 when something was not as promised."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.soak.course import Soak, lines


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="what all choices come from")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--keep", type=Path, help="work in this folder, which must be new, and leave it")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True)
        report = _soak(options.keep, options)
    else:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            report = _soak(Path(folder), options)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(*lines(report), sep="\n")
    return 0 if report["ok"] else 1


def _soak(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    soak = Soak(folder, options.seconds, options.seed, lambda text: print(f"# {text}", flush=True))
    return asyncio.run(soak.run())


if __name__ == "__main__":
    sys.exit(main())
