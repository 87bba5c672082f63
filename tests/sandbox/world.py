"""The world outside a sandbox: secrets, a victim, listeners. Attacks are judged by what became of it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sandbox.conftest import Identity

VICTIM = """
import ctypes, os, sys
token = ctypes.create_string_buffer(os.environ["VICTIM_TOKEN"].encode())
ctypes.CDLL(None).prctl(0x59616D61, -1)  # where Yama is, let anyone of this user look
print(ctypes.addressof(token), flush=True)
sys.stdin.read()
"""


class World:
    """One set of things worth attacking, owned by the identity that also starts the sandbox."""

    def __init__(self, identity: Identity) -> None:
        self.token = secrets.token_hex(16)
        self.mark = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(dir=identity.base))
        self.project = self.folder / "project"
        self.project.mkdir()
        self.secret = self._file("secret.txt", self.token)
        self.target = self._file("target.txt", "untouched")
        self.granted = self._file("project/granted.txt", "untouched")
        (self.project / "link.txt").symlink_to(self.secret)
        (self.project / "id").write_bytes(Path("/usr/bin/id").read_bytes())
        for path in (self.folder, self.project, self.secret, self.target, self.granted):
            identity.own(path)
        (self.project / "id").chmod(0o4755)
        self.fifo = self.project / "fifo"
        os.mkfifo(self.fifo, 0o600)
        identity.own(self.fifo)
        self.messages: list[bytes] = []
        self._identity = identity
        self._sockets: list[socket.socket] = []
        self._start_victim()
        self._listen()
        self.entries = set(self.project.iterdir())
        self.shm = Path("/dev/shm") / f"symphony-{self.mark}"
        self.shm.write_text(self.token)
        identity.own(self.shm)

    def _file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def _start_victim(self) -> None:
        identity = self._identity
        options: dict[str, Any] = {}
        if os.geteuid() == 0 and identity.uid != 0:
            options = {"user": identity.uid, "group": identity.uid, "extra_groups": []}
        self.victim = subprocess.Popen(
            [identity.python, "-I", "-c", VICTIM],
            env={"VICTIM_TOKEN": self.token, "PATH": "/usr/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            **options,
        )
        assert self.victim.stdout is not None
        self.address = int(self.victim.stdout.readline())

    def _listen(self) -> None:
        self.unix = str(self.folder / "socket")
        self.abstract = f"symphony-{self.mark}"
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        path, inner = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        path.bind(self.unix)
        Path(self.unix).chmod(0o777)
        self.inner = str(self.project / "socket")
        inner.bind(self.inner)
        Path(self.inner).chmod(0o777)
        deep = self.project / "deep" / "er"
        deep.mkdir(parents=True)
        (deep / "socket").hardlink_to(self.inner)
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind("\0" + self.abstract)
        self.tcp_port, self.udp_port = tcp.getsockname()[1], udp.getsockname()[1]
        for listener in (path, inner, abstract):
            listener.listen()
        self._sockets = [tcp, udp, path, inner, abstract]
        self._listeners = [tcp, path, inner, abstract]
        for listener in self._listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        self._udp = udp
        # As a program of the host that waits for orders, and has some under way.
        self._orders = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        self.order = b"an order of the host's"
        os.write(self._orders, self.order)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    self.messages.append(connection.recv(100))

    def received(self) -> bool:
        """Whether any listener heard the attacker. Each hears a last word of ours first, which comes after all that
        was sent before it: what is still on its way is not taken for silence."""
        last = secrets.token_hex(16).encode()
        self._udp.sendto(last, self._udp.getsockname())
        while (message := self._udp.recv(100)) != last:
            self.messages.append(message)
        for listener in self._listeners:
            with socket.socket(listener.family) as ours:
                ours.connect(listener.getsockname())
                ours.sendall(last)
                assert ours.recv(1) == b"", "a listener hears, and closes"
        return any(self.mark.encode() in message for message in self.messages)

    def orders(self) -> bytes:
        """What is in the named pipe, for as long as nobody else has taken it."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._orders, 1000)
        return b""

    def is_victim_dead(self) -> bool:
        """Whether the victim has ended, or is ending."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.victim.wait(0.3)
        return self.victim.returncode is not None

    def facts(self) -> str:
        """What the attacker knows: everything but the token, which is the secret."""
        facts = {
            "mark": self.mark,
            "secret": self.secret,
            "target": self.target,
            "granted": self.granted,
            "project": self.project,
            "victim": self.victim.pid,
            "address": self.address,
            "tcp": self.tcp_port,
            "udp": self.udp_port,
            "unix": self.unix,
            "inner": self.inner,
            "fifo": self.fifo,
            "abstract": self.abstract,
            "shm": self.shm,
            "device": self.folder.stat().st_dev,
        }
        return json.dumps(
            {name: value if isinstance(value, int) else str(value) for name, value in facts.items()}
        )

    def close(self) -> None:
        """Ends the victim, the listeners and the files."""
        assert self.victim.stdin is not None and self.victim.stdout is not None
        if self.victim.poll() is None:
            self.victim.send_signal(signal.SIGKILL)
        self.victim.wait()
        self.victim.stdin.close()
        self.victim.stdout.close()
        for listener in self._sockets:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        os.close(self._orders)
        self.shm.unlink(missing_ok=True)
        shutil.rmtree(self.folder)
