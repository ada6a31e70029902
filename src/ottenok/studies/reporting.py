"""A model's report: gathers its folder, its predictions and, if asked, a corpus, has them drawn, and writes them.

The folder of a report holds `report.html`, `report.json`, and `plots/NAME.svg` and `.png`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.bundle.folder import open_bundle
from ottenok.core.errors import BundleError, ConfigError, DataError
from ottenok.core.files import atomic_folder
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT
from ottenok.core.version import __version__
from ottenok.data.corpus import Corpus
from ottenok.inference.api import load_bundle
from ottenok.inference.places import find_folder
from ottenok.studies.report.page import page
from ottenok.studies.report.sections import Measured, ReportInputs, TaskInputs, build_sections
from ottenok.studies.rows import Columns, open_data, row_probabilities, task_rows
from ottenok.tasks.predictions import Predictions, load_predictions, prediction_files
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import find_task
from ottenok.tasks.tuning import fitted_temperature
from ottenok.training.folder import HISTORY_FILE, read_history
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ottenok.bundle.folder import Bundle
    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.progress import Progress
    from ottenok.data.corpus import Split
    from ottenok.explain.explanation import Explanation
    from ottenok.tasks.report import Report
    from ottenok.tasks.task import Task

__all__ = ["WrittenReport", "report", "write_report"]

_USUAL = Columns()
_HOME = Places()
_PAGE, _NUMBERS, _PLOTS = "report.html", "report.json", "plots"
_KIND = "ottenok-report"
_FORMAT = 1
_SPLITS: tuple[Split, ...] = ("test", "validation")
_NOTE = re.compile(r"Temperature ([0-9.]+), fitted on")


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


def report(  # noqa: PLR0913 - an option each
    model: str | Path | None,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    split: Split = "test",
    columns: Columns = _USUAL,
    tasks: Sequence[str] = (),
    title: str | None = None,
    mistakes: int = 30,
    resamples: int = 1000,
    seed: int = 0,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> WrittenReport:
    """Write a model's report: `report.html`, `report.json`, and each plot as SVG and PNG.

    Metrics come from the predictions that training kept in the model's folder, task by task. Where there are none for
    the data that is named, the model is run on it. Texts of mistakes are shown only where data is named.

    Args:
        model: A trained classifier's folder, a name on the hub, or None for the one that ottenok ships.
        out: The report's folder; None: the model's name with `-report`, in the working directory.
        data: A corpus folder, a corpus recipe's name, or a file with texts and labels; None: the model's folder alone.
        split: Of the corpus, where the model has to be run on it.
        columns: Where a file has its texts and labels.
        tasks: Names of the tasks to report on; empty: all.
        title: Of the page; None: made from the model's name.
        mistakes: How many of the worst mistakes are listed for each set of rows; 0: none.
        resamples: Bootstrap resamples of the 95 % intervals; 0: none.
        seed: Of the resamples.
        places: Where data sets and built corpora are.
        progress: Whom to tell.

    Raises:
        ConfigError: The folder holds something else than an earlier report, or belongs to the model.
        MissingExtraError: The extra `report` is not installed.
        OttenokError: The model or the data can't be used.
    """
    for package in ("matplotlib", "jinja2", "sklearn"):
        require(package, extra="report")  # said before the long work, not after it
    bundle = open_bundle(find_folder(model, cache=places.cache, progress=progress))
    target = Path(out) if out is not None else Path(f"{bundle.folder.resolve().name}-report")
    home = bundle.folder.resolve()
    if home in (target.resolve(), *target.resolve().parents):
        # Its files have checksums, and whoever gets the model would get the texts.
        told = "a report can't be inside the model's own folder"
        raise ConfigError(told, hint="Name another one with -o.", file=str(target))
    _check_target(target)
    manifest = bundle.manifest
    listed = manifest.task_list(canonical=True)
    chosen = [find_task(listed, name) for name in tasks] or list(listed)
    file = bundle.folder / HISTORY_FILE
    try:
        history = read_history(bundle.folder) if file.is_file() else []
    except (OSError, ValueError) as error:
        raise DataError(f"the table of epochs can't be read: {error}", file=str(file)) from error
    options = EvaluationOptions(system=manifest.name, resamples=resamples, seed=seed)
    sets = _sets(bundle, chosen, data, split, columns, places, options, progress)
    inputs = ReportInputs(
        title=title or f"{manifest.name}: report",
        manifest=manifest,
        tasks=tuple(
            TaskInputs(task=task, temperature=_temperature(manifest, task.name), sets=tuple(sets[task.name]))
            for task in chosen
        ),
        history=tuple(history),
        mistakes=mistakes,
        explain=_explainer(bundle) if mistakes and any(one.texts for kept in sets.values() for one in kept) else None,
    )
    return write_report(target, inputs, progress=progress)


def _explainer(bundle: Bundle) -> Callable[[str, str, int], Explanation] | None:
    """Return what explains a label of a task in a text; None where the folder has no graph to run."""
    try:
        classifier = load_bundle(bundle)
    except BundleError:
        return None

    def explain(text: str, task: str, place: int) -> Explanation:
        own = find_task(classifier.tasks, task).scheme.labels
        return classifier.explain(text, task=task, label=own[place])

    return explain


def _temperature(manifest: BundleManifest, task: str) -> float | None:
    """Return the temperature that was fitted, also where it is in the weights already; None if unknown."""
    if (tuned := fitted_temperature(manifest.tuning_report(task))) is not None:
        return tuned
    if (own := manifest.facts(task).decision.temperature) != 1.0:
        return own
    # Manifests of older versions, which have one task, say it in words only.
    found = [match for note in manifest.notes if (match := _NOTE.match(note))]
    return float(found[0][1]) if found and len(manifest.tasks) == 1 else None


def _sets(
    bundle: Bundle,
    tasks: Sequence[Task],
    data: str | Path | None,
    split: Split,
    columns: Columns,
    places: Places,
    options: EvaluationOptions,
    progress: Progress,
) -> dict[str, list[Measured]]:
    """Return each task's sets of rows: the data that was named, what training kept, what the manifest records."""
    manifest, found = bundle.manifest, {task.name: list[Measured]() for task in tasks}
    several = len(manifest.tasks) > 1
    kept: dict[str, dict[str, Predictions]] = {task.name: {} for task in tasks}
    for part in _SPLITS:
        files = prediction_files(bundle.folder, part, manifest.task_list())
        for task in tasks:
            if (file := files[task.name]).is_file():
                read, labels = load_predictions(file), task.scheme.labels
                if set(read.labels) != set(labels) or not len(read):
                    raise DataError(
                        f"found {len(read)} predictions of the labels {', '.join(read.labels)}, expected some of "
                        f"{', '.join(labels)}",
                        hint="They are another model's: train again, or delete the file.",
                        file=str(file),
                    )
                kept[task.name][part] = read.in_order(labels)
    opened = None if data is None else open_data(data, places, progress)
    texts: dict[str, str] = {}
    if isinstance(opened, Corpus):
        wanted = {id_ for sets in kept.values() for rows in sets.values() for id_ in rows.ids}
        for batch in opened.batches(columns=("id", "text")):
            for id_, text in zip(batch.column("id").to_pylist(), batch.column("text"), strict=True):
                if id_ in wanted:
                    texts[id_] = text.as_py()
    covered = all(split in sets and all(id_ in texts for id_ in sets[split].ids) for sets in kept.values())
    names = {task.name: set(kept[task.name]) for task in tasks}
    if data is not None and not covered:
        # A split of the model's own corpus goes by the split's name.
        by_task = task_rows(data, tasks, split=split, columns=columns, places=places, progress=progress)
        classifier = load_bundle(bundle)
        probs = row_probabilities(classifier, by_task, progress)
        for name, rows in by_task.items():
            own = manifest.data is not None and manifest.data.name == rows.corpus and rows.split not in kept[name]
            left = "".join(f" {count:,} rows were left out: {reason}." for reason, count in rows.left_out.items())
            called: str = rows.split if own and rows.split else "named"
            names[name].add(called)
            task = find_task(tasks, name)
            predictions = Predictions(
                ids=rows.ids,
                sources=tuple(rows.test.sources or ("",) * len(rows.ids)),
                languages=tuple(rows.test.languages or ()),
                labels=task.scheme.labels,
                truth=rows.test.truth,
                probs=probs[name],
            )
            origin = f"{len(rows.ids):,} texts, classified for this report with {classifier.backend.name}.{left}"
            known = dict(zip(rows.ids, rows.test.texts, strict=True))
            one = _measured(manifest, task, predictions, called, rows.name, origin, known, options)
            found[name].append(one)
    for task in tasks:
        for name, predictions in kept[task.name].items():
            file = prediction_files(bundle.folder, name, manifest.task_list())[task.name]
            origin = f"From predictions/{file.name} in the model's folder: what it gave when its training ended."
            title = f"{name.capitalize()} rows"
            one = _measured(manifest, task, predictions, name, title, origin, texts, options)
            found[task.name].append(one)
        recorded = [name for name in manifest.metrics if name not in names[task.name]]
        for place, name in enumerate(recorded, start=1):
            # Rows of these are not at hand.
            reports = manifest.reports(name, task.name)
            if not reports:
                continue
            called = name if name in _SPLITS else f"recorded-{place}"
            title = f"{name.capitalize()} rows" if name in _SPLITS else name
            found[task.name].append(
                Measured(
                    name=_slug(task.name, called) if several else called,
                    title=f"{task.name}: {title}" if several else title,
                    origin="As recorded in the model's manifest.",
                    report=reports[0],
                    baselines=tuple(one for one in reports[1:] if _rows_of(one) == _rows_of(reports[0])),
                )
            )
    return found


