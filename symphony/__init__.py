"""The host: one process that plans, plays and shows melodies."""

__version__ = "0.1.0"
