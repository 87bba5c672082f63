"""Real servers for the tiers: moto's for S3, Azurite for Azure, each with a bucket that holds nothing."""

from __future__ import annotations

import hashlib
import itertools
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pit_native
from symphony.tiers.archive import ArchiveTier
from symphony.tiers.azure import AzureTier
from symphony.tiers.catalogue import Catalogue
from symphony.tiers.local import StoreTier
from symphony.tiers.s3 import S3Tier
from symphony.tiers.tier import Tier

HERE = Path(__file__).parent
AZURITE = HERE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
# The account that every Azurite has, as its manual prints it.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
KEYS = ("AKIATESTTESTTESTTEST", "never-shown-secret")
numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """An S3 server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield int(server.get_host_and_port()[1])
    server.stop()


@pytest.fixture(scope="session")
def azure_port() -> Iterator[int]:
    """An Azure Blob server."""
    if not AZURITE.exists():
        pytest.fail("Azurite is not installed; `make build/stamps/azurite` does that")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    command = ["node", str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if server.poll() is not None:
            pytest.fail("Azurite has ended")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    server.terminate()
    server.wait()


def connection_string(port: int) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


@pytest.fixture
def make_s3(s3_port: int) -> Callable[..., S3Tier]:
    """A tier on a new bucket, by default straight to the server."""
    import boto3

    bucket = f"bucket-{next(numbers)}-{time.time_ns()}"
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{s3_port}",
        region_name="us-east-1",
        aws_access_key_id=KEYS[0],
        aws_secret_access_key=KEYS[1],
    )
    client.create_bucket(Bucket=bucket)

    def make(port: int = s3_port, **options: Any) -> S3Tier:
        endpoint = f"http://127.0.0.1:{port}"
        defaults: dict[str, Any] = {"region": "us-east-1", "credentials": KEYS, "timeout": 10, "attempts": 2}
        return S3Tier(bucket, "pre/fix", endpoint=endpoint, part=5 << 20, **{**defaults, **options})

    return make


@pytest.fixture
def make_azure(azure_port: int) -> Callable[..., AzureTier]:
    """A tier on a new container, by default straight to the server."""
    from azure.storage.blob import ContainerClient

    name = f"container-{next(numbers)}-{time.time_ns()}"
    with ContainerClient.from_connection_string(connection_string(azure_port), name) as client:
        client.create_container()

    def make(port: int = azure_port, **options: Any) -> AzureTier:
        defaults: dict[str, Any] = {"timeout": 10, "attempts": 2, "backoff": 0}
        connection = connection_string(port)
        return AzureTier(name, "pre/fix", connection=connection, part=1 << 20, **{**defaults, **options})

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[pit_native.ArtifactStore]:
    """An Artifact Store."""
    with pit_native.ArtifactStore(tmp_path / "store") as store:
        yield store


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """A catalogue."""
    catalogue = Catalogue(tmp_path / "tiers.sqlite")
    yield catalogue
    catalogue.close()


def archive_in(folder: Path) -> ArchiveTier:
    """An archive in a new folder."""
    folder.mkdir(exist_ok=True)
    return ArchiveTier(folder, is_new=True)


Case = tuple[Tier, Callable[[bytes], str]]
"""A tier, and what makes a name for a content that it may then hold."""


@pytest.fixture(params=["active", "archive", "s3", "azure"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Each tier in turn."""

    def digest(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    if request.param == "archive":
        return archive_in(tmp_path / "archive"), digest
    if request.param == "s3":
        return request.getfixturevalue("make_s3")(), digest
    if request.param == "azure":
        return request.getfixturevalue("make_azure")(), digest
    store: pit_native.ArtifactStore = request.getfixturevalue("store")
    known: list[str] = []

    def entered(content: bytes) -> str:
        # The store holds bytes of what it has entries of.
        id = store.put(content, name="a")
        store.evict(id)
        known.append(id)
        return digest(content)

    return StoreTier(store, known), entered
