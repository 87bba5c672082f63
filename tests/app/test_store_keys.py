"""Where the store's key comes from: keyring, passphrase, and what happens when it changes or is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail

from symphony.app.audit_keys import audit_source
from symphony.app.store_keys import FORMER, PASSPHRASE, StoreKeys
from symphony.config.home import Home
from symphony.errors import BadInput, EnvironmentLacks
from symphony.stage.audit import AuditLog, examine_file, key_folder, verify_file
from tests.app.test_upgrade import plain_log


class MemoryKeyring(KeyringBackend):
    """A keyring in memory, as a desktop's would answer."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


@pytest.fixture
def ring() -> Iterator[MemoryKeyring]:
    """A keyring in the place of the platform's."""
    before = keyring.get_keyring()
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a store that is not encrypted, and one artifact in it."""
    home = Home(tmp_path / "home")
    with StoreKeys(home, "off").open() as store:
        store.put(b"kept from the beginning", name="note.md", type="text/markdown")
    return home


def content(keys: StoreKeys) -> bytes:
    """What the store holds, opened with these keys and encrypted to the end."""
    with keys.open() as store:
        thread = keys.reencrypt(store)
        if thread is not None:
            thread.join()
        state = store.encryption()
        assert state["segments_left"] == 0 and state["data_keys"] <= 1
        return store.get(store.list()[0]["id"])


def stored_bytes(home: Home) -> bytes:
    return b"".join(file.read_bytes() for file in home.store.rglob("*") if file.is_file())


def test_the_keyring_holds_the_key(home: Home, ring: MemoryKeyring) -> None:
    assert b"the beginning" in stored_bytes(home)
    for _ in range(2):
        assert content(StoreKeys(home, "keyring")) == b"kept from the beginning"
        assert len(ring.held) == 1
        assert b"the beginning" not in stored_bytes(home)
    with pytest.raises(BadInput) as refused:
        StoreKeys(home, "off").open()
    assert refused.value.code == "wrong_key"
    ring.held.clear()
    with pytest.raises(EnvironmentLacks, match="does not hold the key"):
        StoreKeys(home, "keyring").open()


def test_without_a_keyring_nothing_is_written_in_the_open(tmp_path: Path) -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        home = Home(tmp_path / "home")
        with pytest.raises(EnvironmentLacks, match=f"keyring cannot be used.*{PASSPHRASE}"):
            StoreKeys(home, "keyring").open()
        assert not home.store.exists()
    finally:
        keyring.set_keyring(before)


def test_a_passphrase_comes_from_the_environment_or_a_file(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("correct horse\n")
    given = StoreKeys(home, "passphrase", environment={PASSPHRASE: "correct horse"})
    assert content(given) == b"kept from the beginning"
    assert content(StoreKeys(home, "passphrase", str(file), {})) == b"kept from the beginning"
    with pytest.raises(BadInput) as refused:
        StoreKeys(home, "passphrase", environment={PASSPHRASE: "another"}).open()
    assert refused.value.code == "wrong_key"
    with pytest.raises(EnvironmentLacks, match=PASSPHRASE):
        StoreKeys(home, "passphrase", environment={}).open()
    with pytest.raises(EnvironmentLacks, match="cannot be read"):
        StoreKeys(home, "passphrase", str(tmp_path / "missing"), {}).open()


def test_another_setting_or_passphrase_changes_the_key(home: Home, ring: MemoryKeyring) -> None:
    old = {PASSPHRASE: "old"}
    assert content(StoreKeys(home, "passphrase", environment=old)) == b"kept from the beginning"
    new = {PASSPHRASE: "new", FORMER: "old"}
    assert content(StoreKeys(home, "passphrase", environment=new)) == b"kept from the beginning"
    with pytest.raises(BadInput):
        StoreKeys(home, "passphrase", environment=old).open()
    new.pop(FORMER)
    # From the passphrase to the keyring, and back.
    assert content(StoreKeys(home, "keyring", environment=new)) == b"kept from the beginning"
    assert content(StoreKeys(home, "passphrase", environment=new)) == b"kept from the beginning"
    ring.held.clear()
    assert content(StoreKeys(home, "passphrase", environment=new)) == b"kept from the beginning"


@pytest.mark.parametrize("held", ["not base64!", "c2hvcnQ=", "\udcff", "Ä"])
def test_a_malformed_entry_of_the_keyring_is_refused(home: Home, ring: MemoryKeyring, held: str) -> None:
    assert content(StoreKeys(home, "keyring")) == b"kept from the beginning"
    (place,) = ring.held
    good, ring.held[place] = ring.held[place], held
    keys_before = stored_bytes(home)
    with pytest.raises(EnvironmentLacks, match="does not hold a key") as refused:
        StoreKeys(home, "keyring").open()
    assert held not in str(refused.value)
    assert stored_bytes(home) == keys_before and ring.held == {place: held}
    ring.held[place] = good
    assert content(StoreKeys(home, "keyring")) == b"kept from the beginning"


def test_the_audit_logs_key_is_kept_where_the_stores_is(tmp_path: Path, ring: MemoryKeyring) -> None:
    path = tmp_path / "audit.jsonl"

    def write(mode: str) -> None:
        log = AuditLog(path, audit_source(mode))
        log.record("test/door", "fs.read", mode, allowed=True)
        log.close()
        assert verify_file(path, audit_source(mode)) is None

    # A key that was in a file moves into the keyring, stays there, and the lines sealed before still hold.
    for mode in ("off", "keyring", "keyring", "off"):
        write(mode)
        assert (key_folder(path) / "key").exists() == (not ring.held)
    assert len(AuditLog(path, audit_source("off")).entries()) == 4
    ring.held.clear()
    with pytest.raises(EnvironmentLacks, match="does not hold the key of the audit log"):
        AuditLog(path, audit_source("keyring"))


@pytest.mark.parametrize("planted", [True, False])
def test_who_can_write_the_home_only_does_not_get_rid_of_an_audit_log_whose_key_is_in_the_keyring(
    tmp_path: Path, ring: MemoryKeyring, planted: bool
) -> None:
    """The log and all files of its key are gone, and a log of the kind that was never sealed may be in its place."""
    path, source = tmp_path / "audit.jsonl", audit_source("keyring")
    log = AuditLog(path, source)
    log.record("test/door", "exec", "curl", allowed=True)
    log.close()

    def attack() -> None:
        path.unlink()
        shutil.rmtree(key_folder(path))
        if planted:
            plain_log(path, ["nothing happened"])

    attack()
    assert examine_file(path, source)[0] == "degraded"
    for _ in range(2):
        log = AuditLog(path, source)
        log.record("test/door", "fs.read", "later", allowed=True)
        assert log.verify() == 1
        log.close()
    # The control: with the keyring's entry gone as well, it is a new log like any other.
    attack()
    ring.held.clear()
    log = AuditLog(path, source)
    assert log.verify() is None
    # Even then a log that was never sealed is said to be one.
    assert log.look()[0] == ("degraded" if planted else "ok")
    log.close()
