"""`python -m conductor.evaluate NAME …`, the names are those of `MEASUREMENTS`: each prints one JSON document."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any, Protocol, cast

from symphony.errors import SymphonyError

MEASUREMENTS = {
    "toolgraph": "plans over a catalogue of tools, learnt from prompts with their chains",
    "slots": "calls with their parameters over a catalogue of typed tools",
    "prompts": "natural prompts over the bundled Players",
    "quest": "levels of Function Quest, played by the policy and by baselines",
    "month": "a simulated month of learning from use, with the gate and without",
    "preference": "what corrections of somebody with a preference teach, and what the gate says of it",
    "gym": "the same PPO on an environment of gymnasium",
}
"""Each is a module of this package, loaded only when it is called: some need torch."""


class Measurement(Protocol):
    """What a module of this package offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the options."""

    def run(self, options: argparse.Namespace) -> dict[str, Any]:
        """Measures, and answers with what is printed. Raises SymphonyError."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 0, or that of the error which standard error explains."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m conductor.evaluate", description=__doc__)
    commands = parser.add_subparsers(dest="measurement", required=True)
    parsers = {name: commands.add_parser(name, help=text) for name, text in MEASUREMENTS.items()}
    chosen = given[0] if given and given[0] in MEASUREMENTS else None
    if chosen is None:
        parser.parse_args(given)
        return 2
    measurement = cast(Measurement, importlib.import_module(f"conductor.evaluate.{chosen}"))
    measurement.add_arguments(parsers[chosen])
    options = parser.parse_args(given)
    try:
        document = measurement.run(options)
    except (SymphonyError, OSError) as error:
        print(f"conductor.evaluate {chosen}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, SymphonyError) else 1
    print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
