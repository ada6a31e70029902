"""Which names a plot can write: matplotlib's own font has no Chinese, so one that is installed is looked for.

Only pictures depend on it. On the page the browser's fonts write every text.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["families", "writable"]

_OWN = "DejaVu Sans"
# Longer names leave no room for the plot.
_LONGEST = 32
# Fonts with Chinese characters, as Linux distributions, macOS and Windows name them; the first that is there is used.
_CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "Heiti TC",
    "STHeiti",
    "Microsoft YaHei",
    "SimHei",
    "Noto Sans CJK JP",
    "Arial Unicode MS",
)


@cache
def families() -> tuple[str, ...]:
    """Return the names of the fonts for plots: matplotlib's own, and one for Chinese if there is any."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return (_OWN, *[name for name in _CHINESE if name in installed][:1])


@cache
def _characters(family: str) -> frozenset[int]:
    from matplotlib.font_manager import fontManager, get_font

    font: Any = get_font(fontManager.findfont(family))
    return frozenset(font.get_charmap())


def writable(names: Sequence[str], *, kind: str, fonts: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return names that plots can write: each name itself, or `KIND N` where it is too long or no font can write it.

    Args:
        names: For instance labels.
        kind: What they are, for instance `label`.
        fonts: Names of fonts; None: those of `families`.
    """
    known: frozenset[int] = frozenset().union(*(_characters(family) for family in fonts or families()))
    return tuple(name if _fits(name, known) else f"{kind} {place}" for place, name in enumerate(names, start=1))


def _fits(name: str, known: frozenset[int]) -> bool:
    return 0 < len(name.strip()) <= _LONGEST and all(ord(character) in known for character in name)
