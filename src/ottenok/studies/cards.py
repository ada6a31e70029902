"""The model card's tables, made from the reports in the manifest: the same manifest gives the same card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.bundle.card import write_card
from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.core.errors import BundleError
from ottenok.tasks.tables import Grid, label_table, source_table, system_table
from ottenok.tasks.tuning import tuning_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.studies.evaluation import Evaluation
    from ottenok.tasks.report import Report

__all__ = ["card_tables", "record", "report_tables", "rewrite_card"]


def report_tables(reports: Sequence[Report], *, heading: str) -> dict[str, Grid]:
    """Return heading to table: the first system's labels, all systems, and each source where there are several."""
    model = reports[0]
    tables = {heading: label_table(model), f"{heading}: figures": system_table(reports)}
    if len(model.sources) > 1:
        tables[f"{heading}: macro F1 per source"] = source_table(reports)
        if _has_gaps(model):
            present = source_table(reports, name="macro_f1_present")
            tables[f"{heading}: macro F1 per source, over the labels that it has"] = present
    return tables


def _has_gaps(report: Report) -> bool:
    """Say whether a source lacks labels, so that the two macro averages differ."""
    if report.kind == "multi-label":
        return False
    return any(
        source.metrics["macro_f1"].value != source.metrics["macro_f1_present"].value for source in report.sources
    )


def card_tables(manifest: BundleManifest) -> dict[str, Grid]:
    """Return heading to table: every report in a manifest, its own test rows first, then what tuning did.

    Raises:
        DataError: A report in the manifest is none.
    """
    tables: dict[str, Grid] = {}
    models: dict[str, Report] = {}
    for name in sorted(manifest.metrics, key=lambda name: (name != "test", name == "validation", name)):
        reports = manifest.reports(name)
        heading = f"The corpus's {name} rows" if name in {"test", "validation"} else name
        tables |= report_tables(reports, heading=heading)
        models[heading] = reports[0]
    return tables | _belief(models) | _tuning(manifest)


def _belief(models: Mapping[str, Report]) -> dict[str, Grid]:
    """Return the calibration error of every set of rows, before and after the temperature."""
    lines = [
        (
            heading,
            "-" if report.uncalibrated is None else f"{report.uncalibrated.overall.error:.4f}",
            f"{report.calibration.overall.error:.4f}",
            f"{report.calibration.overall.chance:.4f}",
        )
        for heading, report in models.items()
        if report.calibration is not None
    ]
    header = ("calibration error", "before the temperature", "as it is", "by chance alone")
    return {"How far probabilities can be believed": Grid(header=header, rows=tuple(lines))} if lines else {}


def _tuning(manifest: BundleManifest) -> dict[str, Grid]:
    report = manifest.tuning_report()
    table = None if report is None else tuning_table(report)
    return {} if table is None else {"Tuning, label by label": table}


def rewrite_card(bundle: Bundle) -> Path:
    """Write the bundle's card anew from its manifest."""
    return write_card(bundle, {heading: grid.markdown() for heading, grid in card_tables(bundle.manifest).items()})


def record(folder: str | Path, evaluation: Evaluation) -> Bundle:
    """Keep an evaluation's reports in a bundle and write its card anew.

    Reports on the bundle's own corpus are kept under the split's name, others under the data's.

    Raises:
        BundleError: The folder is no bundle of ottenok.
    """
    bundle = open_bundle(folder)
    if not bundle.own:
        raise BundleError("ottenok did not make this classifier, so it keeps no reports", file=str(folder))
    name = _name(bundle.manifest, evaluation)
    model, *baselines = [report.to_json() for report in evaluation.reports]
    task = bundle.manifest.tasks[0].name
    changed = bundle.manifest.model_copy(
        update={
            "metrics": {**bundle.manifest.metrics, name: {task: model}},
            "baselines": {**bundle.manifest.baselines, name: {task: tuple(baselines)}},
        }
    )
    write_manifest(bundle.folder, changed)
    bundle = open_bundle(folder)
    rewrite_card(bundle)
    return bundle


def _name(manifest: BundleManifest, evaluation: Evaluation) -> str:
    own = manifest.data is not None and evaluation.corpus == manifest.data.name
    return evaluation.split if own and evaluation.split else evaluation.data
