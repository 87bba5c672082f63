"""A container of Azure Blob Storage as a tier."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from symphony.errors import NotFound
from symphony.tiers.tier import PART, in_parts, unreachable


class AzureTier:
    """Blobs are `PREFIX/KEY`. Each block carries its MD5, which the service checks; the commit of the block
    list is the moment at which a blob is there.

    `connection` is a connection string, which holds the account's key and is never shown.
    """

    name = "cloud"

    def __init__(
        self,
        container: str,
        prefix: str,
        *,
        connection: str,
        timeout: float = 30.0,
        attempts: int = 4,
        backoff: int = 2,
        part: int = PART,
    ) -> None:
        """`timeout` in seconds holds for a connection and for each answer, `attempts` is how often a
        request is tried in all, `backoff` seconds are waited in between.
        """
        self._container, self._prefix, self._part = container, prefix.strip("/"), part
        self._connection, self._timeout, self._attempts = connection, timeout, attempts
        self._backoff = backoff
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            from azure.storage.blob import ContainerClient, LinearRetry

            self._made = ContainerClient.from_connection_string(
                self._connection,
                self._container,
                connection_timeout=self._timeout,
                read_timeout=self._timeout,
                retry_policy=LinearRetry(
                    backoff=self._backoff, retry_total=self._attempts - 1, random_jitter_range=0
                ),
                max_single_get_size=self._part,
                max_chunk_get_size=self._part,
            )
        return self._made

    @property
    def _place(self) -> str:
        return f"azure://{self._container}/{self._prefix}"

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raises TierUnreachable, or NotFound when the service says that."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            yield
        except ResourceNotFoundError:
            raise NotFound(f"{self._place} does not hold it") from None
        except (AzureError, OSError, ValueError) as error:
            raise unreachable("cloud", self._place, error) from None

    def write(self, key: str, pieces: Iterable[bytes]) -> int:
        """See Tier."""
        from azure.storage.blob import BlobBlock

        with self._told():
            blob = self._client.get_blob_client(self._key(key))
        blocks = []
        size = 0
        for number, part in enumerate(in_parts(pieces, self._part)):
            name = base64.b64encode(b"%08d" % number).decode()
            with self._told():
                blob.stage_block(name, part, validate_content=True)
            blocks.append(BlobBlock(block_id=name))
            size += len(part)
        with self._told():
            blob.commit_block_list(blocks)
        return size

    def read(self, key: str) -> Iterator[bytes]:
        """See Tier."""
        with self._told():
            chunks = iter(self._client.download_blob(self._key(key)).chunks())
        while True:
            with self._told():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def size(self, key: str) -> int | None:
        """See Tier."""
        try:
            with self._told():
                return int(self._client.get_blob_client(self._key(key)).get_blob_properties().size)
        except NotFound:
            return None

    def remove(self, key: str) -> bool:
        """See Tier."""
        try:
            with self._told():
                self._client.delete_blob(self._key(key))
        except NotFound:
            return False
        return True

    def keys(self) -> Iterator[str]:
        """See Tier."""
        with self._told():
            names = iter(self._client.list_blob_names(name_starts_with=self._key("")))
        while True:
            with self._told():
                name = next(names, None)
            if name is None:
                return
            yield name.rsplit("/", 1)[-1]

    def tidy(self) -> int:
        """See Tier: the service drops blocks that were never committed after a week, by itself."""
        return 0

    def check(self) -> str:
        """See Tier."""
        try:
            with self._told():
                self._client.get_container_properties()
        except NotFound:
            raise unreachable(
                "cloud", self._place, ValueError("there is no such container"), "make it, or name another"
            ) from None
        return self._place
