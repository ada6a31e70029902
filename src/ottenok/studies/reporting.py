"""A model's report: gathers its folder, its predictions and, if asked, a corpus, and has them drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.bundle.folder import open_bundle
from ottenok.core.errors import ConfigError, DataError
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, tracked
from ottenok.inference.api import load_bundle
from ottenok.inference.places import find_folder
from ottenok.studies.report.folder import check_target, write_report
from ottenok.studies.report.inputs import Measured, ReportInputs
from ottenok.studies.report_rows import SPLITS, kept_predictions, named_corpus, texts_of
from ottenok.studies.rows import Columns, read_rows
from ottenok.tasks.predictions import Predictions
from ottenok.tasks.report import EvaluationOptions, Report, evaluate
from ottenok.tasks.task import Task
from ottenok.tasks.tuning import fitted_temperature
from ottenok.training.history import HISTORY_FILE, read_history
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.bundle.folder import Bundle
    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.progress import Progress
    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Split
    from ottenok.studies.report.folder import WrittenReport
    from ottenok.tasks.decision import Decision

__all__ = ["ReportSpec", "report"]

_NOTE = re.compile(r"Temperature ([0-9.]+), fitted on")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSpec:
    """What to report on, and how.

    Attributes:
        data: A corpus folder, a corpus recipe's name, or a file with texts and labels; None: the model's folder alone.
        split: Of the corpus, where the model has to be run on it.
        columns: Of a file.
        title: Of the page; None: made from the model's name.
        mistakes: How many of the worst mistakes are listed for each set of rows; 0: none.
        resamples: Bootstrap resamples of the intervals; 0: none.
        seed: Of the resamples.
        places: Where data sets and built corpora are.
    """

    data: str | Path | None = None
    split: Split = "test"
    columns: Columns = field(default_factory=Columns)
    title: str | None = None
    mistakes: int = 30
    resamples: int = 1000
    seed: int = 0
    places: Places = field(default_factory=Places)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A model as a report sees it: labels as ottenok spells them, and the decision in their terms."""

    bundle: Bundle
    scheme: LabelScheme
    decision: Decision
    temperature: float | None
    spec: ReportSpec


def report(
    model: str | Path | None,
    out: str | Path | None = None,
    *,
    spec: ReportSpec | None = None,
    progress: Progress = SILENT,
) -> WrittenReport:
    """Write a model's report: `report.html`, `report.json`, and each plot as SVG and PNG.

    Figures come from the predictions that training kept in the model's folder. Where there are none for the data that
    is named, the model is run on it. Texts of mistakes are shown only where data is named.

    Args:
        model: A trained classifier's folder, a name on the hub, or None for the one that ottenok ships.
        out: The report's folder; None: the model's name with `-report`, in the working directory.
        spec: What to report on, and how.
        progress: Whom to tell.

    Raises:
        ConfigError: The folder holds something else than an earlier report, or belongs to the model.
        MissingExtraError: The extra `report` is not installed.
        OttenokError: The model or the data can't be used.
    """
    spec = spec or ReportSpec()
    for package in ("matplotlib", "jinja2"):
        require(package, extra="report")  # said before the long work, not after it
    bundle = open_bundle(find_folder(model, cache=spec.places.cache, progress=progress))
    target = Path(out) if out is not None else Path(f"{bundle.folder.resolve().name}-report")
    _check_outside(target, bundle)
    check_target(target)
    return write_report(target, _inputs(bundle, spec, progress), progress=progress)


def _check_outside(target: Path, bundle: Bundle) -> None:
    """Refuse a folder inside the model's: its files have checksums, and whoever gets the model would get the texts."""
    home = bundle.folder.resolve()
    if home in (target.resolve(), *target.resolve().parents):
        raise ConfigError(
            "a report can't be inside the model's own folder", hint="Name another one with -o.", file=str(target)
        )


def _inputs(bundle: Bundle, spec: ReportSpec, progress: Progress) -> ReportInputs:
    manifest, scheme = bundle.manifest, bundle.manifest.scheme.canonical_scheme()
    model = _Model(
        bundle=bundle,
        scheme=scheme,
        decision=_in_terms_of(manifest, scheme),
        temperature=_temperature(manifest),
        spec=spec,
    )
    return ReportInputs(
        title=spec.title or f"{manifest.name}: report",
        manifest=manifest,
        scheme=scheme,
        decision=model.decision,
        temperature=model.temperature,
        history=tuple(_history(bundle.folder)),
        sets=tuple(_sets(model, progress)),
        mistakes=spec.mistakes,
    )


def _in_terms_of(manifest: BundleManifest, scheme: LabelScheme) -> Decision:
    """Return the decision with its fallback label as `scheme` spells it."""
    decision, own = manifest.decision, manifest.scheme.labels
    if decision.empty in own:
        return replace(decision, empty=scheme.labels[own.index(decision.empty)])
    return decision


