"""The areas under the ROC curves of a report: per label and averaged, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.tasks.auc import area
from ottenok.tasks.delong import area_interval, area_parts
from ottenok.tasks.report import Interval

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Areas", "measure_areas"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """Areas under ROC curves; None where one is undefined: all rows or none have the label.

    Attributes:
        labels: Each label against the rest.
        macro: Their mean; undefined labels are left out.
        weighted: Their mean by support, likewise.
        micro: Of all claims of all labels together.
    """

    labels: tuple[Interval | None, ...]
    macro: Interval | None
    weighted: Interval | None
    micro: Interval | None


def measure_areas(probs: Probabilities, truth: Mask, *, confidence: float | None) -> Areas:
    """Return the areas of a report.

    Args:
        probs: float32 `[rows, labels]`.
        truth: bool `[rows, labels]`.
        confidence: Of the intervals (DeLong's, see `ottenok.tasks.delong`); None: no intervals.
    """
    values = [area(probs[:, i], truth[:, i]) for i in range(truth.shape[1])]
    parts = [_parts(probs[:, i], truth[:, i], confidence) for i in range(truth.shape[1])]
    labels = tuple(_interval(value, part, confidence) for value, part in zip(values, parts, strict=True))
    every = _parts(probs.ravel(), truth.ravel(), confidence)
    # A row's claims stand and fall together.
    by_row = None if every is None else every.reshape(truth.shape).mean(axis=1)
    return Areas(
        labels=labels,
        macro=_mean(values, parts, np.ones(truth.shape[1]), confidence),
        weighted=_mean(values, parts, truth.sum(axis=0).astype(np.float64), confidence),
        micro=_interval(area(probs.ravel(), truth.ravel()), by_row, confidence),
    )


def _parts(scores: Probabilities, truth: Mask, confidence: float | None) -> Floats | None:
    return None if confidence is None else area_parts(scores, truth)


def _interval(value: float | None, parts: Floats | None, confidence: float | None) -> Interval | None:
    if value is None:
        return None
    if parts is None or confidence is None:
        return Interval(value=value)
    low, high = area_interval(value, parts, confidence)
    return Interval(value=value, low=low, high=high)


def _mean(
    values: list[float | None], parts: list[Floats | None], weights: Floats, confidence: float | None
) -> Interval | None:
    """Return the weighted mean of the areas that are defined."""
    known = [(value, weight) for value, weight in zip(values, weights.tolist(), strict=True) if value is not None]
    total = sum(weight for _, weight in known)
    if not total:
        return None
    value = sum(value * weight for value, weight in known) / total
    told = [part * weight / total for part, weight in zip(parts, weights.tolist(), strict=True) if part is not None]
    return _interval(value, np.sum(told, axis=0) if told else None, confidence)
