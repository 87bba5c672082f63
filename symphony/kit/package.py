"""Packages: `NAME-VERSION.symphony`, a deterministic zip that is accepted only as this module would write it."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import unicodedata
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symphony.config.files import write_atomically
from symphony.errors import BadInput, SignatureInvalid
from symphony.kit.signing import PACKAGE, is_signed_by, public_key, sign
from symphony.stage.manifest import FILE_NAME, Manifest, parse_manifest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SUFFIX = ".symphony"
FORMAT = "symphony.package/1"
LISTING = "FILES.json"
SIGNATURE = "FILES.sig"
MAX_BYTES = 256 << 20
MAX_FILES = 20_000
MAX_PATH = 240

_LEFT_OUT = frozenset(
    {"__pycache__", ".git", ".hg", ".svn", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)
_ROOT_LEFT_OUT = frozenset({LISTING, SIGNATURE, "vendor/.stamp"})
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Content:
    """A file of a package."""

    data: bytes
    is_executable: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was read and holds together. Whether its key is trusted is for `verify` to say."""

    manifest: Manifest
    files: Mapping[str, Content]
    listing: bytes
    key: str
    signature: str
    sha256: str
    """Digest of the whole package."""

    @property
    def is_signed(self) -> bool:
        """Whether a signature is there at all."""
        return bool(self.signature)

    def verify(self, trusted: Collection[str]) -> None:
        """Raises SignatureInvalid unless one of the `trusted` public keys has signed it."""
        name = f"{self.manifest.name} {self.manifest.version}"
        if not self.is_signed:
            raise SignatureInvalid(f"The package {name} is not signed", remedy="sign it with `carets sign`")
        if self.key not in trusted:
            raise SignatureInvalid(
                f"The package {name} is signed by the key {self.key[:16]}…, which is not trusted",
                remedy="add the key to registry.trusted if you know whose it is",
            )
        if not is_signed_by(self.key, self.signature, PACKAGE, self.listing):
            raise SignatureInvalid(
                f"The signature of the package {name} does not match its content",
                remedy="get the package again from its publisher",
            )


def file_name(manifest: Manifest) -> str:
    """`publisher-name-1.0.0.symphony`."""
    return f"{manifest.name.replace('/', '-')}-{manifest.version}{SUFFIX}"


def collect(folder: Path) -> dict[str, Content]:
    """The files of an extension's folder that a package holds.

    Raises BadInput for links, devices and names that not every system can hold.
    """
    files: dict[str, Content] = {}
    total = 0
    todo = [folder]
    while todo:
        for entry in sorted(todo.pop().iterdir()):
            path = entry.relative_to(folder).as_posix()
            mode = entry.lstat().st_mode
            if entry.name in _LEFT_OUT or path in _ROOT_LEFT_OUT or entry.suffix == ".pyc":
                continue
            if stat.S_ISDIR(mode):
                todo.append(entry)
                continue
            if not stat.S_ISREG(mode):
                raise BadInput(f"{entry}: only files and folders can be packed", remedy="remove it")
            data = entry.read_bytes()
            total += len(data)
            files[path] = Content(data, bool(mode & 0o100))
            if total > MAX_BYTES or len(files) > MAX_FILES:
                raise BadInput(
                    f"{folder}: more than {MAX_BYTES >> 20} MiB or {MAX_FILES} files",
                    remedy="make it smaller",
                )
    _check_names(files, str(folder))
    return files


def pack(folder: Path, key: Ed25519PrivateKey | None = None) -> bytes:
    """The package of an extension's folder, signed when a key is given.

    The same folder and key give the same bytes. Raises InvalidManifest or BadInput.
    """
    files = collect(folder)
    manifest = _manifest_of(files, str(folder))
    listing = _listing(manifest, files)
    return _write(files, listing, _signature_file(key, listing))


def resign(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """The same package, signed by `key`."""
    package = read(data)
    return _write(package.files, package.listing, _signature_file(key, package.listing))


def write_package(data: bytes, folder: Path) -> Path:
    """Writes a package under its own name into `folder`."""
    file = folder / file_name(read(data).manifest)
    write_atomically(file, data, mode=0o644)
    return file


def load(file: Path) -> Package:
    """Reads the package in `file`. Raises BadInput or SignatureInvalid in one line."""
    try:
        if file.stat().st_size > 2 * MAX_BYTES:
            raise BadInput(f"{file}: larger than {2 * MAX_BYTES >> 20} MiB", remedy="this is no package")
        data = file.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{file}: there is no such package", remedy="check the path") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", remedy="check the path") from None
    return read(data, source=str(file))


def read(data: bytes, *, source: str = "package") -> Package:
    """The package in `data`: every file as listed, and the whole as `pack` would have written it.

    That last check leaves no room for anything hidden: links, second entries of one name, comments,
    bytes before or after. Raises SignatureInvalid when something does not fit, BadInput when it is
    no package, InvalidManifest when its manifest is malformed.
    """
    entries = _read_entries(data, source)
    listing = entries.pop(LISTING, None)
    signature_file = entries.pop(SIGNATURE, None)
    if listing is None:
        raise BadInput(f"{source}: is no package: it has no {LISTING}", remedy="pack it with `carets pack`")
    manifest = _manifest_of(entries, source)
    if listing.data != _listing(manifest, entries):
        raise SignatureInvalid(
            f"{source}: its files are not those that {LISTING} names", remedy="get the package again"
        )
    key, signature = _read_signature(signature_file, source)
    if data != _write(entries, listing.data, signature_file.data if signature_file else None):
        raise SignatureInvalid(f"{source}: it is not packed as it must be", remedy="get the package again")
    return Package(manifest, entries, listing.data, key, signature, hashlib.sha256(data).hexdigest())


