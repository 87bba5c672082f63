"""The Pit as Python sees it."""
