"""The report's folder: `report.html`, `report.json`, and `plots/NAME.svg` and `.png`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError
from ottenok.core.files import atomic_folder
from ottenok.core.progress import SILENT
from ottenok.core.version import __version__
from ottenok.studies.report.page import page
from ottenok.studies.report.sections import build_sections

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.studies.report.inputs import ReportInputs
    from ottenok.studies.report.parts import Section

__all__ = ["NUMBERS", "PAGE", "WrittenReport", "check_target", "write_report"]

PAGE, NUMBERS, PLOTS = "report.html", "report.json", "plots"
_KIND = "ottenok-report"
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """Where a report is.

    Attributes:
        page: Its `report.html`.
        numbers: Its `report.json`.
        plots: How many plots there are.
        has_texts: Whether it shows texts of the data.
    """

    page: Path
    numbers: Path
    plots: int
    has_texts: bool


def check_target(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier report: it would be replaced.

    Raises:
        ConfigError: It does.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError("this is a file, expected a folder", hint="Name another one with -o.", file=str(folder))
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    strange = sorted(there - _own_files(folder))
    if strange:
        raise ConfigError(
            f"the folder holds {strange[0]}, which is no part of a report and would be lost",
            hint="Name another folder with -o.",
            file=str(folder),
        )


def _own_files(folder: Path) -> set[str]:
    """Return the files of the report that is in a folder, if there is one."""
    try:
        tree = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
        own = tree["kind"] == _KIND
        names = [f"{PLOTS}/{name}{suffix}" for name in tree["plots"] for suffix in (".svg", ".png")]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {PAGE, NUMBERS, *names} if own else set()


def write_report(folder: Path, inputs: ReportInputs, *, progress: Progress = SILENT) -> WrittenReport:
    """Draw a report and write it, whole or not at all; an earlier report in the folder is replaced.

    Args:
        folder: Absent, empty, or with an earlier report.
        inputs: What to show.
        progress: Hears of the drawing.

    Raises:
        ConfigError: The folder holds something else.
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    check_target(folder)
    sections = build_sections(inputs, progress=progress)
    html = page(inputs, sections)
    plots = [plot for section in sections for plot in section.all_plots()]
    with atomic_folder(folder) as temporary:
        (temporary / PLOTS).mkdir()
        for plot in plots:
            stem = temporary / PLOTS / plot.words.name
            _write(stem.with_name(f"{stem.name}.svg"), plot.drawing.svg)
            stem.with_name(f"{stem.name}.png").write_bytes(plot.drawing.png)
        _write(temporary / PAGE, html)
        _write(
            temporary / NUMBERS,
            json.dumps(_numbers(inputs, sections), ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        )
    return WrittenReport(
        page=folder / PAGE,
        numbers=folder / NUMBERS,
        plots=len(plots),
        has_texts=any(section.has_texts() for section in sections),
    )


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")


def _numbers(inputs: ReportInputs, sections: tuple[Section, ...]) -> dict[str, Any]:
    """Return what is in the plots and tables as numbers; no texts of the data."""
    tree = {
        "kind": _KIND,
        "format": _FORMAT,
        "ottenok": __version__,
        "title": inputs.title,
        "model": inputs.manifest.name,
        "scheme": inputs.scheme.name,
        "temperature": inputs.temperature,
        "reports": {one.name: one.report.to_json() for one in inputs.sets},
        "baselines": {one.name: [report.to_json() for report in one.baselines] for one in inputs.sets},
        "history": [dict(row) for row in inputs.history],
        "plots": {
            plot.words.name: {"title": plot.words.title, "alt": plot.words.alt, "numbers": plot.numbers}
            for section in sections
            for plot in section.all_plots()
        },
        "mistakes": {part.name: _mistakes(part) for section in sections for part in section.parts if part.mistakes},
    }
    found: dict[str, Any] = _finite(tree)
    return found


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with null in place of numbers that JSON has not: a loss that overflowed."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mistakes(section: Section) -> list[dict[str, Any]]:
    return [
        {"id": one.id, "truth": list(one.truth), "answer": list(one.answer), "sureness": round(one.sureness, 6)}
        for one in section.mistakes
    ]
