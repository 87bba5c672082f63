"""A server that starts programs, as servers do: by their name, with its own input inherited."""

import json
import shutil
import subprocess
import sys
from typing import Any

TEXT = {"type": "object", "properties": {"words": {"type": "array"}, "given": {"type": "string"}}}


def run(words: list[str], given: str) -> str:
    # Without `input` the program inherits this server's own.
    options: dict[str, Any] = {"input": given} if given else {}
    try:
        done = subprocess.run(words, cwd=sys.argv[1], capture_output=True, text=True, check=False, **options)
    except OSError as error:
        return f"{type(error).__name__} {shutil.which(words[0])}"
    return f"{done.returncode}|{done.stdout}|{done.stderr}"


result: dict[str, Any]
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "initialize":
        result = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "serverInfo": {"name": "g", "version": "1"},
        }
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": "start", "description": "Starts a program", "inputSchema": TEXT}]}
    else:
        given = message["params"]["arguments"]
        said = run(given["words"], given.get("given") or "")
        result = {"content": [{"type": "text", "text": said}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
