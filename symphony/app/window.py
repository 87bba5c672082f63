"""The desktop window: pywebview showing the host's page; without a display the browser or the address."""

from __future__ import annotations

import os
import platform


def has_display() -> bool:
    """Whether a window can be shown here."""
    if platform.system() != "Linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def has_toolkit() -> bool:
    """Whether pywebview and its toolkit are installed."""
    from importlib.util import find_spec

    return find_spec("webview") is not None


def show(address: str, title: str) -> None:
    """Opens the window and returns when it is closed. Must run on the process's main thread."""
    import webview

    if platform.system() == "Linux":
        # pywebview asks for GTK first; Symphony ships Qt.
        os.environ.setdefault("PYWEBVIEW_GUI", "qt")
        if os.getuid() == 0:
            # Chromium refuses its own sandbox for root. The page has no foreign code to run.
            os.environ.setdefault("QTWEBENGINE_DISABLE_SANDBOX", "1")
    webview.settings["OPEN_EXTERNAL_LINKS_IN_BROWSER"] = True
    webview.create_window(title, address, width=1440, height=900, min_size=(390, 600), text_select=True)
    webview.start(gui="qt" if platform.system() == "Linux" else None, private_mode=False)
