"""`gpu:*` shows the devices of graphics processors and nothing else; without it there are none."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from symphony.stage import sandbox
from symphony.stage.manifest import Manifest, load_manifest
from symphony.stage.permissions import parse_grant
from symphony.stage.sandbox import graphics_devices, player_spec, spec_for
from tests.sandbox.conftest import Identity

HARMLESS = {"fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"}
MANIFEST = """
[extension]
name = "example/paint"
version = "1.0.0"
type = "operator"
description = "Paints"
license = "MIT"
runtime = "python"
entry = "player.py"
{}
"""


def manifest(folder: Path, more: str) -> Manifest:
    (folder / "Symphony.toml").write_text(MANIFEST.format(more))
    (folder / "player.py").touch()
    return load_manifest(folder / "Symphony.toml")


def test_of_all_devices_only_those_that_compute_are_chosen() -> None:
    compute = ["nvidia0", "nvidia11", "nvidiactl", "nvidia-uvm", "kfd", "dri/renderD128"]
    others = [
        "sda",
        "mem",
        "kvm",
        "fuse",
        "null",
        "tty",
        "nvidia-modeset",
        "nvidia-caps/nvidia-cap1",
        "nvidia",
    ]
    others += [
        "nvidia-uvm-tools",
        "dri/card0",
        "dri/by-path",
        "nvram",
        "vhost-net",
        "nvidia0\n",
        "../nvidia0",
    ]
    assert graphics_devices(others) == []
    assert graphics_devices([*others, *compute]) == sorted(f"/dev/{name}" for name in compute)


def test_the_grant_alone_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_device_names", lambda: ["nvidia0", "sda", "nvidiactl"])
    assert spec_for(["gpu:*"], argv=["true"])["devices"] == ["/dev/nvidia0", "/dev/nvidiactl"]
    others = ["exec:*", "model:*", "network:example.org:443", "ipc:a/b"]
    assert "devices" not in spec_for(others, argv=["true"])
    assert "devices" not in player_spec([], extension_dir=None)


def test_a_manifest_asks_for_it_in_plain_words(tmp_path: Path) -> None:
    assert manifest(tmp_path, "[resources]\ngpu = true").grants() == ["gpu:*"]
    assert manifest(tmp_path, "").grants() == []
    assert parse_grant("gpu:*").explain() == "Use the graphics processors of this computer"
    with pytest.raises(ValueError, match=r"gpu:\*"):
        parse_grant("gpu:0")


def test_what_was_not_chosen_is_two_cores_and_four_gibibytes(tmp_path: Path) -> None:
    resources = manifest(tmp_path, "").resources
    assert (resources.cpu, resources.memory) == (2.0, 4 << 30)
    for spec in (player_spec([], extension_dir=None), spec_for([], argv=["true"])):
        assert (spec["limits"]["cpu"], spec["limits"]["memory"]) == (2.0, 4 << 30)


def test_there_are_five_devices_and_no_other(identity: Identity) -> None:
    assert set(identity.sandbox(["ls", "/dev"]).out.split()) == HARMLESS


@pytest.mark.parametrize("device", ["/dev/sda", "/dev/mem", "/dev/dri/card0", "/dev/../dev/kfd"])
def test_another_device_cannot_be_shown_even_if_it_is_asked_for(identity: Identity, device: str) -> None:
    outcome = identity.sandbox(["true"], change={"devices": [device]})
    assert outcome.code == 200 and "devices" in outcome.err, outcome


@pytest.fixture
def node() -> Iterator[Path]:
    """A node with the name of a graphics processor's and the nature of `/dev/zero`, as there is none here to use."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser can make a device")
    path = Path(f"/dev/nvidia{os.getpid() + 100_000}")
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        path.chmod(0o666)
    except PermissionError:
        pytest.skip("no device can be made here")
    yield path
    path.unlink()


def test_a_device_that_is_granted_works_and_is_the_only_one_more(identity: Identity, node: Path) -> None:
    script = f"head -c 4 {node} | wc -c; ls /dev; chmod 600 {node} || echo refused"
    outcome = identity.sandbox(["sh", "-c", script], change={"devices": [str(node)]})
    count, *names, end = outcome.out.split()
    assert (count, set(names), end) == ("4", HARMLESS | {node.name}, "refused"), outcome


def test_a_file_with_such_a_name_is_no_device(identity: Identity) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the superuser can put a file there")
    path = Path(f"/dev/nvidia{os.getpid() + 200_000}")
    path.write_text("a file")
    try:
        outcome = identity.sandbox(["true"], change={"devices": [str(path)]})
    finally:
        path.unlink()
    assert outcome.code == 200 and str(path) in outcome.err, outcome
