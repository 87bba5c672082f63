"""A registry: a folder with a signed index and packages. `make build` embeds one."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from symphony.errors import NotFound, SignatureInvalid
from symphony.kit.package import Package, read
from symphony.kit.signing import INDEX, is_signed_by
from symphony.stage.manifest import Manifest
from symphony.types.versions import version

FORMAT = "symphony.registry/1"
INDEX_FILE = "index.json"
SIGNATURE_FILE = "index.sig"
TRUSTED_FILE = "trusted.pub"
PACKAGES = "packages"


@dataclass(frozen=True)
class Entry:
    """One version of an extension on offer."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    document: dict[str, Any]
    """Its `Symphony.toml` as plain values."""

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest. Raises SignatureInvalid when this host cannot read it."""
        try:
            return Manifest.model_validate(self.document)
        except ValidationError as error:
            raise SignatureInvalid(
                f"The registry's manifest of {self.name} is malformed: {error.errors()[0]['msg']}",
                remedy="update Symphony or choose another registry",
            ) from None

    @property
    def words(self) -> str:
        """What a search looks at, in lower case; read without building the manifest."""
        head = self.document.get("extension", {})
        parts = [self.name, str(head.get("description", ""))]
        for function in self.document.get("functions", ()):
            parts += [str(function.get("name", "")), str(function.get("description", ""))]
            parts += [str(example) for example in function.get("examples", ())]
        return "\n".join(parts).lower()


class Registry:
    """What can be installed. Entries are in rising order of name and version."""

    def __init__(
        self, folder: Path | None, entries: Iterable[Entry] = (), trusted: Iterable[str] = ()
    ) -> None:
        self.folder = folder
        self.trusted = frozenset(trusted)
        """Public keys whose packages are accepted."""
        self._entries: dict[str, list[Entry]] = {}
        for entry in entries:
            self._entries.setdefault(entry.name, []).append(entry)
        for versions in self._entries.values():
            versions.sort(key=lambda entry: version(entry.version))

    @classmethod
    def open(cls, folder: Path | str, trusted: Sequence[str] = ()) -> Self:
        """Reads the registry in `folder`; one that is not there offers nothing.

        The index must be signed by the registry's own key, which lies beside it, or by one of `trusted`.
        Raises SignatureInvalid.
        """
        folder = Path(folder)
        try:
            index = (folder / INDEX_FILE).read_bytes()
        except FileNotFoundError:
            return cls(None, trusted=trusted)
        try:
            own = (folder / TRUSTED_FILE).read_text("ascii").split()
            signature = (folder / SIGNATURE_FILE).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise _damaged(folder, "its key or signature is missing") from None
        keys = [*own, *trusted]
        if not any(is_signed_by(key, signature, INDEX, index) for key in keys):
            raise _damaged(folder, "its signature does not match")
        try:
            body = json.loads(index)
            if body["format"] != FORMAT:
                raise _damaged(folder, f"its format is {body['format']!r}")
            entries = [_entry(row) for row in body["extensions"]]
        except (ValueError, KeyError, TypeError):
            raise _damaged(folder, "its index cannot be read") from None
        return cls(folder, entries, keys)

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> list[str]:
        """The names of all extensions on offer."""
        return sorted(self._entries)

    def versions(self, name: str) -> list[Entry]:
        """All versions of an extension, lowest first; empty when it is not on offer."""
        return list(self._entries.get(name, ()))

    def newest_entry(self, name: str) -> Entry | None:
        """The highest version, pre-releases only when nothing else is there."""
        entries = self._entries.get(name, [])
        released = [entry for entry in entries if not version(entry.version).prerelease]
        best = released or entries
        return best[-1] if best else None

    def newest(self) -> list[Manifest]:
        """The manifest of the newest version of every extension, by name."""
        return [entry.manifest for entry in self._newest]

    @cached_property
    def _newest(self) -> list[Entry]:
        """The newest version of every extension, by name. What is on offer does not change."""
        found = (self.newest_entry(name) for name in self.names())
        return [entry for entry in found if entry is not None]

    def search(self, query: str) -> list[Manifest]:
        """The newest versions that have every word of `query`; those with a word in the name come first."""
        return [entry.manifest for entry in self.find(query)]

    def find(self, query: str) -> list[Entry]:
        """As `search`, all without words; no manifest is read for it."""
        words = query.lower().split()
        if not words:
            return list(self._newest)
        hits = set.intersection(*map(self._having, words))
        # Those of each number of words in the name keep their order.
        ranked: list[list[Entry]] = [[] for _ in range(len(words) + 1)]
        for index in sorted(hits):
            entry = self._newest[index]
            name = entry.name
            ranked[sum([word in name for word in words])].append(entry)
        return [entry for rank in reversed(ranked) for entry in rank]

    def _having(self, part: str) -> set[int]:
        """The entries of `_newest` that have a word with this part. What is looked through are the different words:
        there are far fewer of them than there is text.
        """
        words, ends, places = self._words
        found: set[int] = set()
        at = words.find(part)
        while at >= 0:
            index = bisect_right(ends, at)
            found.update(places[index])
            at = words.find(part, ends[index])
        return found

    @cached_property
    def _words(self) -> tuple[str, list[int], list[list[int]]]:
        """All different words, each with a line's end, which no part has in it; where each of them ends; and the
        entries of `_newest` that have it.
        """
        places: dict[str, list[int]] = {}
        for index, entry in enumerate(self._newest):
            for word in set(entry.words.split()):
                places.setdefault(word, []).append(index)
        lines = [f"{word}\n" for word in places]
        return "".join(lines), list(accumulate(map(len, lines))), list(places.values())

    def package(self, entry: Entry) -> Package:
        """The package of an entry, checked against the index and the trusted keys.

        Raises SignatureInvalid or NotFound.
        """
        if self.folder is None:
            raise NotFound(f"No registry offers {entry.name}", remedy="run `make build`")
        file = self.folder / PACKAGES / entry.file
        try:
            data = file.read_bytes()
        except OSError as error:
            raise NotFound(f"{file}: {error.strerror}", remedy="run `make build` again") from None
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise SignatureInvalid(
                f"The package {entry.name} {entry.version} is not the one that the registry names",
                remedy="get it again from the registry",
            )
        package = read(data, source=str(file))
        package.verify(self.trusted)
        if (package.manifest.name, package.manifest.version) != (entry.name, entry.version):
            raise SignatureInvalid(f"The package {entry.file} is not {entry.name} {entry.version}")
        return package


def index_row(package: bytes, file: str, document: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """The row of the index for a package."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "file": file,
        "size": len(package),
        "sha256": hashlib.sha256(package).hexdigest(),
        "manifest": document,
    }


def _entry(row: dict[str, Any]) -> Entry:
    version(row["version"])
    if "/" in row["file"] or row["file"].startswith("."):
        raise ValueError(row["file"])
    return Entry(row["name"], row["version"], row["file"], row["size"], row["sha256"], row["manifest"])


def _damaged(folder: Path, cause: str) -> SignatureInvalid:
    return SignatureInvalid(f"The registry in {folder} is refused: {cause}", remedy="run `make build` again")
