"""The tree as the page has it, and the numbered patches that keep it so."""

from __future__ import annotations

import json

from symphony.ui.node import Node


class TreeStream:
    """Makes the `ui.patch` notifications of one connection. `seq` is the number of the last one."""

    def __init__(self) -> None:
        self.seq = 0
        self._tree: Node | None = None

    def patch(self, tree: Node) -> str | None:
        """The notification that turns the page's tree into `tree`; None when they are equal."""
        if tree == self._tree:
            return None
        self._tree = tree
        return self._message(json.dumps([{"op": "replace", "path": "", "value": tree}]), first=self.seq == 0)

    def reset(self, tree: Node) -> str:
        """The notification with the whole tree, whatever the page has."""
        self._tree = tree
        return self._message(json.dumps([{"op": "replace", "path": "", "value": tree}]), first=True)

    def _message(self, operations: str, *, first: bool) -> str:
        self.seq += 1
        mark = ',"reset":true' if first else ""
        return f'{{"jsonrpc":"2.0","method":"ui.patch","params":{{"seq":{self.seq}{mark},"patch":{operations}}}}}'
