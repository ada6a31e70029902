"""The version, where every room may ask for it."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
