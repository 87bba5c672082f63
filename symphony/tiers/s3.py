"""A bucket of any S3-compatible service as a tier."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from symphony.errors import NotFound, TierUnreachable
from symphony.tiers.tier import PART, PIECE, in_parts, unreachable

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Tier:
    """Objects are `PREFIX/KEY`. Each request carries the SHA-256 of its bytes, which the service checks.

    Credentials come from the environment or the AWS configuration, or are given; they are never shown.
    """

    name = "cloud"

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        endpoint: str = "",
        region: str = "",
        credentials: tuple[str, str] | None = None,
        timeout: float = 30.0,
        attempts: int = 4,
        part: int = PART,
    ) -> None:
        """`credentials` are key id and secret. `timeout` in seconds holds for a connection and for each
        answer, `attempts` is how often a request is tried in all.
        """
        self._bucket, self._prefix, self._part = bucket, prefix.strip("/"), part
        self._endpoint, self._region, self._credentials = endpoint, region, credentials
        self._timeout, self._attempts = timeout, attempts
        self._made: Any = None

    @property
    def _client(self) -> Any:
        if self._made is None:
            import boto3
            from botocore.config import Config
            from botocore.handlers import add_expect_header

            key, secret = self._credentials or (None, None)
            self._made = boto3.session.Session().client(
                "s3",
                endpoint_url=self._endpoint or None,
                region_name=self._region or None,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                config=Config(
                    connect_timeout=self._timeout,
                    read_timeout=self._timeout,
                    retries={"total_max_attempts": self._attempts, "mode": "standard"},
                    s3={"addressing_style": "path" if self._endpoint else "auto"},
                ),
            )
            # Where a connection ends within a service's "100 Continue", botocore reads its end for ever.
            self._made.meta.events.unregister("before-call.s3", add_expect_header)
        return self._made

    @property
    def _place(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raises TierUnreachable, or NotFound when the service says that."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                raise NotFound(f"{self._place} does not hold it") from None
            raise unreachable("cloud", self._place, error) from None
        except (BotoCoreError, OSError) as error:
            raise unreachable("cloud", self._place, error) from None

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key(key)}

    def write(self, key: str, pieces: Iterable[bytes]) -> int:
        """See Tier."""
        parts = in_parts(pieces, self._part)
        first = next(parts, b"")
        second = next(parts, None)
        if second is None:
            with self._told():
                self._client.put_object(**self._where(key), Body=first, ChecksumSHA256=_sha256(first))
            return len(first)
        return self._write_parts(self._where(key), itertools.chain((first, second), parts))

    def _write_parts(self, where: dict[str, str], parts: Iterator[bytes]) -> int:
        with self._told():
            begun = self._client.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")
        where = {**where, "UploadId": begun["UploadId"]}
        done: list[dict[str, Any]] = []
        size = 0
        try:
            for number, part in enumerate(parts, 1):
                named = {"PartNumber": number, "ChecksumSHA256": _sha256(part)}
                with self._told():
                    answer = self._client.upload_part(**where, **named, Body=part)
                done.append({**named, "ETag": answer["ETag"]})
                size += len(part)
            with self._told():
                self._client.complete_multipart_upload(**where, MultipartUpload={"Parts": done})
        except BaseException:
            # Parts that are left cost money until `tidy` finds them.
            with contextlib.suppress(TierUnreachable, NotFound), self._told():
                self._client.abort_multipart_upload(**where)
            raise
        return size

    def read(self, key: str) -> Iterator[bytes]:
        """See Tier. An answer that is cut is asked for again from there on."""
        where: dict[str, str] = self._where(key)
        done, attempt = 0, 1
        while True:
            with self._told():
                answer = self._client.get_object(**where)
            try:
                with contextlib.closing(answer["Body"]) as body:
                    pieces = body.iter_chunks(PIECE)
                    while True:
                        with self._told():
                            piece = next(pieces, None)
                        if piece is None:
                            return
                        done += len(piece)
                        yield piece
            except TierUnreachable:
                if attempt == self._attempts:
                    raise
                attempt += 1
            # The object may have been replaced meanwhile: then the service refuses.
            where |= {"Range": f"bytes={done}-", "IfMatch": answer["ETag"]}

    def size(self, key: str) -> int | None:
        """See Tier."""
        try:
            with self._told():
                return int(self._client.head_object(**self._where(key))["ContentLength"])
        except NotFound:
            return None

    def remove(self, key: str) -> bool:
        """See Tier."""
        was_there = self.size(key) is not None
        with self._told():
            self._client.delete_object(**self._where(key))
        return was_there

    def _entries(self, listing: str, entries: str) -> Iterator[dict[str, Any]]:
        pages = iter(self._client.get_paginator(listing).paginate(Bucket=self._bucket, Prefix=self._key("")))
        while True:
            with self._told():
                page = next(pages, None)
            if page is None:
                return
            yield from page.get(entries, [])

    def keys(self) -> Iterator[str]:
        """See Tier."""
        return (entry["Key"].rsplit("/", 1)[-1] for entry in self._entries("list_objects_v2", "Contents"))

    def tidy(self) -> int:
        """See Tier."""
        left = list(self._entries("list_multipart_uploads", "Uploads"))
        for one in left:
            with self._told():
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=one["Key"], UploadId=one["UploadId"]
                )
        return len(left)

    def check(self) -> str:
        """See Tier."""
        try:
            with self._told():
                self._client.head_bucket(Bucket=self._bucket)
        except NotFound:
            raise unreachable(
                "cloud", self._place, ValueError("there is no such bucket"), "make it, or name another"
            ) from None
        return f"{self._place} at {self._endpoint}" if self._endpoint else self._place


def _sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
