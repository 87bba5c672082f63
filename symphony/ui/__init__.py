"""The page, as a Virtual DOM tree built from the host's state."""
