"""Tune a trained classifier anew: temperature and thresholds on labelled rows, without training and without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ottenok.bundle.card import EARLIER
from ottenok.bundle.folder import Bundle, check_place, copy_light, open_bundle, write_manifest
from ottenok.bundle.manifest import MANIFEST
from ottenok.core.errors import BundleError, ConfigError, DataError
from ottenok.core.files import sha256_file
from ottenok.core.progress import SILENT, Progress, tracked
from ottenok.inference.api import load_bundle
from ottenok.inference.places import EMBEDDED, embedded_folder
from ottenok.studies.cards import rewrite_card
from ottenok.studies.rows import Columns, Rows, read_rows
from ottenok.tasks.calibration import logits_of, untempered
from ottenok.tasks.decision import check_fit
from ottenok.tasks.predictions import PREDICTIONS, load_predictions, predictions_file, save_predictions
from ottenok.tasks.task import Task
from ottenok.tasks.thresholds import ThresholdOptions
from ottenok.tasks.tuning import TuningOptions, TuningReport, check_tuning, fit_decision, tuning_sentences
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.data.corpus import Split
    from ottenok.tasks.decision import Decision
    from ottenok.tasks.tuning import DecisionFit

    Probabilities = npt.NDArray[np.float32]

__all__ = ["Retuned", "TuneSpec", "tune"]

# Names of reports on an earlier decision.
_OLD = re.compile(EARLIER + r"(\d+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSpec:
    """What to fit, and on what.

    Attributes:
        split: Of a corpus.
        columns: Of a file.
        temperature: Fit the temperature; not for regressions.
        thresholds: How thresholds are fitted; None: as usual in a multi-label scheme, not at all in others.
        empty: What an answer without labels becomes; None: as before.
        exclusive: The label that stands alone; None: as before, "": none.
        write: Write the new decision into the bundle; False only tells what it would be.
        out: Leave the bundle as it is, and write a copy with the new decision here: what prediction needs of it. None:
            the bundle itself.
        places: Where data sets and built corpora are.
    """

    split: Split = "validation"
    columns: Columns = field(default_factory=Columns)
    temperature: bool = True
    thresholds: ThresholdOptions | None = None
    empty: str | None = None
    exclusive: str | None = None
    write: bool = True
    out: Path | None = None
    places: Places = field(default_factory=Places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retuned:
    """What came of it.

    Attributes:
        bundle: The classifier, with the new decision if it was written.
        decision: The new decision.
        report: What the fit did.
        left_out: Reason to number of records that were not used.
    """

    bundle: Bundle
    decision: Decision
    report: TuningReport
    left_out: dict[str, int]


def tune(
    model: str | Path | None, data: str | Path, *, spec: TuneSpec | None = None, progress: Progress = SILENT
) -> Retuned:
    """Fit a classifier's decision anew and write it into its folder, whole or not at all.

    The reports that the manifest had are kept as `NAME, before tuning N`: they are of the old decision. Kept
    predictions are brought to the new temperature.

    Args:
        model: The folder of a classifier that ottenok trained; None or `default`: the embedded one, of which only a
            copy is tuned.
        data: Labelled rows that it was not trained on: a corpus folder, a file, or a corpus recipe.
        spec: What to fit, and on what.
        progress: Whom to tell.

    Raises:
        BundleError: The folder is no bundle of ottenok, or was altered; or a copy has no place, or no graph.
        ConfigError: What is asked for does not fit the scheme or the model.
        DataError: The rows are the model's own training or test rows, or there are too few.
        SchemeError: The labels of the data don't lead to the model's, or there is no such label.
    """
    spec = spec or TuneSpec()
    if model in {None, EMBEDDED} and spec.write and spec.out is None:
        raise ConfigError(
            "the embedded classifier belongs to the installed package, which is not changed",
            hint="Tune a copy of it: -o FOLDER.",
        )
    if spec.write and spec.out is not None:
        check_place(spec.out)  # before thousands of rows are read
    # Every checksum: the manifest is written anew, and must not vouch for files that were altered.
    bundle = open_bundle(embedded_folder() if model in {None, EMBEDDED} else str(model), full=True)
    if not bundle.own:
        raise BundleError(f"ottenok did not make this classifier, so it has no {MANIFEST} to tune", file=str(model))
    decision, options = _start(bundle.manifest, spec)
    rows = read_rows(
        data,
        bundle.manifest.scheme.canonical_scheme(),
        split=spec.split,
        columns=spec.columns,
        places=spec.places,
        progress=progress,
    )
    _refuse_own(bundle, Path(data), rows)
    probs = _probabilities(bundle, rows, progress)
    read = probs.any(axis=1)
    fit = fit_decision(
        Task.of(bundle.manifest.scheme.scheme(), decision),
        logits_of(probs[read], decision.activation) * decision.temperature,
        rows.test.truth[read],
        options=replace(options, data=rows.name),
    )
    if spec.write:
        bundle = _write(bundle if spec.out is None else copy_light(bundle, spec.out), fit)
    return Retuned(bundle=bundle, decision=fit.decision, report=fit.report, left_out=rows.left_out)


def _start(manifest: BundleManifest, spec: TuneSpec) -> tuple[Decision, TuningOptions]:
    """Return the decision that the fit begins at, and what is fitted."""
    scheme, old = manifest.scheme.scheme(), manifest.decision
    decision = replace(
        old,
        empty=old.empty if spec.empty is None else spec.empty,
        exclusive=old.exclusive if spec.exclusive is None else spec.exclusive,
    )
    check_fit(decision, scheme)
    check_tuning(spec.thresholds, scheme)
    temperature = spec.temperature and decision.activation != "regression"
    if temperature and manifest.window.combine != "mean-logits":
        raise ConfigError(
            "this classifier averages probabilities of windows, so that a temperature can't be found from its answers",
            hint="Tune its thresholds alone, with --no-temperature.",
        )
    thresholds = spec.thresholds or (ThresholdOptions() if scheme.kind == "multi-label" else None)
    if not temperature and thresholds is None:
        raise ConfigError("there is nothing to fit", hint="A scheme with one label a row has a temperature only.")
    return decision, TuningOptions(temperature=temperature, thresholds=thresholds)


def _refuse_own(bundle: Bundle, data: Path, rows: Rows) -> None:
    """Refuse rows that the model learned from, and rows that its test figures are made of.

    Raises:
        DataError: They are such rows.
    """
    facts = bundle.manifest.data
    if facts is None:
        return
    if rows.corpus == facts.name and rows.split != "validation":
        raise _own(f"the {rows.split} rows of its own corpus")
    known = {digest for source in facts.sources for digest in source.files.values()}
    if data.is_file() and data.suffix != ".toml" and sha256_file(data) in known:
        raise _own("a file that it was trained or tested on")
    kept = predictions_file(bundle.folder, "test")
    if kept.is_file() and not set(load_predictions(kept).ids).isdisjoint(rows.ids):
        raise _own("rows that it was tested on")


def _own(what: str) -> DataError:
    return DataError(
        f"a model can't be tuned on {what}: the figures would flatter it",
        hint="Tune on validation rows, or on rows of your own that it has never seen.",
    )


def _probabilities(bundle: Bundle, rows: Rows, progress: Progress) -> Probabilities:
    texts = rows.test.texts
    stream = load_bundle(bundle).stream(texts)
    stage = tracked(stream, progress, "classifying", total=len(texts), unit="texts")
    return np.array([list(prediction.probabilities.values()) for prediction in stage], dtype=np.float32)


def _write(bundle: Bundle, fit: DecisionFit) -> Bundle:
    manifest = bundle.manifest
    report, task = manifest.tuning_report(), manifest.tasks[0].name
    old = () if report is None else tuning_sentences(report)
    notes = (*(note for note in manifest.notes if note not in old), *tuning_sentences(fit.report))
    number = 1 + max((int(found[1]) for found in map(_OLD.search, manifest.metrics) if found), default=0)
    changed = manifest.with_decisions({task: fit.decision}).model_copy(
        update={
            "tuning": {**manifest.tuning, task: fit.report.to_json()},
            "notes": notes,
            "metrics": {_kept(name, number): report for name, report in manifest.metrics.items()},
            "baselines": {_kept(name, number): reports for name, reports in manifest.baselines.items()},
        }
    )
    write_manifest(bundle.folder, changed)
    _temper_predictions(bundle.folder, fit)
    written = open_bundle(bundle.folder)
    rewrite_card(written)
    return written


def _kept(name: str, number: int) -> str:
    return name if _OLD.search(name) else f"{name}{EARLIER}{number}"


def _temper_predictions(folder: Path, fit: DecisionFit) -> None:
    """Bring kept predictions to the new temperature: they are what comparisons and reports are made from."""
    found = fit.report.temperature
    if found is None or found.temperature == 1.0:
        return
    for file in sorted((folder / PREDICTIONS).glob("*.parquet")):
        kept = load_predictions(file)
        probs = untempered(kept.probs, fit.decision.activation, 1.0 / found.temperature)
        save_predictions(file, replace(kept, probs=probs))
