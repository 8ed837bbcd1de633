"""Identifiers: a prefix, 48 bits of milliseconds, 80 random bits. Sortable by time, not guessable."""

import secrets
import time


def new_id(prefix: str) -> str:
    """Return a new identifier such as `std_019aa3c5d7e1...`."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{prefix}_{milliseconds:012x}{secrets.token_hex(10)}"
