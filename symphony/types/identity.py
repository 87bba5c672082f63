"""Ids that sort by the time they were made: version 7 of RFC 9562."""

from __future__ import annotations

import secrets
import time
import uuid


def new_id() -> str:
    """A new id, such as `0192f0c1-7b3a-7c41-9d5e-3f1a2b4c5d6e`."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
