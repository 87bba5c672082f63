"""Packages: the same bytes each time, and nothing accepted that was not packed so."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.errors import BadInput, SignatureInvalid, SymphonyError
from symphony.kit.package import Content, _write, collect, load, pack, read, resign, write_package
from symphony.kit.signing import new_key, public_key, read_key, write_key

from .conftest import MakeExtension


def test_the_same_folder_packs_to_the_same_bytes(make_extension: MakeExtension, tmp_path: Path) -> None:
    key = new_key()
    folder = make_extension()
    first = pack(folder, key)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for index, file in enumerate(sorted(copy.rglob("*"), reverse=True)):
        os.utime(file, (index, index))
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "x.pyc").write_bytes(b"1")
    assert pack(copy, key) == first


def test_a_package_is_read_back_whole(make_extension: MakeExtension) -> None:
    key = new_key()
    folder = make_extension()
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    package = read(pack(folder, key))
    assert package.manifest.name == "ann/one"
    assert set(package.files) == {"Symphony.toml", "player.py", "run.sh", "inner/ünï code.txt"}
    assert package.files["run.sh"].is_executable and not package.files["player.py"].is_executable
    package.verify({public_key(key)})


def test_all_entries_are_stored_and_no_link_is_among_them(make_extension: MakeExtension) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(make_extension(), new_key()))) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert (info.external_attr >> 16) & 0o170000 == 0o100000


def test_another_key_is_not_trusted(make_extension: MakeExtension) -> None:
    package = read(pack(make_extension(), new_key()))
    with pytest.raises(SignatureInvalid, match="not trusted"):
        package.verify({public_key(new_key())})


def test_an_unsigned_package_is_refused_until_it_is_signed(make_extension: MakeExtension) -> None:
    folder = make_extension()
    data = pack(folder)
    with pytest.raises(SignatureInvalid, match="not signed"):
        read(data).verify(set())
    key = new_key()
    read(resign(data, key)).verify({public_key(key)})
    assert resign(data, key) == pack(folder, key)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_changed_byte_is_accepted(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    key, packed = _packed(tmp_path_factory)
    position = data.draw(st.integers(0, len(packed) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(packed)
    changed[position] ^= 1 << bit
    with pytest.raises(SymphonyError):
        read(bytes(changed)).verify({key})


_cache: dict[str, tuple[str, bytes]] = {}


def _packed(factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    if "one" not in _cache:
        folder = factory.mktemp("extension")
        (folder / "Symphony.toml").write_text(
            '[extension]\nname = "ann/one"\nversion = "1.0.0"\ntype = "operator"\n'
        )
        (folder / "player.py").write_text("pass\n")
        key = new_key()
        _cache["one"] = (public_key(key), pack(folder, key))
    return _cache["one"]


def test_bytes_before_or_after_are_refused(make_extension: MakeExtension) -> None:
    data = pack(make_extension(), new_key())
    for changed in (b"#!/bin/sh\n" + data, data + b"\0", data + data):
        with pytest.raises(SymphonyError):
            read(changed)


def test_a_file_that_is_not_listed_is_refused(make_extension: MakeExtension) -> None:
    data = pack(make_extension(), new_key())
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("extra.py", "print(1)")
    with pytest.raises(SignatureInvalid, match="not those"):
        read(buffer.getvalue())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_entry_of_one_name_is_refused(make_extension: MakeExtension) -> None:
    buffer = io.BytesIO(pack(make_extension(), new_key()))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("player.py", "print('other')")
    with pytest.raises(SignatureInvalid, match="twice"):
        read(buffer.getvalue())


@pytest.mark.parametrize(
    "name",
    [
        "../out.py",
        "/etc/passwd",
        "a/../../b",
        "a\\b",
        "a//b",
        "./a",
        "C:x",
        "a\nb",
        "x" * 300,
        "dot.",
        "PLAYER.PY",
    ],
)
def test_names_that_lead_elsewhere_are_refused(make_extension: MakeExtension, name: str) -> None:
    files = dict(collect(make_extension()))
    files[name] = Content(b"x")
    listing = json.dumps({}).encode()
    with pytest.raises(SymphonyError, match=r"not allowed|one name"):
        read(_write(files, listing, None))


def test_links_and_sockets_cannot_be_packed(make_extension: MakeExtension) -> None:
    folder = make_extension()
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="only files and folders"):
        pack(folder)
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(BadInput, match="only files and folders"):
        pack(folder)


def test_a_compressed_package_is_refused(make_extension: MakeExtension) -> None:
    source = io.BytesIO(pack(make_extension(), new_key()))
    target = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    with pytest.raises(SignatureInvalid, match="not allowed"):
        read(target.getvalue())


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + b"\0" * 18, b"x" * 1000])
def test_what_is_no_package_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(BadInput, match="no package"):
        read(data)


def test_a_missing_entry_is_named(make_extension: MakeExtension) -> None:
    folder = make_extension()
    (folder / "player.py").unlink()
    with pytest.raises(BadInput, match=r"player\.py"):
        pack(folder)


def test_files_are_written_and_loaded_under_their_name(make_extension: MakeExtension, tmp_path: Path) -> None:
    file = write_package(pack(make_extension(), new_key()), tmp_path)
    assert file.name == "ann-one-1.0.0.symphony"
    assert load(file).manifest.version == "1.0.0"
    with pytest.raises(BadInput, match="no such package"):
        load(tmp_path / "other.symphony")


def test_keys_are_kept_privately_and_never_overwritten(tmp_path: Path) -> None:
    key = new_key()
    write_key(key, tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert public_key(read_key(tmp_path / "key")) == public_key(key)
    with pytest.raises(BadInput, match="exists"):
        write_key(new_key(), tmp_path / "key")
    (tmp_path / "bad").write_text("zz")
    with pytest.raises(BadInput, match="no private key"):
        read_key(tmp_path / "bad")


def test_a_socket_is_refused(make_extension: MakeExtension, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_extension()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(BadInput, match="only files and folders"):
            pack(folder)
