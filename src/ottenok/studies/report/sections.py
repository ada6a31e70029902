"""The sections of a model's report, in their order: what was measured, then what it was made from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ottenok.bundle.card import ANNOTATION, COMMERCIAL, limits, terms, warning
from ottenok.core.language import detect_language
from ottenok.core.progress import SILENT, tracked
from ottenok.core.schemes import LEARNED_ROWS
from ottenok.explain.page import marked_text
from ottenok.studies.cards import cell_table
from ottenok.studies.report.drawing import writable
from ottenok.studies.report.parts import Cell, Mistake, Plot, Section, from_grid, plain_table
from ottenok.studies.report.plots import (
    confidence_plot,
    confusion_plots,
    curve_plots,
    curves,
    reliability_plot,
    risk_plot,
    source_plot,
    threshold_plots,
    together_plot,
    training_plots,
)
from ottenok.tasks.metrics import METRICS, Interval, best
from ottenok.tasks.tables import decision_text, system_table
from ottenok.tasks.tuning import tuning_sentences, tuning_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.progress import Progress
    from ottenok.explain.explanation import Explanation
    from ottenok.studies.report.plots import Curve
    from ottenok.tasks.predictions import Predictions
    from ottenok.tasks.report import Report
    from ottenok.tasks.task import Task

__all__ = ["LONGEST", "Measured", "ReportInputs", "TaskInputs", "build_sections", "worst_mistakes"]

# Characters of a text that are shown.
LONGEST = 600
_SPLITS = ("train", "validation", "test")
_LANGUAGES = {"en": "English", "ru": "русский", "zh": "中文"}
_ALWAYS = {"accuracy", "subset_accuracy", "macro_f1", "weighted_f1", "micro_f1", "macro_auc", "mae", "quadratic_kappa"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A model's metrics on one set of rows, for one task.

    Attributes:
        name: Short and unique, for ids and file names: `test`, `validation`.
        title: For headings.
        origin: Where the metrics come from, a sentence.
        report: The metrics.
        baselines: Those of baselines on the same rows.
        predictions: Each row's probabilities, columns in the scheme's order; None where only the metrics are known.
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
class TaskInputs:
    """What is shown of one task.

    Attributes:
        task: With labels and decision as ottenok spells them.
        temperature: That was fitted, whether it is in the weights already or not; None if unknown.
        sets: Sets of rows, the most important one first.
    """

    task: Task
    temperature: float | None = None
    sets: tuple[Measured, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """Everything that a report shows.

    Attributes:
        title: Of the page.
        manifest: Of the model.
        tasks: The primary one first.
        history: The rows of `history.jsonl`; empty if there is none.
        mistakes: How many of the worst mistakes are listed for each set.
        explain: Explains a label of a task, by its place, in a text; None: nothing is explained.
    """

    title: str
    manifest: BundleManifest
    tasks: tuple[TaskInputs, ...]
    history: tuple[Mapping[str, float], ...] = ()
    mistakes: int = 30
    explain: Callable[[str, str, int], Explanation] | None = None

    @property
    def sets(self) -> tuple[Measured, ...]:
        """The sets of rows of all tasks."""
        return tuple(measured for one in self.tasks for measured in one.sets)


def build_sections(inputs: ReportInputs, *, progress: Progress = SILENT) -> tuple[Section, ...]:
    """Draw and tabulate everything.

    Args:
        inputs: What to show.
        progress: Hears of each set of rows.
    """
    # What temperature and thresholds did when they were fitted; nothing for models that do not say.
    lines, tables = [], []
    for one in inputs.tasks:
        report = inputs.manifest.tuning_report(one.task.name)
        if report is None:
            continue
        before = f"{one.task.name}: " if len(inputs.tasks) > 1 else ""
        lines += [f"{before}{sentence}" for sentence in tuning_sentences(report)]
        if (table := tuning_table(report)) is not None:
            tables.append(from_grid(f"{before}Before and after, label by label", table))
    title = "How temperature and thresholds were found"
    tuning = [Section(name="decision", title=title, lines=tuple(lines), tables=tuple(tables))] if lines else []
    every = [(measured, one) for one in inputs.tasks for measured in one.sets]
    drawn = tracked(every, progress, "drawing", total=len(every), unit="sets of rows")
    return (
        _summary(inputs),
        _training(inputs),
        *(_measured(measured, one, inputs) for measured, one in drawn),
        *tuning,
        *_origins(inputs.manifest),
    )


def _summary(inputs: ReportInputs) -> Section:
    lines, tables = [inputs.manifest.description], []
    for one in inputs.tasks:
        task, several = one.task, len(inputs.tasks) > 1
        lines.append(f"{f'{task.name}: ' if several else ''}{decision_text(task, folded=one.temperature)}")
        title = f", {task.name}" if several else ""
        if one.sets:
            kinds, reports = {"any", task.scheme.kind}, [measured.report for measured in one.sets]
            shown = {
                name: metric.title
                for name, metric in METRICS.items()
                if metric.headline in kinds and any(name in report.metrics for report in reports)
            }
            rows = [
                [words, *(_interval(report.metrics.get(name)) for report in reports)] for name, words in shown.items()
            ]
            header = ("", *(f"{measured.title} ({measured.report.rows:,})" for measured in one.sets))
            tables.append(plain_table(f"The model{title}", header, rows))
        scheme, thresholds = task.scheme, task.decision.thresholds
        languages = [language for language in _LANGUAGES if language in scheme.titles]
        header = ("label", *(_LANGUAGES[language] for language in languages))
        header += ("value",) * bool(scheme.values) + ("threshold",) * bool(thresholds)
        labels = []
        for place, label in enumerate(scheme.labels):
            row = [Cell(text=label, code=True)]
            row += [Cell(text=scheme.titles[language][place], language=language) for language in languages]
            row += [Cell(text=f"{scheme.values[place]:g}")] if scheme.values else []
            row += [Cell(text=f"{thresholds[place]:.3f}")] if thresholds else []
            labels.append(row)
        tables.append(plain_table(f"Labels{title}", header, labels, numeric=False))
    if not inputs.sets:
        lines.append("Nothing was measured: the bundle holds no reports and no predictions.")
    elif (first := inputs.sets[0].report).resamples:
        lines.append(f"Brackets are {first.confidence:.0%} intervals.")
    return Section(name="summary", title="Summary", lines=tuple(line for line in lines if line), tables=tuple(tables))


def _training(inputs: ReportInputs) -> Section:
    if not inputs.history:
        line = (
            "There are no curves: the model's folder has no history.jsonl, which ottenok train writes into the "
            "folder of its run."
        )
        return Section(name="training", title="Training", lines=(line,))
    # The epoch whose weights were kept is the best by the recipe's metric, the earliest of equals.
    run = inputs.manifest.recipe.get("run")
    metric = run.get("metric") if isinstance(run, dict) else None
    rows = [row for row in inputs.history if metric in row]
    place = best(metric, [row[metric] for row in rows]) if isinstance(metric, str) and rows else None
    titles = {"epoch": "epoch", "train_loss": "train loss", "loss": "validation loss"}
    titles |= {
        name: found.title for name, found in METRICS.items() if name in _ALWAYS | {"source_f1", "cell_f1", metric}
    }
    titles |= {key: key for row in inputs.history for key in row if "/" in key and key.rpartition("/")[2] == "macro_f1"}
    titles |= {"tokens_per_second": "tokens/s", "minutes": "minutes"}
    there = [name for name in titles if any(name in row for row in inputs.history)]
    forms = {"epoch": "{:g}", "tokens_per_second": "{:,.0f}", "minutes": "{:.1f}"}
    cells = [
        [forms.get(name, "{:.4f}").format(row[name]) if row.get(name) is not None else "-" for name in there]
        for row in inputs.history
    ]
    return Section(
        name="training",
        title="Training",
        plots=training_plots(inputs.history, None if place is None else rows[place]["epoch"]),
        tables=(plain_table("Epochs", [titles[name] for name in there], cells),),
    )


def _measured(measured: Measured, one: TaskInputs, inputs: ReportInputs) -> Section:
    """Return everything about the model on one set of rows."""
    report, rows, group, task = measured.report, measured.predictions, measured.name, one.task
    labels, lines = task.scheme.labels, [measured.origin]
    if rows is None:
        lines.append(
            "Only these metrics are known. Curves and mistakes need each row's probabilities: run ottenok report "
            "again with --data CORPUS."
        )
    found = [] if rows is None else curves(rows)
    training = inputs.manifest.data.cells.get(task.name, {}) if inputs.manifest.data else {}
    figures = [from_grid("Model and baselines", system_table((report, *measured.baselines)))]
    told = [] if measured.baselines else ["No baselines are recorded for these rows."]
    if report.cells:
        figures.append(from_grid("F1 per language and label", cell_table(report, training)))
        if training:
            told.append(
                f"A label with fewer than {LEARNED_ROWS} training rows in a language counts as not learned in it."
            )
    parts = [Section(name=f"{group}-figures", title="Metrics", lines=tuple(told), tables=tuple(figures))]
    parts.append(_labels(measured, task, found))
    if rows is not None:
        one_label = task.scheme.kind != "multi-label"
        thresholds = task.decision.thresholds or (() if one_label else (0.5,) * len(labels))
        sure = (confidence_plot(rows, group),) if one_label else ()
        drawn, swept = curve_plots(found, labels, group), threshold_plots(found, labels, group, thresholds)
        parts.append(Section(name=f"{group}-curves", title="ROC and precision-recall", plots=drawn))
        parts.append(
            Section(name=f"{group}-thresholds", title="Thresholds", plots=(*sure, risk_plot(task, rows, group), *swept))
        )
    if (reliable := reliability_plot(report, group)) is not None and report.calibration is not None:
        known: tuple[str, ...] = ()
        if one.temperature is None:
            known = ("No temperature is known for this model.",)
        elif report.uncalibrated is None and one.temperature != 1.0:
            known = (f"What the {one.task.decision.activation} gave before the temperature is not known.",)
        now, before = report.calibration.labels, report.uncalibrated.labels if report.uncalibrated else ()
        errors: list[list[str | Cell]] = [
            [
                Cell(text=label.label, code=True),
                f"{now[place].error:.4f}",
                *([f"{before[place].error:.4f}"] if before else []),
                f"{now[place].chance:.4f}",
            ]
            for place, label in enumerate(report.labels if now else ())
        ]
        header = ["label", "ECE", *(["before the temperature"] if before else []), "by chance"]
        tables = (plain_table("Calibration error per label", header, errors),) if errors else ()
        title = "Can the probabilities be believed?"
        parts.append(Section(name=f"{group}-reliability", title=title, lines=known, plots=(reliable,), tables=tables))
    if (origins := source_plot(report, group)) is not None:
        parts.append(Section(name=f"{group}-sources", title="Sources", plots=(origins,)))
    if rows is not None:
        worst = worst_mistakes(measured, task, most=inputs.mistakes, explain=inputs.explain)
        wanted = "The wrong answers that the model was most sure of: wrong labels of the data, texts that can't be "
        told = [f"{wanted}understood alone, or what the model is blind to."]
        if not worst:
            told = ["There are none, or none were asked for."]
        elif any(mistake.text is not None for mistake in worst):
            if any(mistake.marked for mistake in worst):
                told.append("Words that speak for the answer are blue, those against it orange.")
            told.append(
                f"This part shows texts of the data, at most {LONGEST} characters of each. Mind the data's terms, and "
                "the people who wrote them, before you pass this file on; --mistakes 0 leaves them out."
            )
        else:
            told.append("Their texts are in the corpus: run ottenok report again with --data CORPUS to see them.")
        parts.append(Section(name=f"{group}-mistakes", title="Worst mistakes", lines=tuple(told), mistakes=worst))
    return Section(name=group, title=measured.title, lines=tuple(lines), parts=tuple(parts))


def _labels(measured: Measured, task: Task, found: Sequence[Curve | None]) -> Section:
    """Return what becomes of each label: its metrics, a row each and one per average, and what it is taken for."""
    report, rows, labels = measured.report, measured.predictions, task.scheme.labels
    lines: list[list[str | Cell]] = []
    for place, one in enumerate(report.labels):
        curve = found[place] if found else None
        area = None if one.auc is None else Interval(value=one.auc, low=one.auc_low, high=one.auc_high)
        precision = [] if not found else ["-" if curve is None else f"{curve.average_precision:.3f}"]
        numbers = (f"{one.precision:.3f}", f"{one.recall:.3f}", _interval(one.f1), _interval(area))
        lines.append([Cell(text=one.label, code=True), *numbers, *precision, f"{one.support:,}"])
    for average in report.averages:
        # With one label a row the micro average is the accuracy.
        if average.name != "micro" or report.kind == "multi-label":
            three = (f"{value:.3f}" for value in (average.precision, average.recall, average.f1))
            auc = "-" if average.auc is None else f"{average.auc:.3f}"
            lines.append([f"{average.name} average", *three, auc, *([""] if found else []), f"{average.support:,}"])
    header = ("label", "precision", "recall", "F1", "AUC", *(["AP"] if found else []), "rows")
    tables = [plain_table("Per label", header, lines)]

    plots: tuple[Plot, ...] = ()
    if report.confusion:
        plots = confusion_plots(report.confusion, labels, report.rows, measured.name)
    elif rows is not None:
        answer = task.chosen(rows.probs)
        plots = (together_plot(rows.truth, answer, labels, measured.name),)
        cells = (rows.truth & answer, ~rows.truth & answer, rows.truth & ~answer, ~rows.truth & ~answer)
        counts = [[Cell(text=label, code=True)] for label in labels]
        for cell in cells:
            for line, count in zip(counts, cell.sum(axis=0).tolist(), strict=True):
                line.append(Cell(text=f"{count:,}"))
        header = ("label", "rightly given", "wrongly given", "missed", "rightly left out")
        tables.append(plain_table("Right and wrong, label by label", header, counts))
    other = [
        f"{name} is {label}"
        for label, name in zip(labels, writable(labels, kind="label"), strict=True)
        if label != name
    ]
    named = (f"In the pictures {', '.join(other)}.",) if other else ()
    title = "Labels and confusion"
    return Section(name=f"{measured.name}-labels", title=title, lines=named, plots=plots, tables=tuple(tables))


def _interval(one: Interval | None) -> str:
    """Return a value with its interval, if it has one, or a dash where there is no value."""
    if one is None:
        return "-"
    return f"{one.value:.3f}" if one.low is None else f"{one.value:.3f} [{one.low:.3f}, {one.high or 0.0:.3f}]"


def worst_mistakes(
    measured: Measured,
    task: Task,
    *,
    most: int,
    explain: Callable[[str, str, int], Explanation] | None = None,
) -> tuple[Mistake, ...]:
    """Return the wrong answers with the highest probability on the wrong side, worst first.

    They are where labels of the data are wrong, where a text can't be understood by itself, or where the model is
    blind. In one-label schemes the probability is the answer's; in multi-label schemes it is the largest over the wrong
    labels of the probability (where the label is not true) or of what it lacks to 1 (where it is).

    Args:
        measured: Rows with predictions, columns in the order of the task's labels.
        task: How probabilities become answers.
        most: How many to return.
        explain: See `ReportInputs`.
    """
    rows = measured.predictions
    if rows is None or not len(rows) or most <= 0:
        return ()
    answer = task.chosen(rows.probs)
    if task.scheme.kind != "multi-label":
        sure = np.where(answer, rows.probs, 0.0).max(axis=1)
    else:
        sure = np.where(answer != rows.truth, np.where(answer, rows.probs, 1.0 - rows.probs), 0.0).max(axis=1)
    wrong = np.flatnonzero((answer != rows.truth).any(axis=1))
    # Equal ones by id, so that the same predictions give the same report.
    order = sorted(wrong.tolist(), key=lambda row: (-float(sure[row]), rows.ids[row]))
    found = []
    for row in order[:most]:
        text = measured.texts.get(rows.ids[row])
        language = "" if text is None else detect_language(text)
        marked, rest = "", ""
        if text is not None and len(text) > LONGEST:
            text, rest = text[:LONGEST], f"… ({len(text):,} characters)"
        if text is not None and explain is not None and answer[row].any():
            # The surest label of the wrong answer.
            place = int(np.where(answer[row], rows.probs[row], -1.0).argmax())
            marked = marked_text(explain(text, task.name, place)) + rest
        shown = np.flatnonzero(rows.truth[row] | answer[row])
        found.append(
            Mistake(
                id=rows.ids[row],
                source=rows.sources[row],
                truth=tuple(rows.labels[place] for place in np.flatnonzero(rows.truth[row])),
                answer=tuple(rows.labels[place] for place in np.flatnonzero(answer[row])),
                probabilities=tuple((rows.labels[place], float(rows.probs[row, place])) for place in shown),
                sureness=float(sure[row]),
                text=None if text is None else text + rest,
                marked=marked,
                language="" if language == "other" else language,
            )
        )
    return tuple(found)


def _origins(manifest: BundleManifest) -> tuple[Section, Section, Section]:
    """Return what the model was made from: data sets with licences and terms, the recipe, versions and files."""
    found = terms(manifest)
    lines = [f"Weights: {found.id}; commercial use: {COMMERCIAL[found.commercial]}. {found.statement}".strip()]
    if (word := warning(manifest, plain=True)) is not None:
        lines.insert(0, word)
    tables = []
    if manifest.data is None or not manifest.data.sources:
        lines.append("The bundle does not say what it was trained on.")
    else:
        lines.append(f"The corpus is called {manifest.data.name}.")
        if manifest.data.dropped:
            dropped = ", ".join(f"{reason} {rows:,}" for reason, rows in manifest.data.dropped.items())
            lines.append(f"Rows left out of it: {dropped}.")
        rows: list[Sequence[str | Cell]] = [
            (
                # Nothing but plain web pages may be a link.
                Cell(
                    text=source.title or source.name,
                    link=source.homepage if source.homepage.startswith(("https://", "http://")) else "",
                ),
                *(f"{source.rows.get(split, 0):,}" for split in _SPLITS),
                ", ".join(source.languages),
                ANNOTATION.get(source.annotation, source.annotation),
                source.licence.id,
                COMMERCIAL[source.licence.commercial],
            )
            for source in manifest.data.sources
        ]
        header = ("data set", *_SPLITS, "languages", "labelled by", "licence", "commercial use")
        tables.append(plain_table("Data sets, in rows", header, rows, numeric=False))
        files = [
            (Cell(text=path, code=True), source.name, Cell(text=digest or "unknown", code=True))
            for source in manifest.data.sources
            for path, digest in source.files.items()
        ]
        if files:
            tables.append(plain_table("Files", ("file", "data set", "sha256"), files, numeric=False))
    lines += limits(manifest, plain=True)
    data = Section(name="data", title="Data and licences", lines=tuple(lines), tables=tuple(tables))

    kept = json.dumps(manifest.recipe, ensure_ascii=False, indent=2) if manifest.recipe else ""
    said = "As it was run, with every default and every override." if kept else "The bundle keeps no recipe."
    recipe = Section(name="recipe", title="Recipe", lines=(said,), code=kept)

    lines, tables = [], []
    if manifest.encoder is not None:
        origin = f", {manifest.encoder.origin}" if manifest.encoder.origin else ""
        lines.append(f"Encoder: {manifest.encoder.name}{origin} (licence: {manifest.encoder.licence.id}).")
    read = "the end is read" if manifest.window.read == "end" else ""
    overlap = f"windows that overlap by {manifest.window.overlap} tokens are read"
    lines.append(f"Of texts of more than {manifest.max_length} tokens {read or overlap}.")
    if manifest.created:
        lines.append(f"Trained: {manifest.created}.")
    if (training := manifest.training) is not None:
        cost = (
            ("epochs", f"{training.epochs:g}"),
            ("minutes of training steps", f"{training.seconds / 60.0:,.1f}"),
            ("texts seen", f"{training.texts:,}"),
            ("tokens seen", f"{training.tokens:,}"),
            ("parameters", f"{training.parameters:,}"),
            ("of them trained", f"{training.trained:,}"),
            ("device", f"{training.device} ({training.precision})"),
            *([("where", training.elsewhere)] if training.elsewhere else []),
        )
        tables.append(plain_table("What the training took", ("what", "how much"), cost, numeric=False))
    if manifest.versions:
        rows = [(name, Cell(text=version, code=True)) for name, version in manifest.versions.items()]
        tables.append(plain_table("Versions", ("package", "version"), rows, numeric=False))
    if manifest.files:
        files = [
            (Cell(text=name, code=True), f"{facts.bytes:,}", Cell(text=facts.sha256, code=True))
            for name, facts in manifest.files.items()
        ]
        tables.append(plain_table("The model's files", ("file", "bytes", "sha256"), files, numeric=False))
    making = Section(name="making", title="Versions and notes", lines=(*lines, *manifest.notes), tables=tuple(tables))
    return data, recipe, making
