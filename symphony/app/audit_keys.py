"""Where the audit log's key is: in the platform's keyring where the store's is, else in a file of its owner's."""

from __future__ import annotations

from pathlib import Path

from symphony.app.keyring_keys import keep_in_keyring, keyring_key
from symphony.config.files import write_atomically
from symphony.errors import EnvironmentLacks
from symphony.stage.audit_key import Source, key_in_file, new_key


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
        if mode != "keyring":
            return key_in_file(folder, make)
        # By the folder's own name: who takes away the folder's files has not got rid of the key.
        name = f"audit log of {folder.resolve()}"
        if (known := keyring_key(name)) is not None:
            return known
        key = key_in_file(folder, False)
        if make:
            key = key or new_key(folder)
            keep_in_keyring(name, key)
            write_atomically(name_file, name.encode())
            (folder / "key").unlink(missing_ok=True)
        return key

    return find
