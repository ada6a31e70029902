"""matplotlib's SVG, made fit to stand in a page.

Inside a page a drawing must not bring ids or styles that clash with those of other drawings, nor colours that vanish on
a dark page. Text stays text: the browser's fonts write it, and it can be searched and copied.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from ottenok.studies.report.theme import VARIABLES

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["alone", "inline"]

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
# Newer versions of matplotlib write single properties, older ones the shorthand.
_FAMILY = re.compile(r"font-family: ([^;\"]+)|font: ([\d.]+px) ([^;\"]+)")


def alone(svg: str) -> str:
    """Return a drawing as a file of its own, whose letters never fall back to a serif font."""
    return _FAMILY.sub(lambda found: f"{found[0]}, sans-serif", svg)


def inline(svg: str, *, name: str, alt: str) -> str:
    """Return a drawing as an element for an HTML page.

    Args:
        svg: A whole SVG document that matplotlib wrote.
        name: Unique on the page; begins every id.
        alt: What the drawing shows, for those who can't see it.
    """
    root = ET.fromstring(svg)  # noqa: S314 - written by matplotlib a moment ago
    elements = list(root.iter())
    used = {reference for element in elements for reference in _references(element)}
    for element in elements:
        for child in [child for child in element if _is_foreign(child)]:
            element.remove(child)
        _adapt(element, name, used)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    width = float(root.get("viewBox", "0 0 400 300").split()[2])
    root.attrib |= {"role": "img", "aria-label": alt, "style": f"--width: {width:g}px"}
    return ET.tostring(root, encoding="unicode")


def _references(element: Element) -> list[str]:
    """Return the ids that an element names."""
    found = [id_ for value in element.attrib.values() for id_ in _REFERENCE.findall(value)]
    return [*found, element.get(_LINK, "").removeprefix("#")]


def _is_foreign(element: Element) -> bool:
    """Say whether an element has no place in a page: metadata, and styles, which would be the whole page's."""
    name = element.tag.rpartition("}")[2]
    return not element.tag.startswith(_SVG) or name in {"metadata", "style", "script"}


def _adapt(element: Element, name: str, used: set[str]) -> None:
    # HTML knows SVG without namespaces.
    element.tag = element.tag.removeprefix(_SVG)
    if (id_ := element.attrib.pop("id", None)) in used:
        element.set("id", f"{name}-{id_}")
    if target := element.attrib.pop(_LINK, ""):
        element.set("href", target.replace("#", f"#{name}-", 1))
    if style := element.get("style"):
        element.set("style", _style(style))
    for key, value in element.attrib.items():
        if "url(" in value:
            element.set(key, _REFERENCE.sub(lambda found: f"url(#{name}-{found[1]})", value))


def _style(style: str) -> str:
    without_font = _FAMILY.sub(lambda found: f"font-size: {found[2]}" if found[2] else "font-family: inherit", style)
    return _COLOUR.sub(lambda found: VARIABLES.get(found[0], found[0]), without_font)
