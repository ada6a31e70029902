"""What a report is made from; `ottenok.studies.reporting` gathers it, so this room reads no models and no data."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.decision import Decision
    from ottenok.tasks.predictions import Predictions
    from ottenok.tasks.report import Report

__all__ = ["Measured", "ReportInputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A model's figures on one set of rows.

    Attributes:
        name: Short and unique, for ids and file names: `test`, `validation`.
        title: For headings.
        origin: Where the figures come from, a sentence.
        report: The figures.
        baselines: Those of baselines on the same rows.
        predictions: Each row's probabilities, columns in the scheme's order; None where only the figures are known.
        texts: Row id to text; empty where texts are not at hand.
    """

    name: str
    title: str
    origin: str
    report: Report
    baselines: tuple[Report, ...] = ()
    predictions: Predictions | None = None
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Everything that a report shows.

    Attributes:
        title: Of the page.
        manifest: Of the model.
        scheme: The labels, as ottenok spells them.
        decision: How probabilities become answers, in the terms of `scheme`.
        temperature: That was fitted, whether it is in the weights already or not; None if unknown.
        history: The rows of `history.jsonl`; empty if there is none.
        sets: Sets of rows, the most important one first.
        mistakes: How many of the worst mistakes are listed for each set.
        notes: What a reader should know, a sentence each.
    """

    title: str
    manifest: BundleManifest
    scheme: LabelScheme
    decision: Decision
    temperature: float | None = None
    history: tuple[Mapping[str, float], ...] = ()
    sets: tuple[Measured, ...] = ()
    mistakes: int = 30
    notes: tuple[str, ...] = ()
