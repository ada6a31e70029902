"""Where ottenok's own things are on this machine: its package, its cache, and the hub's models."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_home", "hub_home", "package_home"]


def package_home() -> Path:
    """Return the folder of the installed package, which holds the embedded classifier and the recipes."""
    return Path(__file__).parents[1]


def cache_home(given: str | Path | None = None) -> Path:
    """Return the folder of what was fetched and converted.

    Args:
        given: What the caller asks for. Without it the variable OTTENOK_CACHE, then `ottenok` in XDG_CACHE_HOME,
            then the system's own cache folder of this user.
    """
    if chosen := given or os.environ.get("OTTENOK_CACHE"):
        return Path(chosen).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    # The base directory specification: a relative path is invalid and ignored.
    if xdg and Path(xdg).is_absolute():
        return Path(xdg) / "ottenok"
    from platformdirs import user_cache_path

    return user_cache_path("ottenok", appauthor=False)


def hub_home() -> Path:
    """Return the folder in which huggingface_hub keeps models (HF_HUB_CACHE, HF_HOME, or its default)."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"
