"""The HTML page: one file, without scripts, and nothing in it is fetched from anywhere."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from ottenok.core.lazy import require
from ottenok.core.version import __version__
from ottenok.studies.report.theme import DARK, LIGHT

if TYPE_CHECKING:
    from ottenok.studies.report.inputs import ReportInputs
    from ottenok.studies.report.parts import Section

__all__ = ["page"]


def page(inputs: ReportInputs, sections: tuple[Section, ...]) -> str:
    """Return the page.

    Every text in it is escaped: labels, names and texts of data are strangers' words. A content security policy
    forbids scripts and requests besides.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    environment = _environment()
    style = environment.from_string(_file("report.css")).render(light=LIGHT, dark=DARK)
    html: str = environment.from_string(_file("report.html")).render(
        title=inputs.title,
        model=inputs.manifest.name,
        scheme=inputs.scheme.name,
        version=__version__,
        sections=sections,
        has_texts=any(section.has_texts() for section in sections),
        style=style,
    )
    return html.lstrip() + "\n"


def _environment() -> Any:  # noqa: ANN401 - an optional package
    jinja = require("jinja2", extra="report")
    return jinja.Environment(autoescape=True, undefined=jinja.StrictUndefined)


def _file(name: str) -> str:
    return resources.files("ottenok.studies.report").joinpath(name).read_text(encoding="utf-8")
