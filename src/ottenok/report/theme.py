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
SERIES = ("#0072b2", "#c14a00", "#00795b", "#aa3f90", "#7a6200", "#332288", "#4d5863")

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
_DARK_SERIES = ("#56b4e9", "#ff9d5c", "#35c79a", "#e08fd6", "#e0c030", "#a99cf0", "#b3bfc9")
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
