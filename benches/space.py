"""What many versions take on the disk."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import zstandard

from benches.measure import Row
from benches.store import folder
from pit_native import ArtifactStore

VERSIONS = 6


def sources() -> list[bytes]:
    """Six versions of this project's sources as plain tar files, from its own history."""
    commits = subprocess.run(
        ["git", "rev-list", "--first-parent", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.split()
    chosen = commits[:: max(1, len(commits) // VERSIONS)][:VERSIONS]
    return [
        subprocess.run(["git", "archive", commit], capture_output=True, check=True).stdout
        for commit in reversed(chosen)
    ]


def libraries() -> list[bytes]:
    """The sources of those libraries of which `Cargo.lock` names several releases, the oldest of each, then the
    next: real releases, as cargo has unpacked them.
    """
    locked = tomllib.loads(Path("Cargo.lock").read_text())["package"]
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry" / "src"
    releases: dict[str, list[Path]] = {}
    for package in locked:
        name = f"{package['name']}-{package['version']}"
        releases.setdefault(package["name"], []).extend(home.glob(f"*/{name}"))
    several = {name: found for name, found in releases.items() if len(found) > 1}
    for found in several.values():
        found.sort(key=lambda path: [int(part) for part in re.findall(r"\d+", path.name.rpartition("-")[2])])
    if not several:
        raise RuntimeError("cargo has unpacked no library of which there are two releases")
    versions = []
    for at in range(max(map(len, several.values()))):
        contents = {}
        for name, found in several.items():
            folder = found[min(at, len(found) - 1)]
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    contents[f"{name}/{path.relative_to(folder)}"] = path.read_bytes()
        versions.append(_tar(contents))
    return versions


def compressed() -> list[bytes]:
    """The libraries again, each file compressed by itself before: little is left to save."""
    out = []
    for whole in libraries():
        members: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                members[member.name] = zlib.compress(file.read(), 9)
        out.append(_tar(members))
    return out


def _tar(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in sorted(contents.items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CORPORA: dict[str, Callable[[], list[bytes]]] = {
    "sources": sources, "packages": libraries, "compressed": compressed,
}  # fmt: skip


def _fastcdc(versions: list[bytes]) -> int:
    """FastCDC with 8 KiB on average, each new chunk under zstd; nothing is counted for its tables."""
    from fastcdc import fastcdc

    seen: set[bytes] = set()
    total = 0
    packer = zstandard.ZstdCompressor(level=3)
    for version in versions:
        for chunk in fastcdc(version, avg_size=8192, fat=True):
            digest = hashlib.sha256(chunk.data).digest()
            if digest not in seen:
                seen.add(digest)
                total += min(len(packer.compress(chunk.data)), len(chunk.data))
    return total


def _restic(versions: list[bytes], place: Path) -> int:
    """restic, when it is installed: one backup a version."""
    env = {"RESTIC_PASSWORD": "x", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place)}
    repository, tree = place / "restic", place / "tree"
    tree.mkdir()
    subprocess.run(["restic", "init", "-q", "-r", repository], env=env, check=True)
    for version in versions:
        (tree / "content").write_bytes(version)
        subprocess.run(["restic", "backup", "-q", "-r", repository, tree], env=env, check=True)
    return _disk(repository)


def _disk(place: Path) -> int:
    return sum(p.stat().st_size for p in place.rglob("*") if p.is_file())


def space(corpus: str, name: str) -> Row:
    """The share of bytes saved, everything but the search index counted."""
    versions = CORPORA[corpus]()
    plain = sum(map(len, versions))
    with folder() as place:
        with ArtifactStore(str(place / "store")) as store:
            for version in versions:
                store.put(version, name="content.tar", type="application/x-tar", meta={})
        ours = _disk(place / "store") - _disk(place / "store" / "index")
        peers = {"FastCDC 8 KiB + zstd, tables not counted": _fastcdc(versions)}
        if shutil.which("restic"):
            peers["restic"] = _restic(versions, place)
    saved = {peer: 1 - taken / plain for peer, taken in peers.items()}
    peer = max(saved, key=lambda one: saved[one])
    share = 1 - ours / plain
    of = {"sources": "of this project", "packages": "of the libraries that Cargo.lock names more than once"}
    what = of.get(corpus, "of the same libraries, each file packed by zlib before")
    how = f"{len(versions)} versions {what}, {plain / 1e6:.1f} MB; share saved, higher is better; {saved}"
    return Row(name, share, "saved", peer, saved[peer], share / saved[peer], how)


ROWS: dict[str, Callable[[str], Row]] = {
    f"store.space {corpus}": partial(space, corpus) for corpus in CORPORA
}
