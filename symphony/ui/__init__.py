"""The page, as a Virtual DOM tree built from the host's state."""

from symphony.ui.page import Page, Pages
from symphony.ui.session import PageSession

__all__ = ["Page", "PageSession", "Pages"]
