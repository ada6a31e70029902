"""The model card's tables, made from the reports in the manifest: the same manifest gives the same card."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ottenok.bundle.card import write_card
from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.core.errors import BundleError
from ottenok.core.schemes import LEARNED_ROWS
from ottenok.studies.robustness import UnderNoise, noise_table
from ottenok.tasks.tables import Grid, label_table, source_table, system_table
from ottenok.tasks.tuning import tuning_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.studies.evaluation import Evaluation
    from ottenok.tasks.report import Report

__all__ = ["card_tables", "cell_table", "record", "report_tables", "rewrite_card"]


def report_tables(
    reports: Sequence[Report], *, heading: str, training: Mapping[str, Mapping[str, int]] | None = None
) -> dict[str, Grid]:
    """Return heading to table: the first system's labels, all systems, each source and each language.

    Args:
        reports: Of one task on the same rows, the model's first.
        heading: Begins every heading.
        training: Language to label to training rows, where they are known.
    """
    model = reports[0]
    tables = {heading: label_table(model), f"{heading}: figures": system_table(reports)}
    if len(model.sources) > 1:
        tables[f"{heading}: macro F1 per source"] = source_table(reports)
        # Where a source lacks labels the two macro averages differ.
        names = ("macro_f1", "macro_f1_present")
        if model.kind != "multi-label" and any(
            one.metrics[names[0]].value != one.metrics[names[1]].value for one in model.sources
        ):
            present = source_table(reports, name=names[1])
            tables[f"{heading}: macro F1 per source, over the labels that it has"] = present
    cells = cell_table(model, training or {})
    if len({cell.language for cell in model.cells}) > 1 or any("not learned" in row[-1] for row in cells.rows):
        tables[f"{heading}: F1 per language and label"] = cells
    return tables


def cell_table(report: Report, training: Mapping[str, Mapping[str, int]]) -> Grid:
    """Return a row per language and label that has rows: its F1, its rows, and whether training could teach it.

    Args:
        report: With cells; without them the table is empty.
        training: Language to label to training rows; empty: unknown.
    """
    rows = []
    for cell in report.cells:
        seen = training.get(cell.language, {}).get(cell.label, 0)
        if not cell.rows and not seen:
            continue
        told = f"{seen:,}" if seen >= LEARNED_ROWS else f"{seen:,}: not learned"
        f1 = f"{cell.f1:.3f}" if cell.rows else "-"
        rows.append((f"{cell.language or '?'}, {cell.label}", f1, f"{cell.rows:,}", told if training else "unknown"))
    return Grid(header=("language, label", "F1", "rows", "training rows"), rows=tuple(rows))


def card_tables(manifest: BundleManifest) -> dict[str, Grid]:
    """Return heading to table: every report in a manifest, its own test rows first, then what tuning did.

    Raises:
        DataError: A report in the manifest is none.
    """
    tables: dict[str, Grid] = {}
    belief = []
    several = len(manifest.tasks) > 1
    for name in sorted(manifest.metrics, key=lambda name: (name != "test", name == "validation", name)):
        for task in manifest.metrics[name]:
            reports = manifest.reports(name, task)
            heading = _place(name) + (f", {task}" if several else "")
            training = manifest.data.cells.get(task) if manifest.data else None
            tables |= report_tables(reports, heading=heading, training=training)
            now, before = reports[0].calibration, reports[0].uncalibrated
            if now is not None:
                was = "-" if before is None else f"{before.overall.error:.4f}"
                belief.append((heading, was, f"{now.overall.error:.4f}", f"{now.overall.chance:.4f}"))
    for name, by_task in manifest.robustness.items():
        for task, results in by_task.items():
            rows = noise_table([UnderNoise.from_json(one) for one in results])
            tables[f"{_place(name)}{f', {task}' if several else ''}: when texts are changed"] = rows
    if belief:
        header = ("calibration error", "before the temperature", "as it is", "by chance alone")
        tables["How far probabilities can be believed"] = Grid(header=header, rows=tuple(belief))
    for task in manifest.tuning:
        report = manifest.tuning_report(task)
        table = None if report is None else tuning_table(report)
        if table is not None:
            tables["Tuning, label by label" + (f", {task}" if several else "")] = table
    return tables


def _place(name: str) -> str:
    return f"The corpus's {name} rows" if name in {"test", "validation"} else name


def rewrite_card(bundle: Bundle) -> Path:
    """Write the bundle's card anew from its manifest."""
    return write_card(bundle, {heading: grid.markdown() for heading, grid in card_tables(bundle.manifest).items()})


def record(folder: str | Path, evaluation: Evaluation, *, reports: bool = True) -> Bundle:
    """Keep an evaluation in a bundle and write its card anew.

    What is of the bundle's own corpus is kept under the split's name, the rest under the data's.

    Args:
        folder: Of the bundle.
        evaluation: What was measured.
        reports: Whether its reports are kept, or only what changes of the texts did.

    Raises:
        BundleError: The folder is no bundle of ottenok.
    """
    bundle = open_bundle(folder)
    if not bundle.own:
        raise BundleError("ottenok did not make this classifier, so it keeps no reports", file=str(folder))
    manifest = bundle.manifest
    home = manifest.data is not None and evaluation.corpus == manifest.data.name
    name = evaluation.split if home and evaluation.split else evaluation.data
    kept: dict[str, dict[str, Any]] = {
        key: dict(getattr(manifest, key)) for key in ("metrics", "baselines", "robustness")
    }
    if reports:
        own = {task: model.to_json() for task, (model, *_) in evaluation.tasks.items()}
        others = {task: tuple(one.to_json() for one in rest) for task, (_, *rest) in evaluation.tasks.items()}
        kept["metrics"][name] = {**kept["metrics"].get(name, {}), **own}
        kept["baselines"][name] = {**kept["baselines"].get(name, {}), **others}
        # True shares are computed from validation rows, and from others only where there were none.
        kept["answers"] = dict(manifest.answers)
        for task, counts in evaluation.answers.items():
            if (home and name == "validation") or task not in manifest.answers:
                kept["answers"][task] = counts
    if noisy := {task: tuple(map(asdict, found)) for task, found in evaluation.under_noise.items() if found}:
        kept["robustness"][name] = {**kept["robustness"].get(name, {}), **noisy}
    write_manifest(bundle.folder, manifest.model_copy(update=kept))
    bundle = open_bundle(folder)
    rewrite_card(bundle)
    return bundle
