"""Lists the licences of everything that is installed for the host, and fails for one that may not be used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)
ALLOWED = {
    # The window's toolkit: LGPL-3.0, loaded dynamically as that licence asks; the other choices are not taken.
    "PySide6_Addons": "LGPL",
    "PySide6_Essentials": "LGPL",
    "PySide6_WebEngine": "LGPL",
    "shiboken6": "LGPL",
}
ONLY_TESTS = {"pip-licenses", "grimp", "import-linter", "hypothesis", "playwright"}


def python_licences() -> list[dict[str, str]]:
    """Name, version and licence of every installed distribution."""
    output = subprocess.run(
        [Path(sys.prefix) / "bin" / "pip-licenses", "--format=json", "--from=mixed"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: list[dict[str, str]] = json.loads(output)
    return found


def rust_licences() -> list[dict[str, str]]:
    """Name, version and licence of every crate in the lock file."""
    output = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    return [
        {"Name": p["name"], "Version": p["version"], "License": p["license"] or "file"}
        for p in json.loads(output)["packages"]
        if p["source"] is not None
    ]


def forbidden(entry: dict[str, str]) -> bool:
    """Whether a licence may not be used. `A OR B` may, when one of the two may."""
    if entry["Name"] in ALLOWED or entry["Name"] in ONLY_TESTS:
        return False
    choices = re.split(r"\bOR\b|/|;", entry["License"])
    return all(FORBIDDEN.search(choice) for choice in choices)


def main() -> int:
    """Prints a summary; 1 when something may not be used."""
    entries = [*python_licences(), *rust_licences()]
    bad = [e for e in entries if forbidden(e)]
    for entry in bad:
        print(f"{entry['Name']} {entry['Version']}: {entry['License']} may not be used", file=sys.stderr)
    print(f"licences: {len(entries)} packages, {len(bad)} that may not be used")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