def _measured(
    manifest: BundleManifest,
    task: Task,
    rows: Predictions,
    name: str,
    title: str,
    origin: str,
    texts: Mapping[str, str],
    options: EvaluationOptions,
) -> Measured:
    """Measure a task on rows whose probabilities are at hand, beside the baselines that are of the same rows."""
    own = evaluate(
        task,
        rows.truth,
        rows.probs,
        sources=rows.sources if any(rows.sources) else None,
        languages=rows.languages or None,
        options=replace(options, temperature=_temperature(manifest, task.name)),
    )
    several, baselines = len(manifest.tasks) > 1, manifest.baseline_reports(name, task.name)
    return Measured(
        name=_slug(task.name, name) if several else name,
        title=f"{task.name}: {title[:1].lower()}{title[1:]}" if several else title,
        origin=origin,
        report=own,
        baselines=tuple(one for one in baselines if _rows_of(one) == _rows_of(own)),
        predictions=rows,
        texts={id_: texts[id_] for id_ in rows.ids if id_ in texts},
    )


def _slug(task: str, name: str) -> str:
    """Return a set's name where there are several tasks: small Latin letters, digits and `-`."""
    return f"{re.sub(r'[^a-z0-9]+', '-', task.lower()).strip('-')}-{name}"


def _rows_of(one: Report) -> tuple[object, ...]:
    """Return what tells a report's rows from others; reports of different rows stand in no table together."""
    sources = tuple((source.source, source.rows) for source in one.sources)
    return one.rows, sources, tuple(label.support for label in one.labels)


