"""`python -m conductor.past`: fits what the requests that ship teach, beside the encoder (a step of `make build`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from conductor.encoder.runtime import Encoder
from conductor.past.fitting import fit
from conductor.past.requests import read_requests


def main(arguments: list[str] | None = None) -> None:
    """Reads the requests, embeds them, fits, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=Path, default=Path("extensions/requests.jsonl"))
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    chosen = parser.parse_args(arguments)
    encoder = Encoder(chosen.encoder, cache=0)
    fit(read_requests(chosen.requests), encoder.embed, encoder.version).write(chosen.encoder)


if __name__ == "__main__":
    main()
