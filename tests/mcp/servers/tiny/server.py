"""A server of some lines, whose tools depend on a file of the project: what a server can do that changed its mind."""

import json
import os
import sys
import threading
from pathlib import Path

stopped: list[int] = []
telling = threading.Lock()


def tell(**message: object) -> None:
    with telling:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def tools() -> list[dict[str, object]]:
    mood = Path(sys.argv[1], "mood.txt")
    said = mood.read_text() if mood.exists() else "Says it"
    text = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}
    record = {"type": "object", "properties": {"camelCase": {"type": "object"}, "n": {"type": "integer"}}}
    found = [
        {"name": "say", "description": said, "inputSchema": text},
        {
            "name": "keys-of",
            "description": "Its keys",
            "inputSchema": record,
            "annotations": {"readOnlyHint": True},
        },
        {"name": "wait", "description": "Until it is cancelled", "inputSchema": {"type": "object"}},
        {
            "name": "stopped",
            "description": "How many calls were cancelled",
            "inputSchema": {"type": "object"},
        },
        {"name": "die", "description": "Ends the server", "inputSchema": {"type": "object"}},
        {"name": "fail", "description": "Fails", "inputSchema": {"type": "object"}},
    ]
    return [tool for tool in found if tool["name"] not in said.split()]


def call(number: int, params: dict[str, object]) -> None:
    name, given = params["name"], params.get("arguments") or {}
    assert isinstance(given, dict)
    if name == "die":
        os._exit(3)
    if name == "wait":
        token = params.get("_meta", {}).get("progressToken")  # type: ignore[attr-defined]
        about = {"progressToken": token, "progress": 1, "total": 4, "message": "waiting"}
        tell(method="notifications/progress", params=about)
        tell(method="notifications/message", params={"level": "notice", "data": {"waits": True}})
        return
    said = {
        "say": str(given.get("what")),
        "keys-of": json.dumps([sorted(given.get("camelCase") or {}), sorted(given)]),
        "stopped": str(len(stopped)),
        "fail": "it went wrong",
    }[str(name)]
    block = {"type": "text", "text": said}
    image = {"type": "image", "data": "AAEC", "mimeType": "image/png"}
    tell(id=number, result={"content": [block, image], "isError": name == "fail"})


for line in sys.stdin:
    message = json.loads(line)
    method, number, params = message.get("method"), message.get("id"), message.get("params", {})
    if method == "initialize":
        print("this line is no message", flush=True)
        about = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}}
        tell(id=number, result={**about, "serverInfo": {"name": "tiny", "version": "1"}})
    elif method == "tools/list":
        listed = tools()
        page = {"tools": listed[3:]} if params.get("cursor") else {"tools": listed[:3], "nextCursor": "more"}
        tell(id=number, result=page)
    elif method == "tools/call":
        call(number, params)
    elif method == "notifications/cancelled":
        stopped.append(params["requestId"])
    elif number is not None:
        tell(id=number, error={"code": -32601, "message": "unknown"})
