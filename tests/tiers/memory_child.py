"""Takes a content through a tier and back, then one that is larger, and prints how much more memory that took."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pit_native
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.azure import AzureTier
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.s3 import S3Tier
from symphony.tiers.tier import Tier
from symphony.tiers.tiering import Tiering

PIECE = 1 << 20


def _tier(kind: str, given: list[str]) -> Tier:
    if kind == "archive":
        return ArchiveTier(Path(given[0]), is_new=True)
    if kind == "s3":
        bucket, endpoint, key, secret = given
        keys = (key, secret)
        return S3Tier(bucket, "p", endpoint=endpoint, region="us-east-1", credentials=keys, part=5 << 20)
    container, connection = given
    return AzureTier(container, "p", connection=connection, part=5 << 20)


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) << 10


def main(home: Path, sizes: list[int], kind: str, given: list[str]) -> None:
    """`sizes` are in pieces of a MiB. What libraries, parts and compression take is in both peaks."""
    name = "archive" if kind == "archive" else "cloud"
    with pit_native.ArtifactStore(home / "store") as store:
        tiering = Tiering(
            store, Catalogue(home / "tiers.sqlite"), {name: _tier(kind, given)}, secret=bytes(32)
        )
        peaks = []
        for pieces in sizes:
            chance = random.Random(pieces)
            with store.writer(f"n{pieces}") as writer:
                for _ in range(pieces):
                    writer.write(chance.randbytes(PIECE))
            assert writer.id is not None
            Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
            tiering.move(writer.id, name)
            assert not store.is_local(writer.id)
            tiering.bring_back(writer.id)
            peaks.append(_resident("VmHWM"))
            assert store.is_local(writer.id)
    print(json.dumps(peaks))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3], sys.argv[4:])
