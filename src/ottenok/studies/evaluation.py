"""Evaluate a model on labelled rows, in one table with the baselines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, Progress, tracked
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier
from ottenok.studies.cards import report_tables
from ottenok.studies.rows import Columns, Rows, read_rows
from ottenok.studies.stress import CleanRows, StressSpec, UnderNoise, stress_table, under_noise
from ottenok.tasks.baselines import LabelledTexts, baseline_reports
from ottenok.tasks.paired import PairedOptions
from ottenok.tasks.predictions import Predictions, save_predictions
from ottenok.tasks.report import EvaluationOptions
from ottenok.tasks.report import evaluate as measure
from ottenok.tasks.task import Task
from ottenok.tasks.tuning import fitted_temperature
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Split
    from ottenok.tasks.decision import Decision
    from ottenok.tasks.report import Report
    from ottenok.tasks.tables import Grid

__all__ = ["Evaluation", "EvaluationSpec", "evaluate", "evaluate_on"]

# A linear baseline learns little more from more rows, and takes its time.
_BASELINE_ROWS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """What to evaluate on, and how.

    Attributes:
        split: Of a corpus.
        columns: Of a file.
        baselines: Whether to fit baselines on the corpus's training rows.
        resamples: Bootstrap resamples of the intervals; 0: none.
        seed: Of the resamples, of noise, and of the rows that baselines are fitted on, of more than 100,000.
        stress: Noise to measure the model under as well.
        predictions: File to write the model's probabilities to; see `ottenok.tasks.predictions`.
        places: Where data sets and built corpora are.
    """

    split: Split = "test"
    columns: Columns = field(default_factory=Columns)
    baselines: bool = True
    resamples: int = 1000
    seed: int = 0
    stress: StressSpec = field(default_factory=StressSpec)
    predictions: Path | None = None
    places: Places = field(default_factory=Places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came out.

    Attributes:
        data: What the rows are, for headings.
        corpus: The corpus's name; None for a file.
        split: Of the corpus; None for a file.
        reports: The model's first, then the baselines'.
        left_out: Reason to number of records that could not be evaluated.
        notes: What a reader should know, a sentence each.
        under_noise: The model on clean texts and under each noise that was asked for; empty if none was.
    """

    data: str
    corpus: str | None
    split: Split | None
    reports: tuple[Report, ...]
    left_out: dict[str, int]
    notes: tuple[str, ...]
    under_noise: tuple[UnderNoise, ...] = ()

    def tables(self) -> dict[str, Grid]:
        """Return heading to table, as for the model card."""
        heading = f"{self.reports[0].system} on {self.data}"
        noise = {f"{heading}: under noise": stress_table(self.under_noise)} if self.under_noise else {}
        return report_tables(self.reports, heading=heading) | noise

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as a mapping that JSON can hold."""
        return {
            "data": self.data,
            "corpus": self.corpus,
            "split": self.split,
            "reports": [report.to_json() for report in self.reports],
            "left_out": self.left_out,
            "notes": list(self.notes),
            "under_noise": [result.to_json() for result in self.under_noise],
        }


def evaluate(
    model: Classifier | str | Path | None,
    data: str | Path,
    *,
    spec: EvaluationSpec | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Evaluate a model.

    Args:
        model: A classifier, or what `ottenok.load` takes.
        data: A corpus folder, a file with texts and labels, or a corpus recipe.
        spec: What to evaluate on, and how; None: the test split, with baselines and intervals.
        progress: Whom to tell.

    Raises:
        OttenokError: The model or the data can't be used; see `ottenok.load` and `ottenok.studies.rows`.
    """
    spec = spec or EvaluationSpec()
    classifier = model if isinstance(model, Classifier) else load(model, cache=spec.places.cache, progress=progress)
    scheme = classifier.manifest.scheme.canonical_scheme()
    rows = read_rows(data, scheme, split=spec.split, columns=spec.columns, places=spec.places, progress=progress)
    return evaluate_on(classifier, rows, spec=spec, progress=progress)