def _read_entries(data: bytes, source: str) -> dict[str, Content]:
    files: dict[str, Content] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_FILES + 2:
                raise BadInput(f"{source}: more than {MAX_FILES} files", remedy="this is no package")
            for info in infos:
                # Stored entries cannot be larger than the archive, so nothing can swell while it is read.
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1 or info.is_dir():
                    raise SignatureInvalid(
                        f"{source}: {info.filename!r} is packed in a way that is not allowed"
                    )
                if info.filename in files:
                    raise SignatureInvalid(f"{source}: {info.filename!r} is in it twice")
                executable = bool(info.external_attr >> 16 & 0o100)
                files[info.filename] = Content(archive.read(info), executable)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError) as error:
        if files or "CRC" in str(error):
            raise SignatureInvalid(
                f"{source}: was changed or damaged: {error}", remedy="get the package again"
            ) from None
        raise BadInput(f"{source}: is no package: {error}", remedy="pack it with `carets pack`") from None
    _check_names(files, source)
    return files


def _check_names(files: Mapping[str, Content], source: str) -> None:
    """Refuses names that lead out of the folder or that another system would read otherwise."""
    folded: dict[str, str] = {}
    for path in files:
        parts = path.split("/")
        wrong = (
            path.startswith("/")
            or any(part in ("", ".", "..") for part in parts)
            or any(part.endswith((" ", ".")) for part in parts)
            or any(ord(c) < 32 or c in '\\:*?"<>|\x7f' for c in path)
            or len(path.encode("utf-8", "surrogateescape")) > MAX_PATH
            or not _is_encodable(path)
        )
        if wrong:
            raise BadInput(f"{source}: the name {path!r} is not allowed in a package", remedy="rename it")
        key = unicodedata.normalize("NFC", path).casefold()
        if key in folded:
            raise BadInput(
                f"{source}: {path!r} and {folded[key]!r} are one name elsewhere", remedy="rename one"
            )
        folded[key] = path
    for path in files:
        for parent in (path[:i] for i, c in enumerate(path) if c == "/"):
            if parent in files:
                raise BadInput(f"{source}: {parent!r} is a file and a folder", remedy="rename one")


def _is_encodable(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _manifest_of(files: Mapping[str, Content], source: str) -> Manifest:
    content = files.get(FILE_NAME)
    if content is None:
        raise BadInput(f"{source}: there is no {FILE_NAME}", remedy="add one")
    manifest = parse_manifest(content.data, source=f"{source}/{FILE_NAME}")
    entry = manifest.extension.entry
    if manifest.extension.runtime in ("python", "process") and entry not in files:
        raise BadInput(f"{source}: its entry {entry} is not in it", remedy="add the file or correct `entry`")
    return manifest


def _listing(manifest: Manifest, files: Mapping[str, Content]) -> bytes:
    listed: list[dict[str, Any]] = []
    for path in sorted(files):
        content = files[path]
        row: dict[str, Any] = {
            "path": path,
            "size": len(content.data),
            "sha256": hashlib.sha256(content.data).hexdigest(),
        }
        if content.is_executable:
            row["executable"] = True
        listed.append(row)
    body = {"format": FORMAT, "name": manifest.name, "version": manifest.version, "files": listed}
    return json.dumps(body, ensure_ascii=False, sort_keys=True, indent=1).encode()


def _signature_file(key: Ed25519PrivateKey | None, listing: bytes) -> bytes | None:
    if key is None:
        return None
    body = {"key": public_key(key), "signature": sign(key, PACKAGE, listing)}
    return json.dumps(body, sort_keys=True).encode()


def _read_signature(file: Content | None, source: str) -> tuple[str, str]:
    if file is None:
        return "", ""
    try:
        body = json.loads(file.data)
        key, signature = body["key"], body["signature"]
    except (ValueError, KeyError, TypeError):
        raise SignatureInvalid(
            f"{source}: its {SIGNATURE} cannot be read", remedy="get the package again"
        ) from None
    if not isinstance(key, str) or not isinstance(signature, str):
        raise SignatureInvalid(f"{source}: its {SIGNATURE} cannot be read", remedy="get the package again")
    return key, signature


def _write(files: Mapping[str, Content], listing: bytes, signature: bytes | None) -> bytes:
    entries = {**files, LISTING: Content(listing)}
    if signature is not None:
        entries[SIGNATURE] = Content(signature)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for path in sorted(entries):
            content = entries[path]
            info = zipfile.ZipInfo(path, _EPOCH)
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | (0o755 if content.is_executable else 0o644)) << 16
            archive.writestr(info, content.data)
    return buffer.getvalue()
