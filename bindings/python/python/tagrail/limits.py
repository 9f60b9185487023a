"""Limits of time, in whichever way a program says them."""

from __future__ import annotations

from typing import Any


def seconds(value: Any) -> Any:
    """The limit on waiting for an answer, of httpx's Timeout."""
    for part in ("read", "connect"):
        limit = getattr(value, part, None)
        if limit is not None:
            return limit
    return None if hasattr(value, "read") else value