def _check_target(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier report: it would be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError("this is a file, expected a folder", hint="Name another one with -o.", file=str(folder))
    try:
        tree = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))
        names = [f"{_PLOTS}/{name}{suffix}" for name in tree["plots"] for suffix in (".svg", ".png")]
        own = {_PAGE, _NUMBERS, *names} if tree["kind"] == _KIND else set()
    except (OSError, ValueError, KeyError, TypeError):
        own = set()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if strange := sorted(there - own):
        raise ConfigError(
            f"the folder holds {strange[0]}, which is no part of a report and would be lost",
            hint="Name another folder with -o.",
            file=str(folder),
        )


def write_report(folder: Path, inputs: ReportInputs, *, progress: Progress = SILENT) -> WrittenReport:
    """Draw a report and write it, whole or not at all; an earlier report in the folder is replaced.

    Args:
        folder: Absent, empty, or with an earlier report.
        inputs: What to show.
        progress: Hears of the drawing.

    Raises:
        ConfigError: The folder holds something else.
        MissingExtraError: matplotlib, jinja2 or scikit-learn is not installed.
    """
    _check_target(folder)
    sections = build_sections(inputs, progress=progress)
    schemes = ", ".join(dict.fromkeys(one.task.scheme.name for one in inputs.tasks))
    html = page(inputs.title, f"Model {inputs.manifest.name}, labels of {schemes}.", sections)
    plots = [plot for section in sections for plot in section.all_plots()]
    # What is in the plots and tables, as numbers; no texts of the data.
    parts = [part for section in sections for part in section.parts if part.mistakes]
    tree = {
        "kind": _KIND,
        "format": _FORMAT,
        "ottenok": __version__,
        "title": inputs.title,
        "model": inputs.manifest.name,
        "scheme": inputs.tasks[0].task.scheme.name,
        "temperature": inputs.tasks[0].temperature,
        "tasks": {
            one.task.name: {
                "scheme": one.task.scheme.name,
                "temperature": one.temperature,
                "sets": [measured.name for measured in one.sets],
            }
            for one in inputs.tasks
        },
        "reports": {one.name: one.report.to_json() for one in inputs.sets},
        "baselines": {one.name: [report.to_json() for report in one.baselines] for one in inputs.sets},
        "history": [dict(row) for row in inputs.history],
        "plots": {
            plot.name: {"title": plot.title, "alt": plot.alt, "numbers": plot.numbers}
            for section in sections
            for plot in section.all_plots()
        },
        "mistakes": {
            part.name: [
                {"id": one.id, "truth": list(one.truth), "answer": list(one.answer), "sureness": round(one.sureness, 6)}
                for one in part.mistakes
            ]
            for part in parts
        },
    }
    numbers = json.dumps(_finite(tree), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    with atomic_folder(folder) as temporary:
        (temporary / _PLOTS).mkdir()
        files = {_PAGE: html, _NUMBERS: numbers} | {f"{_PLOTS}/{plot.name}.svg": plot.drawing.svg for plot in plots}
        for name, text in files.items():
            (temporary / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        for plot in plots:
            (temporary / _PLOTS / f"{plot.name}.png").write_bytes(plot.drawing.png)
    return WrittenReport(
        page=folder / _PAGE,
        numbers=folder / _NUMBERS,
        plots=len(plots),
        has_texts=any(section.has_texts() for section in sections),
    )


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with null in place of numbers that JSON has not: a loss that overflowed."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
