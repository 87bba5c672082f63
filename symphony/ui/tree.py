"""The tree as the page has it, and the numbered patches that keep it so."""

from __future__ import annotations

from pit_native import VirtualDom
from symphony.ui.node import Node


class TreeStream:
    """Makes the `ui.patch` notifications of one connection; the comparison is in Rust.

    `seq` is the number of the last notification. A page that finds a gap asks for a reset, which carries
    the whole tree and goes on counting.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._dom = VirtualDom()

    def patch(self, tree: Node) -> str | None:
        """The notification that turns the page's tree into `tree`; None when they are equal."""
        operations = self._dom.render(None, tree)
        if operations is None:
            return None
        if self.seq == 0:
            return self._whole()
        return self._message(operations.decode())

    def reset(self, tree: Node) -> str:
        """The notification with the whole tree, whatever the page has."""
        self._dom.render(None, tree)
        return self._whole()

    def _whole(self) -> str:
        operations = f'[{{"op":"replace","path":"","value":{self._dom.snapshot().decode()}}}]'
        return self._message(operations, ',"reset":true')

    def _message(self, operations: str, mark: str = "") -> str:
        self.seq += 1
        params = f'{{"seq":{self.seq}{mark},"patch":{operations}}}'
        return f'{{"jsonrpc":"2.0","method":"ui.patch","params":{params}}}'
