"""Colours of plots: told apart by colour-blind readers, on light and on dark pages alike.

matplotlib draws in the light colours. On the page each of them becomes a CSS variable, which has a light and a dark
value, so one drawing suits both. Series also differ by dashes, for black-and-white prints.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Dash = tuple[float, tuple[float, ...]] | str

__all__ = ["DARK", "DASHES", "GRID", "INK", "LIGHT", "MUTED", "PAPER", "SERIES", "VARIABLES"]

INK, MUTED, GRID, PAPER = "#1b1f24", "#59636e", "#d1d9e0", "#ffffff"
# Found by search: as far apart as may be for any kind of colour vision. The last is for lines that guide the eye.
SERIES = ("#0072b2", "#c14a00", "#4b0f5a", "#a5785a", "#a500ff", "#5a0f00", "#4d5863")

# CSS variable to colour.
LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "--ink": INK,
        "--muted": MUTED,
        "--grid": GRID,
        "--paper": PAPER,
        **{f"--series-{i}": colour for i, colour in enumerate(SERIES)},
    }
)
_DARK_SERIES = ("#56b4e9", "#ff9d5c", "#1effb4", "#ffe100", "#a52dff", "#d22d5a", "#b3bfc9")
DARK: Mapping[str, str] = MappingProxyType(
    {
        "--ink": "#e6e9ec",
        "--muted": "#9aa5b1",
        "--grid": "#333c47",
        "--paper": "#14181d",
        **{f"--series-{i}": colour for i, colour in enumerate(_DARK_SERIES)},
    }
)
# What is written into a plot on a page in place of a colour.
VARIABLES: Mapping[str, str] = MappingProxyType({colour: f"var({name})" for name, colour in LIGHT.items()})

DASHES: tuple[Dash, ...] = (
    "solid",
    (0.0, (5.0, 1.5)),
    (0.0, (1.2, 1.2)),
    (0.0, (5.0, 1.5, 1.2, 1.5)),
    (0.0, (9.0, 2.0)),
    (0.0, (3.0, 1.2, 1.2, 1.2, 1.2, 1.2)),
    (0.0, (2.5, 2.5)),
)
