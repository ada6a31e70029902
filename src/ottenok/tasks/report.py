"""What an evaluation found: numbers only, frozen, to and from JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError, DataError
from ottenok.tasks.calibration import Calibration  # noqa: TC001 - pydantic reads the types at run time

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AverageFigures", "Interval", "LabelFigures", "Report", "SourceFigures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and its interval: by a percentile bootstrap over rows, or DeLong's for areas under ROC curves.

    Attributes:
        value: The figure on the rows as they are.
        low: Lower end, or None where no interval was asked for or the figure has none.
        high: Upper end, likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFigures:
    """One label's figures.

    Attributes:
        label: Its name.
        precision: Share of its answers that are right; 0 without answers.
        recall: Share of its true rows that are found; 0 without true rows.
        f1: Their harmonic mean.
        auc: Area under the ROC curve of this label against the rest; None where all rows or none have the label.
        support: True rows.
        auc_low: Lower end of the AUC's interval; None without one.
        auc_high: Upper end, likewise.
    """

    label: str
    precision: float
    recall: float
    f1: Interval
    auc: float | None
    support: int
    auc_low: float | None = None
    auc_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageFigures:
    """Averages over labels; `macro`, `weighted` (by support) or `micro` (all answers together).

    `auc` leaves out labels whose own AUC is undefined; None where all are.
    """

    name: Literal["macro", "weighted", "micro"]
    precision: float
    recall: float
    f1: float
    auc: float | None
    support: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFigures:
    """One source's figures.

    Attributes:
        source: Its name.
        rows: Its rows.
        figures: Name to value and interval; those that follow from counts.
    """

    source: str
    rows: int
    figures: dict[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One system's figures on one set of rows.

    Attributes:
        system: What was evaluated: a model's or a baseline's name.
        scheme: Name of the label scheme.
        kind: Kind of the scheme.
        rows: Number of rows.
        labels: Figures per label, in the scheme's order.
        averages: Macro, weighted and micro averages.
        figures: Name (see `ottenok.tasks.figures`) to value and interval.
        sources: Figures per source, by name; empty where rows have no sources.
        confusion: Rows per true label (outer) and answered label (inner); empty for multi-label schemes.
        confidence: Of every interval, 0..1.
        resamples: Bootstrap resamples; 0: no intervals.
        seed: Of the resamples.
        calibration: How far the probabilities can be believed; None in reports of older versions.
        uncalibrated: The same before the temperature; None where there was none, or it is not known.
    """

    system: str
    scheme: str
    kind: Literal["multi-class", "multi-label", "ordinal"]
    rows: int
    labels: tuple[LabelFigures, ...]
    averages: tuple[AverageFigures, ...]
    figures: dict[str, Interval]
    sources: tuple[SourceFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    confidence: float
    resamples: int
    seed: int
    calibration: Calibration | None = None
    uncalibrated: Calibration | None = None

    def value(self, name: str) -> float:
        """Return one figure's value, for instance to choose the best checkpoint.

        Raises:
            ConfigError: The report has no such figure.
        """
        if name not in self.figures:
            raise ConfigError(f"there is no figure {name!r} here", hint=suggest(name, self.figures), key="metric")
        return self.figures[name].value

    def to_json(self) -> dict[str, Any]:
        """Return the report as a mapping that JSON can hold."""
        tree: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Report:
        """Read what `to_json` wrote.

        Raises:
            DataError: It is no report.
        """
        try:
            return _adapter().validate_python(tree)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise DataError(f"this is no evaluation report: {first['msg']}", key=key or None) from error


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)
