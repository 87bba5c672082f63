#!/opt/symphony/python -ISB
"""Stands inside for a program that the extension was granted: the host runs it, in a sandbox of its own."""

import base64
import json
import os
import socket
import stat
import sys
from pathlib import Path

LARGEST = 12 << 20


def given_input() -> bytes:
    """What was redirected to this program. The server's own input, which its children inherit, is none of it."""
    try:
        status = os.fstat(0)
    except OSError:
        return b""
    is_the_servers = str(status.st_ino) == os.environ.get("SYMPHONY_SERVER_INPUT")
    is_readable = stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)
    return sys.stdin.buffer.read(LARGEST) if is_readable and not is_the_servers else b""


def main() -> int:
    """Hands the call on and gives back what came of it; 126 when it was refused."""
    argv = [sys.argv[0].rpartition("/")[2], *sys.argv[1:]]
    asked = {"argv": argv, "cwd": str(Path.cwd()), "input": base64.b64encode(given_input()).decode()}
    with socket.socket(socket.AF_UNIX) as adapter:
        adapter.connect(os.environ["SYMPHONY_PROGRAMS"])
        adapter.sendall(json.dumps(asked).encode() + b"\n")
        with adapter.makefile("rb") as answers:
            answer = json.loads(answers.readline())
    if "refused" in answer:
        print(f"{argv[0]}: {answer['refused']}", file=sys.stderr)
        return 126
    for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
        stream.buffer.write(base64.b64decode(answer[name]))
        stream.flush()
    return int(answer["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
