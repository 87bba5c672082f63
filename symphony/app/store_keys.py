"""Opens the Artifact Store with the key that the settings call for: from the platform's keyring, or a passphrase."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from pit_native import ArtifactStore
from symphony.app.keyring_keys import KEY_BYTES, keep_in_keyring, keyring_key
from symphony.config.files import write_atomically
from symphony.config.home import Home
from symphony.errors import BadInput, EnvironmentLacks, SymphonyError

PASSPHRASE = "SYMPHONY_STORE_PASSPHRASE"
"""The environment variable with the passphrase."""
FORMER = "SYMPHONY_STORE_FORMER_PASSPHRASE"
"""The one with the passphrase that opened the store until now, where it is to be changed."""

Key = bytes | str
log = logging.getLogger(__name__)


class StoreKeys:
    """The keys of the store in `home`. `mode` is the setting `pit.store.encryption`, `passphrase_file` the
    setting of that name; `environment` is the process's."""

    def __init__(
        self, home: Home, mode: str, passphrase_file: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        self._home = home
        self._mode = mode
        self._passphrase_file = passphrase_file
        self._environment = os.environ if environment is None else environment

    def open(self) -> ArtifactStore:
        """The store, opened. A store that another key of this home opens gets the wanted one: so a changed
        setting or passphrase holds from the next start on. A plain store becomes an encrypted one.

        Raises EnvironmentLacks when there is no keyring or no passphrase, BadInput (code `wrong_key`) when
        no key opens it. It is never opened without encryption where the settings want it.
        """
        path = str(self._home.store)
        if self._mode == "off":
            return ArtifactStore(path)
        wanted = self._keyring_key() if self._mode == "keyring" else self._passphrase()
        try:
            return ArtifactStore(path, wanted, encrypt=True)
        except BadInput as refused:
            if refused.code != "wrong_key":
                raise
            store = self._with_another(path)
            if store is None:
                raise
        store.rotate_key(wanted, renew=True)
        log.info("the store has another key from now on")
        return store

    def reencrypt(self, store: ArtifactStore) -> threading.Thread | None:
        """Encrypts in the background what is plain or under an older key; nothing when there is none."""
        if not store.encryption()["segments_left"]:
            return None

        def work() -> None:
            try:
                left = store.reencrypt()["segments_left"]
            except SymphonyError as error:
                # Closing the store ends it; the next start goes on.
                if error.code != "closed":
                    log.warning("the store could not be encrypted anew: %s", error)
            else:
                log.info("the store is encrypted anew, %d damaged segments are left", left)

        thread = threading.Thread(target=work, name="store-reencrypt", daemon=True)
        thread.start()
        return thread

    # --- where keys come from -----------------------------------------------------------------------
    def _with_another(self, path: str) -> ArtifactStore | None:
        """The store, opened with another key that this home knows of."""
        for source in (self._known_keyring_key, lambda: self._environment.get(FORMER), self._passphrase):
            try:
                key = source()
                if key:
                    return ArtifactStore(path, key)
            except EnvironmentLacks:
                continue
            except BadInput as refused:
                if refused.code != "wrong_key":
                    raise
        return None

    def _passphrase(self) -> Key:
        given = self._environment.get(PASSPHRASE)
        if given:
            return given
        if self._passphrase_file:
            file = Path(self._passphrase_file).expanduser()
            try:
                words = file.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise EnvironmentLacks(
                    f"The passphrase of the store cannot be read from {file}: {reason}",
                    remedy="set `pit.store.passphrase_file` to a file that only you can read",
                ) from error
            if words:
                return words
        raise EnvironmentLacks(
            "The store is to be encrypted with a passphrase, and there is none",
            remedy=f"set {PASSPHRASE}, or `pit.store.passphrase_file` to a file that holds it",
        )

    @property
    def _name_file(self) -> Path:
        """Says under which name the keyring holds this home's key; it moves with the home."""
        return self._home.path / "store-key"

    def _known_keyring_key(self) -> Key | None:
        if not self._name_file.exists():
            return None
        try:
            name = self._name_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentLacks(
                f"{self._name_file}, which names the store's key in the keyring, cannot be read: {error}",
                remedy="restore that file from a copy",
            ) from error
        return keyring_key(name)

    def _keyring_key(self) -> Key:
        known = self._known_keyring_key()
        if known is not None:
            return known
        if self._name_file.exists() and (self._home.store / "keys").exists():
            raise EnvironmentLacks(
                "The keyring does not hold the key of this store any more",
                remedy="restore the keyring of the account that made the store, or the store from a copy",
            )
        key = secrets.token_bytes(KEY_BYTES)
        name = f"artifact store {uuid.uuid4()}"
        keep_in_keyring(name, key)
        self._home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._name_file, name.encode())
        return key
