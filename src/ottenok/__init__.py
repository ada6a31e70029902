"""ottenok: sentiment and emotions in Russian and Chinese texts.

Names are loaded on first use, so `import ottenok` costs nothing.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
