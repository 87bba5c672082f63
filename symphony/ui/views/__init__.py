"""The views: one file each, with what it draws, what it loads and what its events do."""

from __future__ import annotations

from symphony.ui.views.register import VIEWS, View

__all__ = ["VIEWS", "View"]
