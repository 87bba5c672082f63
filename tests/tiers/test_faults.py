"""Networks and services that fail: a real proxy before the real servers answers 503, hangs or cuts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

import pit_native
from symphony.errors import TierUnreachable
from symphony.tiers.azure import AzureTier
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.s3 import S3Tier
from symphony.tiers.tiering import Tiering
from tests.tiers.faulty_proxy import FaultyProxy, faulty_proxy

KINDS = pytest.mark.parametrize("kind", ["s3", "azure"])
BIG = (11 << 20) + 3


class Far:
    """A tier behind a proxy, and the same tier without it."""

    def __init__(self, make: Callable[..., S3Tier | AzureTier], proxy: FaultyProxy, timeout: float) -> None:
        self.proxy = proxy
        self.tier = make(proxy.port, timeout=timeout, attempts=2)
        self.direct = make()


@pytest.fixture
def far(kind: str, request: pytest.FixtureRequest) -> Iterator[Far]:
    upstream = request.getfixturevalue(f"{kind}_port")
    with faulty_proxy(upstream) as proxy:
        yield Far(request.getfixturevalue(f"make_{kind}"), proxy, 20)


@KINDS
@pytest.mark.parametrize("fault", ["503", "cut:70000", "cut-answer:20"])
def test_a_passing_fault_is_survived_by_trying_again(far: Far, fault: str) -> None:
    content = os.urandom(200_000)
    far.proxy.arm(fault)
    assert far.tier.write("ab" * 32, [content]) == len(content)
    assert far.proxy.hits == [fault]
    far.proxy.arm("503")
    assert b"".join(far.tier.read("ab" * 32)) == content
    assert far.proxy.hits == ["503"]


@KINDS
def test_a_service_that_hangs_is_given_up_in_time(kind: str, request: pytest.FixtureRequest) -> None:
    with faulty_proxy(request.getfixturevalue(f"{kind}_port")) as proxy:
        far = Far(request.getfixturevalue(f"make_{kind}"), proxy, 1)
        far.proxy.arm(always="hang")
        with pytest.raises(TierUnreachable):
            far.tier.write("ab" * 32, [b"content"])
        assert far.direct.size("ab" * 32) is None
        far.proxy.arm()
        assert far.tier.write("ab" * 32, [b"content"]) == 7


@KINDS
@pytest.mark.parametrize("fault", ["503", "cut:100000"])
def test_an_upload_that_ends_in_the_middle_leaves_no_object(far: Far, fault: str) -> None:
    content = os.urandom(BIG)

    def pieces() -> Iterator[bytes]:
        yield content[: 6 << 20]
        # A part has gone; from here on nothing gets through.
        far.proxy.arm(always=fault)
        yield content[6 << 20 :]

    with pytest.raises(TierUnreachable):
        far.tier.write("ab" * 32, pieces())
    assert far.direct.size("ab" * 32) is None
    far.proxy.arm()
    far.tier.tidy()
    assert far.direct.tidy() == 0
    assert far.tier.write("ab" * 32, [content]) == BIG
    assert b"".join(far.tier.read("ab" * 32)) == content


@KINDS
def test_an_upload_that_ends_in_the_middle_keeps_what_was_there(far: Far) -> None:
    far.tier.write("ab" * 32, [b"before"])

    def pieces() -> Iterator[bytes]:
        yield bytes(6 << 20)
        far.proxy.arm(always="503")
        yield bytes(6 << 20)

    with pytest.raises(TierUnreachable):
        far.tier.write("ab" * 32, pieces())
    assert b"".join(far.direct.read("ab" * 32)) == b"before"


@KINDS
def test_a_download_that_is_cut_is_told_and_nothing_half_is_kept(
    far: Far, store: pit_native.ArtifactStore, catalogue: Catalogue
) -> None:
    content = os.urandom(3 << 20)
    id = store.put(content, name="big")
    tiering = Tiering(store, catalogue, {"cloud": far.tier})
    tiering.move(id, "cloud")
    far.proxy.arm(always="cut-answer:700000")
    with pytest.raises(TierUnreachable):
        tiering.read(id)
    assert tiering.places([id]) == {id: "cloud"}
    far.proxy.arm()
    assert tiering.read(id) == content
    assert tiering.places([id]) == {id: "active"}


@KINDS
def test_a_download_goes_on_where_it_was_cut(far: Far) -> None:
    content = os.urandom(BIG)
    far.direct.write("ab" * 32, [content])
    far.proxy.arm("cut-answer:3000000")
    assert b"".join(far.tier.read("ab" * 32)) == content
    assert far.proxy.hits == ["cut-answer:3000000"]


@KINDS
def test_a_move_over_a_failing_network_ends_with_the_content_on_one_side(
    far: Far, store: pit_native.ArtifactStore, catalogue: Catalogue
) -> None:
    content = os.urandom(2_000_000)
    id = store.put(content, name="big")
    tiering = Tiering(store, catalogue, {"cloud": far.tier})
    # Each try gets a little further: through the upload, then through reading it back.
    for fault in ("cut:60000", "cut:1900000", "cut-answer:900000", "cut:2300000"):
        far.proxy.arm(always=fault)
        try:
            tiering.move(id, "cloud")
        except TierUnreachable:
            assert store.is_local(id)
        far.proxy.arm()
        assert tiering.read(id) == content
    tiering.move(id, "cloud")
    assert not store.is_local(id) and tiering.read(id) == content
