"""Drawing with matplotlib, without pyplot and without a screen: colours, fonts, and SVG that may stand in a page.

matplotlib keeps its settings in one global table. They are set while a figure is drawn and put back afterwards, so a
program that draws figures of its own sees nothing of it (unless it draws in another thread at that very moment).

Inside a page a drawing must not bring ids or styles that clash with those of other drawings, nor colours that vanish on
a dark page: matplotlib draws in the light colours, and on the page each of them becomes a CSS variable, which has a
light and a dark value. Text stays text: the browser's fonts write it, and it can be searched and copied. Series also
differ by dashes, for black-and-white prints and for colour-blind readers.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from ottenok.core.lazy import require
from ottenok.studies.report.parts import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Dash = tuple[float, tuple[float, ...]] | str

__all__ = [
    "DARK",
    "DASHES",
    "HEIGHT",
    "INK",
    "LIGHT",
    "MUTED",
    "SERIES",
    "WIDTH",
    "Drawing",
    "canvas",
    "families",
    "finish",
    "legend",
    "writable",
]

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
    return tuple(
        name
        if 0 < len(name.strip()) <= _LONGEST and name.isprintable() and all(ord(one) in known for one in name)
        else f"{kind} {place}"
        for place, name in enumerate(names, start=1)
    )


_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
# Newer versions of matplotlib write single properties, older ones the shorthand.
_FAMILY = re.compile(r"font-family: ([^;\"]+)|font: ([\d.]+px) ([^;\"]+)")


# Inches; 72 units of the SVG each. Letters of 10 units can be read when 330 units become the width of a telephone.
WIDTH, HEIGHT = 4.6, 3.5
_DOTS = 160
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure in its three forms.

    Attributes:
        svg: A whole SVG file, on white.
        png: A PNG file, on white.
        element: The same SVG as an element of the page, in the page's colours.
        width: Its natural width on the page, in CSS pixels.
    """

    svg: str
    png: bytes
    element: str
    width: int


@contextmanager
def canvas(name: str, *, width: float = WIDTH, height: float = HEIGHT) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure and its axes; draw and `finish` inside the block.

    Args:
        name: Of the plot; makes the ids of the SVG, so that the same plot gives the same bytes.
        width: Inches.
        height: Inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="report")
    figures = require("matplotlib.figure", extra="report")
    settings = {
        "font.family": list(families()),
        "font.size": 10.5,
        "axes.titlesize": 11.0,
        "legend.fontsize": 10.0,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "lines.linewidth": 1.8,
        "lines.markersize": 4.5,
        "legend.frameon": False,
        "figure.facecolor": PAPER,
        "axes.facecolor": "none",
    }
    with matplotlib.rc_context(settings):
        figure: Figure = figures.Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def legend(axes: Axes, *, columns: int = 1) -> None:
    """Put the legend below the axes, where it hides no line."""
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return
    axes.figure.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=2.6, columnspacing=1.2)


def finish(figure: Figure, *, name: str, alt: str) -> Drawing:
    """Render a figure; `name` begins the ids of its element, `alt` is its alternative text."""
    text, picture = io.StringIO(), io.BytesIO()
    figure.savefig(text, format="svg", metadata=dict(_NO_METADATA))
    figure.savefig(picture, format="png", dpi=_DOTS, metadata={"Software": None})
    # Of the picture on a page of its own, make an element of an HTML page.
    root = ET.fromstring(text.getvalue())  # noqa: S314 - written by matplotlib a moment ago
    elements = list(root.iter())
    used = {id_ for element in elements for value in element.attrib.values() for id_ in _REFERENCE.findall(value)}
    used |= {element.get(_LINK, "").removeprefix("#") for element in elements}
    for element in elements:
        for child in list(element):
            # Metadata has no place in a page, nor have styles, which would be the whole page's.
            if not child.tag.startswith(_SVG) or child.tag.rpartition("}")[2] in {"metadata", "style", "script"}:
                element.remove(child)
        element.tag = element.tag.removeprefix(_SVG)  # HTML knows SVG without namespaces
        if (id_ := element.attrib.pop("id", None)) in used:
            element.set("id", f"{name}-{id_}")
        if target := element.attrib.pop(_LINK, ""):
            element.set("href", target.replace("#", f"#{name}-", 1))
        if style := element.get("style"):
            style = _FAMILY.sub(lambda font: f"font-size: {font[2]}" if font[2] else "font-family: inherit", style)
            element.set("style", _COLOUR.sub(lambda found: VARIABLES.get(found[0], found[0]), style))
        for key, value in element.attrib.items():
            if "url(" in value:
                element.set(key, _REFERENCE.sub(lambda found: f"url(#{name}-{found[1]})", value))
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    width = float(root.get("viewBox", "0 0 400 300").split()[2])
    root.attrib |= {"role": "img", "aria-label": visible(alt), "style": f"--width: {width:g}px"}
    return Drawing(
        svg=_FAMILY.sub(lambda found: f"{found[0]}, sans-serif", text.getvalue()),
        png=picture.getvalue(),
        element=ET.tostring(root, encoding="unicode"),
        width=round(figure.get_figwidth() * 72),
    )
