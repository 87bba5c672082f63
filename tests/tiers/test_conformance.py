"""What every tier does: the same suite on the store, a folder, an S3 server and an Azure server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.errors import NotFound, TierUnreachable
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.azure import AzureTier
from symphony.tiers.s3 import S3Tier
from tests.tiers.conftest import ACCOUNT_KEY, KEYS, Case, archive_in


def test_what_is_written_is_read_listed_and_removed(case: Case) -> None:
    tier, name_of = case
    assert tier.check() and list(tier.keys()) == []
    kept = {}
    for content in (b"one", b"", os.urandom(100_000)):
        key = name_of(content)
        assert tier.size(key) is None
        assert tier.write(key, [content[:7], content[7:]]) == len(content)
        kept[key] = content
    assert sorted(tier.keys()) == sorted(kept)
    for key, content in kept.items():
        assert tier.size(key) == len(content)
        assert b"".join(tier.read(key)) == content
        assert tier.write(key, [content]) == len(content), "writing again replaces"
        assert b"".join(tier.read(key)) == content
        assert tier.remove(key) and not tier.remove(key)
        assert tier.size(key) is None
        with pytest.raises(NotFound):
            list(tier.read(key))
    assert list(tier.keys()) == [] and tier.tidy() == 0


def test_what_is_larger_than_a_part_arrives_whole(case: Case) -> None:
    tier, name_of = case
    content = os.urandom((11 << 20) + 17)
    key = name_of(content)
    pieces = (content[at : at + (1 << 20)] for at in range(0, len(content), 1 << 20))
    assert tier.write(key, pieces) == len(content)
    assert tier.size(key) == len(content)
    assert b"".join(tier.read(key)) == content


def test_a_write_whose_source_fails_leaves_nothing(case: Case) -> None:
    tier, name_of = case
    content = os.urandom(13 << 20)
    key = name_of(content)

    def broken():  # type: ignore[no-untyped-def]
        yield content[: 12 << 20]
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError):
        tier.write(key, broken())
    assert tier.size(key) is None and tier.tidy() == 0


def test_an_archive_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    archive_in(folder).write("ab" * 32, [b"x"])
    away = folder.rename(tmp_path / "away")
    folder.mkdir()
    with pytest.raises(TierUnreachable, match="mount the disk") as told:
        ArchiveTier(folder, is_new=False).read("ab" * 32).__next__()
    assert str(folder) in told.value.message
    assert not list(folder.iterdir()), "an empty mount point stays empty"
    folder.rmdir()
    away.rename(folder)
    assert ArchiveTier(folder, is_new=False).size("ab" * 32) == 1


def test_what_a_crash_left_in_an_archive_is_tidied(tmp_path: Path) -> None:
    tier = archive_in(tmp_path / "archive")
    tier.write("ab" * 32, [b"x"])
    (tmp_path / "archive" / "ab" / "cd.1234.part").write_bytes(b"half")
    assert list(tier.keys()) == ["ab" * 32]
    assert tier.tidy() == 1 and tier.tidy() == 0


def test_what_a_crash_left_in_a_bucket_is_tidied(make_s3: Callable[..., S3Tier]) -> None:
    tier = make_s3()
    tier._client.create_multipart_upload(Bucket=tier._bucket, Key=tier._key("ab" * 32))
    assert tier.tidy() == 1 and tier.tidy() == 0


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_a_service_that_is_away_is_told_without_secrets(kind: str, request: pytest.FixtureRequest) -> None:
    tier = request.getfixturevalue(f"make_{kind}")(1, timeout=1, attempts=1)
    for ask in (tier.check, lambda: tier.size("ab" * 32), lambda: tier.write("ab" * 32, [b"x"])):
        with pytest.raises(TierUnreachable, match="cannot be reached") as told:
            ask()
        said = str(told.value)
        assert "\n" not in said
        assert not any(secret in said for secret in (*KEYS, ACCOUNT_KEY))


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_a_bucket_that_is_not_there_is_told(kind: str, request: pytest.FixtureRequest) -> None:
    tier: S3Tier | AzureTier = request.getfixturevalue(f"make_{kind}")()
    if isinstance(tier, S3Tier):
        tier._bucket = "nowhere-at-all"
    else:
        tier._container = "nowhere-at-all"
    with pytest.raises(TierUnreachable, match="there is no such"):
        tier.check()