def evaluate_on(classifier: Classifier, rows: Rows, *, spec: EvaluationSpec, progress: Progress = SILENT) -> Evaluation:
    """Evaluate a classifier on rows that are read already; see `evaluate`."""
    scheme, decision = classifier.manifest.scheme.canonical_scheme(), classifier.manifest.decision
    if spec.baselines and rows.train is not None:
        require("sklearn", extra="data")  # said before the long work, not after it
    options = EvaluationOptions(
        system=classifier.manifest.name,
        resamples=spec.resamples,
        seed=spec.seed,
        temperature=fitted_temperature(classifier.manifest.tuning_report()),
    )
    clean = CleanRows(
        texts=rows.test.texts,
        truth=rows.test.truth,
        probs=_probabilities(classifier, rows.test.texts, progress),
        scheme=scheme,
        decision=_in_terms_of(decision, classifier.scheme, scheme),
        read=lambda texts: _probabilities(classifier, texts, progress),
    )
    task = Task.of(scheme, clean.decision)
    report = measure(task, clean.truth, clean.probs, sources=rows.test.sources, options=options)
    if spec.predictions is not None:
        _keep(spec.predictions, rows, clean, classifier)
    paired = PairedOptions(resamples=spec.resamples, permutations=0, seed=spec.seed)
    noisy = under_noise(clean, spec.stress.changes(spec.seed), paired)
    baselines, notes = _baselines(rows, spec, options, task, progress=progress, tuned=bool(decision.thresholds))
    return Evaluation(
        data=rows.name,
        corpus=rows.corpus,
        split=rows.split,
        reports=(report, *baselines),
        left_out=rows.left_out,
        notes=(*classifier.manifest.notes, *notes),
        under_noise=noisy,
    )


def _keep(file: Path, rows: Rows, clean: CleanRows, classifier: Classifier) -> None:
    found = Predictions(
        ids=rows.ids,
        sources=tuple(rows.test.sources or [""] * len(rows.ids)),
        labels=clean.scheme.labels,
        truth=clean.truth,
        probs=clean.probs,
        system=classifier.manifest.name,
        scheme=clean.scheme.name,
    )
    save_predictions(file, found)


def _baselines(
    rows: Rows,
    spec: EvaluationSpec,
    options: EvaluationOptions,
    task: Task,
    *,
    tuned: bool,
    progress: Progress,
) -> tuple[tuple[Report, ...], tuple[str, ...]]:
    """Return the reports of the baselines, and what a reader should know of them."""
    if not spec.baselines:
        return (), ()
    if rows.train is None:
        return (), ("There are no baselines, because these rows come without training rows.",)
    train = _sample(rows.train, spec.seed)
    note = f"The baselines were fitted on {len(train.texts):,} of {len(rows.train.texts):,} training rows."
    tuning = rows.tuning if tuned else None
    reports = baseline_reports(
        task,
        train,
        rows.test,
        options=options,
        tuning=tuning,
        progress=progress,
    )
    return reports, (note,)


def _in_terms_of(decision: Decision, own: LabelScheme, scheme: LabelScheme) -> Decision:
    """Return the decision with its fallback label and its exclusive one as `scheme` spells them."""
    spelt = dict(zip(own.labels, scheme.labels, strict=True))
    return replace(
        decision,
        empty=spelt.get(decision.empty, decision.empty),
        exclusive=spelt.get(decision.exclusive, decision.exclusive),
    )


def _probabilities(classifier: Classifier, texts: Sequence[str], progress: Progress) -> npt.NDArray[np.float32]:
    stage = tracked(classifier.stream(texts), progress, "classifying", total=len(texts), unit="texts")
    return np.array([list(prediction.probabilities.values()) for prediction in stage], dtype=np.float32)


def _sample(rows: LabelledTexts, seed: int) -> LabelledTexts:
    """Return at most 100,000 rows, drawn by the seed, in their order."""
    if len(rows.texts) <= _BASELINE_ROWS:
        return rows
    chosen = np.sort(np.random.default_rng(seed).choice(len(rows.texts), _BASELINE_ROWS, replace=False))
    sources = rows.sources
    return LabelledTexts(
        texts=[rows.texts[i] for i in chosen],
        truth=rows.truth[chosen],
        sources=None if sources is None else [sources[i] for i in chosen],
    )
