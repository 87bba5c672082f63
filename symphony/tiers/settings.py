"""The tiers that the settings name, with their credentials."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from symphony.errors import InvalidConfig
from symphony.tiers.bandwidth import Bandwidth
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.tier import Tier

Get = Callable[[str], Any]
"""A setting by its key."""

SERVICE = "symphony"
"""The name under which the platform's keyring keeps credentials: user `cloud`, and as password
`KEY_ID:SECRET` for S3 or a connection string for Azure."""


def policy(get: Get) -> dict[str, Any]:
    """The Stale Manager's policy."""
    return {
        "active_days": get("pit.stale.active_days"),
        "archive_days": get("pit.stale.archive_days"),
        "delete_days": get("pit.stale.delete_days") or None,
        "archive": bool(get("pit.stale.archive.folder")),
        "cloud": bool(get("pit.stale.cloud.kind")),
        "disk_budget": get("pit.stale.disk_budget") or None,
        "min_free": get("pit.stale.min_free") or None,
        "pressure_delete": get("pit.stale.pressure_delete"),
        "keep_value": get("pit.stale.keep_value"),
    }


def tiers(get: Get, catalogue: Catalogue) -> dict[str, Tier]:
    """The tiers that are set up, by name; none of them is asked anything yet."""
    made: dict[str, Tier] = {}
    folder = get("pit.stale.archive.folder")
    if folder:
        from symphony.tiers.archive import ArchiveTier

        is_new = not any(copy.tier == "archive" for copy in catalogue.copies())
        made["archive"] = ArchiveTier(Path(folder).expanduser(), is_new=is_new)
    kind = get("pit.stale.cloud.kind")
    if kind:
        made["cloud"] = _cloud(kind, get, f"{get('pit.stale.cloud.prefix').strip('/')}/{catalogue.home}")
    return made


def bandwidths(get: Get) -> dict[str, Bandwidth]:
    """The limits of what travels, by tier."""
    return {"cloud": Bandwidth(get("pit.stale.cloud.bandwidth"))}


def _cloud(kind: str, get: Get, prefix: str) -> Tier:
    container, endpoint = get("pit.stale.cloud.container"), get("pit.stale.cloud.endpoint")
    if not container:
        raise InvalidConfig(
            "pit.stale.cloud.kind is set, and pit.stale.cloud.container is not",
            remedy="run `symphony config set pit.stale.cloud.container NAME`",
        )
    timeout, attempts = get("pit.stale.cloud.timeout"), get("pit.stale.retry_policy.attempts")
    if kind == "s3":
        from symphony.tiers.s3 import S3Tier

        return S3Tier(
            container,
            prefix,
            endpoint=endpoint,
            region=get("pit.stale.cloud.region"),
            credentials=_s3_credentials(),
            timeout=timeout,
            attempts=attempts,
        )
    from symphony.tiers.azure import AzureTier

    return AzureTier(container, prefix, connection=_azure_connection(), timeout=timeout, attempts=attempts)


def _from_keyring() -> str | None:
    """What the platform's keyring keeps for the cloud tier; nothing where there is no keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, "cloud")
    except (KeyringError, RuntimeError):
        return None


def _s3_credentials() -> tuple[str, str] | None:
    """Key id and secret of the keyring; nothing when the environment or the AWS configuration has them."""
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE"):
        return None
    kept = _from_keyring()
    if kept is None or ":" not in kept:
        return None
    key, _, secret = kept.partition(":")
    return key, secret


def _azure_connection() -> str:
    connection = os.environ.get("AZURE_STORAGE_CONNECTION_STRING") or _from_keyring()
    if not connection:
        raise InvalidConfig(
            "The Azure tier has no credentials",
            remedy="set AZURE_STORAGE_CONNECTION_STRING, or keep the connection string in the keyring"
            f" (service {SERVICE}, user cloud)",
        )
    return connection
