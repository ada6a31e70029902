"""The HTML page: one file, without scripts, and nothing in it is fetched from anywhere."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from ottenok.core.lazy import require
from ottenok.core.version import __version__
from ottenok.explain.page import MARKS
from ottenok.studies.report.drawing import DARK, LIGHT
from ottenok.studies.report.parts import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.studies.report.parts import Section

__all__ = ["page"]


def page(title: str, intro: str, sections: Sequence[Section]) -> str:
    """Return the page.

    Every text in it is escaped: labels, names and texts of data are strangers' words. A content security policy
    forbids scripts and requests besides.

    Args:
        title: Its heading.
        intro: A sentence below it.
        sections: What it shows.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    jinja = require("jinja2", extra="report")

    def finalize(value: Any) -> Any:  # noqa: ANN401 - whatever the template prints
        return visible(value) if type(value) is str else value  # our own markup is no plain string

    environment = jinja.Environment(autoescape=True, undefined=jinja.StrictUndefined, finalize=finalize)
    environment.filters["visible"] = visible
    files = resources.files("ottenok.studies.report")
    css, template = (files.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "report.html"))
    html: str = environment.from_string(template).render(
        title=title,
        intro=intro,
        version=__version__,
        sections=sections,
        has_texts=any(section.has_texts() for section in sections),
        style=environment.from_string(css).render(light=LIGHT, dark=DARK) + MARKS,
    )
    return html.lstrip() + "\n"