def _temperature(manifest: BundleManifest) -> float | None:
    """Return the temperature that was fitted, also where it is in the weights already; None if unknown."""
    if (tuned := fitted_temperature(manifest.tuning_report())) is not None:
        return tuned
    if manifest.decision.temperature != 1.0:
        return manifest.decision.temperature
    # Manifests of older versions say it in words only.
    found = [match for note in manifest.notes if (match := _NOTE.match(note))]
    return float(found[0][1]) if found else None


def _history(folder: Path) -> list[dict[str, float]]:
    if not (folder / HISTORY_FILE).is_file():
        return []
    try:
        return read_history(folder)
    except (OSError, ValueError) as error:
        raise DataError(f"the table of epochs can't be read: {error}", file=str(folder / HISTORY_FILE)) from error


def _sets(model: _Model, progress: Progress) -> list[Measured]:
    """Return the sets of rows: the data that was named, then what training kept, then what the manifest records."""
    kept = kept_predictions(model.bundle.folder, model.scheme)
    corpus = named_corpus(model.spec.data, model.spec.places, progress)
    texts = {} if corpus is None else {name: texts_of(corpus, rows) for name, rows in kept.items()}
    asked = kept.get(model.spec.split)
    covered = asked is not None and len(texts.get(model.spec.split, ())) == len(asked)
    found = [] if model.spec.data is None or covered else [_run(model, kept, progress)]
    for name, rows in kept.items():
        origin = f"From predictions/{name}.parquet in the model's folder: what it gave when its training ended."
        found.append(
            _measured(
                model, rows, name=name, title=f"{name.capitalize()} rows", origin=origin, texts=texts.get(name, {})
            )
        )
    recorded = [name for name in model.bundle.manifest.metrics if name not in {one.name for one in found}]
    return [*found, *(_recorded(model, name, place) for place, name in enumerate(recorded, start=1))]


def _run(model: _Model, kept: Mapping[str, Predictions], progress: Progress) -> Measured:
    """Run the model on the data that was named; a split of its own corpus goes by the split's name."""
    spec, data = model.spec, model.bundle.manifest.data
    rows = read_rows(
        str(spec.data), model.scheme, split=spec.split, columns=spec.columns, places=spec.places, progress=progress
    )
    classifier = load_bundle(model.bundle)
    texts = list(rows.test.texts)
    probs = classifier.predict_proba(tracked(texts, progress, "classifying", total=len(texts), unit="texts"))
    predictions = Predictions(
        ids=rows.ids,
        sources=tuple(rows.test.sources or ("",) * len(texts)),
        labels=model.scheme.labels,
        truth=rows.test.truth,
        probs=probs,
    )
    own = data is not None and data.name == rows.corpus and rows.split not in kept
    left_out = "".join(f" {count:,} rows were left out: {reason}." for reason, count in rows.left_out.items())
    return _measured(
        model,
        predictions,
        name=rows.split if own and rows.split else "named",
        title=rows.name,
        origin=f"{len(texts):,} texts, classified for this report with {classifier.backend.name}.{left_out}",
        texts=dict(zip(rows.ids, texts, strict=True)),
    )


def _measured(
    model: _Model, rows: Predictions, *, name: str, title: str, origin: str, texts: Mapping[str, str]
) -> Measured:
    manifest, spec = model.bundle.manifest, model.spec
    found = evaluate(
        Task.of(model.scheme, model.decision),
        rows.truth,
        rows.probs,
        sources=rows.sources if any(rows.sources) else None,
        options=EvaluationOptions(
            system=manifest.name, resamples=spec.resamples, seed=spec.seed, temperature=model.temperature
        ),
    )
    baselines = manifest.baseline_reports(name)
    return Measured(
        name=name,
        title=title,
        origin=origin,
        report=found,
        baselines=tuple(one for one in baselines if _rows_of(one) == _rows_of(found)),
        predictions=rows,
        texts=texts,
    )


def _rows_of(one: Report) -> tuple[object, ...]:
    """Return what tells a report's rows from others; reports of different rows stand in no table together."""
    return (
        one.rows,
        tuple((source.source, source.rows) for source in one.sources),
        tuple(label.support for label in one.labels),
    )


def _recorded(model: _Model, name: str, place: int) -> Measured:
    """Return a report of the manifest whose rows are not at hand."""
    manifest = model.bundle.manifest
    found, *baselines = manifest.reports(name)
    return Measured(
        name=name if name in SPLITS else f"recorded-{place}",
        title=f"{name.capitalize()} rows" if name in SPLITS else name,
        origin="As recorded in the model's manifest.",
        report=found,
        baselines=tuple(one for one in baselines if _rows_of(one) == _rows_of(found)),
    )
