"""Keys in the platform's keyring."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from symphony.errors import EnvironmentLacks

SERVICE = "symphony"
"""The service under which the keyring holds keys."""
KEY_BYTES = 32

_WITHOUT_KEYRING = (
    "set `pit.store.encryption` to passphrase and give it in SYMPHONY_STORE_PASSPHRASE, "
    "or start a desktop session's keyring"
)


def keyring_key(name: str) -> bytes | None:
    """The key that the keyring holds under the name. Raises EnvironmentLacks when it cannot be asked, or holds
    something else. The entry's content is not repeated: it may be a secret."""
    text = _ask(lambda keyring: keyring.get_password(SERVICE, name))
    if not text:
        return None
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise EnvironmentLacks(
            f"The keyring's entry {name!r} of {SERVICE} does not hold a key",
            remedy="restore the keyring of the account that made it, or what it opens from a copy",
        )
    return key


def keep_in_keyring(name: str, key: bytes) -> None:
    """Raises EnvironmentLacks when the keyring does not keep it."""
    text = base64.b64encode(key).decode()

    def keep(keyring: Any) -> str | None:
        keyring.set_password(SERVICE, name, text)
        found: str | None = keyring.get_password(SERVICE, name)
        return found

    if _ask(keep) != text:
        raise EnvironmentLacks(
            "The platform's keyring does not keep what it is given", remedy=_WITHOUT_KEYRING
        )


def _ask(question: Callable[[Any], str | None]) -> str | None:
    # Loaded only where it is wanted: looking for backends takes longer than the whole start of the store.
    import keyring
    import keyring.errors

    try:
        return question(keyring)
    except keyring.errors.KeyringError as error:
        reason = str(error).split(".")[0] or type(error).__name__
        raise EnvironmentLacks(
            f"The platform's keyring cannot be used: {reason}", remedy=_WITHOUT_KEYRING
        ) from error
