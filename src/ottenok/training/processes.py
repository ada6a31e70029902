"""Which of several processes this is, where torchrun started them."""

from __future__ import annotations

import os

__all__ = ["rank", "world"]


def rank() -> int:
    """Return this process's number among those that torchrun started; 0 without it."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))
