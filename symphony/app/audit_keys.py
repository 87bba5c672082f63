"""Where the audit log's key is: in the platform's keyring where the store's is, else in a file of its owner's."""

from __future__ import annotations

import secrets
import uuid
from pathlib import Path

from symphony.app.keyring_keys import keep_in_keyring, keyring_key
from symphony.config.files import write_atomically
from symphony.errors import EnvironmentLacks
from symphony.stage.audit_key import KEY_BYTES, Source, key_in_file


def audit_source(mode: str) -> Source:
    """`mode` is the setting `pit.store.encryption`. A key that once was given to the keyring stays there."""

    def find(folder: Path, make: bool) -> bytes | None:
        name_file = folder / "keyring-name"
        if name_file.exists():
            key = keyring_key(name_file.read_text("utf-8").strip())
            if key is None:
                raise EnvironmentLacks(
                    "The keyring does not hold the key of the audit log any more",
                    remedy=f"restore the keyring, or move {folder} and the log away to begin a new one",
                )
            return key
        held = key_in_file(folder, make and mode != "keyring")
        if mode != "keyring" or not make:
            return held
        key = held or secrets.token_bytes(KEY_BYTES)
        name = f"audit log {uuid.uuid4()}"
        keep_in_keyring(name, key)
        write_atomically(name_file, name.encode())
        (folder / "key").unlink(missing_ok=True)
        return key

    return find
