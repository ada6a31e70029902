"""Evaluate a model on labelled rows, task by task, in one table with the baselines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, Progress
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier
from ottenok.studies.cards import report_tables
from ottenok.studies.robustness import UnderNoise, changes, noise_table, under_noise
from ottenok.studies.rows import Columns, Rows, probabilities, row_probabilities, task_rows
from ottenok.tasks.baselines import LabelledTexts, baseline_reports
from ottenok.tasks.paired import PairedOptions
from ottenok.tasks.predictions import Predictions, save_predictions
from ottenok.tasks.report import EvaluationOptions
from ottenok.tasks.report import evaluate as measure
from ottenok.tasks.shift import count_answers
from ottenok.tasks.task import find_task
from ottenok.tasks.tuning import fitted_temperature
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.data.corpus import Split
    from ottenok.tasks.report import Report
    from ottenok.tasks.shift import AnswerCounts
    from ottenok.tasks.tables import Grid

__all__ = ["Evaluation", "evaluate", "evaluate_rows"]

_USUAL = Columns()
_HOME = Places()
# A linear baseline learns little more from more rows, and takes its time.
_BASELINE_ROWS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What came out.

    Attributes:
        data: What the rows are, for headings.
        corpus: The corpus's name; None for a file.
        split: Of the corpus; None for a file.
        tasks: Task to its reports, the model's first, then the baselines', in the model's order of tasks.
        left_out: Reason to number of records that could not be evaluated.
        notes: What a reader should know, a sentence each.
        under_noise: Task to the model on clean texts and under each noise that was asked for; empty if none was.
        training: Task to language to label to training rows, where the model or its data says them.
        answers: Task to how the model answered rows of each true label.
    """

    data: str
    corpus: str | None
    split: Split | None
    tasks: dict[str, tuple[Report, ...]]
    left_out: dict[str, int]
    notes: tuple[str, ...]
    under_noise: dict[str, tuple[UnderNoise, ...]] = field(default_factory=dict)
    training: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    answers: Mapping[str, AnswerCounts] = field(default_factory=dict)

    @property
    def reports(self) -> tuple[Report, ...]:
        """The first task's reports, the model's first."""
        return next(iter(self.tasks.values()))

    def tables(self) -> dict[str, Grid]:
        """Return heading to table, as for the model card."""
        found: dict[str, Grid] = {}
        for name, reports in self.tasks.items():
            heading = f"{reports[0].system} on {self.data}" + (f", {name}" if len(self.tasks) > 1 else "")
            found |= report_tables(reports, heading=heading, training=self.training.get(name))
            if self.under_noise.get(name):
                found[f"{heading}: under noise"] = noise_table(self.under_noise[name])
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as a mapping that JSON can hold; `reports` and `under_noise` are the first task's."""
        tasks = {
            name: {
                "reports": [report.to_json() for report in reports],
                "under_noise": [asdict(result) for result in self.under_noise.get(name, ())],
            }
            for name, reports in self.tasks.items()
        }
        facts = {"data": self.data, "corpus": self.corpus, "split": self.split}
        rest = {"left_out": self.left_out, "notes": list(self.notes)}
        return facts | next(iter(tasks.values())) | rest | ({"tasks": tasks} if len(tasks) > 1 else {})


def evaluate(  # noqa: PLR0913 - an option each
    model: Classifier | str | Path | None,
    data: str | Path,
    *,
    split: Split = "test",
    columns: Columns = _USUAL,
    tasks: Sequence[str] = (),
    baselines: bool = True,
    resamples: int = 1000,
    seed: int = 0,
    noise: Sequence[str] = (),
    emoji: Sequence[str] = (),
    predictions: str | Path | None = None,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> Evaluation:
    """Measure a model on labelled rows, each of its tasks on the rows that have a label for it.

    Args:
        model: A classifier, or what `ottenok.load` takes: a folder, a hub name, or None for the embedded one.
        data: A corpus folder, a file with texts and labels, or the name or path of a corpus recipe.
        split: Of a corpus: `train`, `validation` or `test`.
        columns: Where a file has its texts and labels.
        tasks: Names of the tasks to measure; empty: all that the data has labels for. A file is labelled for the first.
        baselines: Whether to fit a majority and a TF-IDF baseline on the corpus's training rows.
        resamples: Bootstrap resamples of the 95 % intervals; 0: none.
        seed: Of the resamples, of noise, and of the rows that baselines are fitted on, of more than 100,000.
        noise: Noise to measure the model under as well, as `kind:rate`: `typos:0.1`, `asr:0.3`.
        emoji: Ways to treat emoji and emoticons, to measure under as well: `remove`, `name`.
        predictions: Parquet file to write the probabilities to, without texts; with several tasks, one for each, with
            the task's name before the suffix.
        places: Where data sets and built corpora are.
        progress: Whom to tell.

    Raises:
        OttenokError: The model or the data can't be used; see `ottenok.load` and `ottenok.studies.rows`.
    """
    noisy = changes(noise, emoji, seed=seed)  # what is wrong with it is said before the long work
    classifier = model if isinstance(model, Classifier) else load(model, cache=places.cache, progress=progress)
    listed = classifier.manifest.task_list(canonical=True)
    chosen = [find_task(listed, name) for name in tasks] or list(listed)
    rows = task_rows(data, chosen, split=split, columns=columns, places=places, progress=progress)
    return evaluate_rows(
        classifier,
        rows,
        baselines=baselines,
        resamples=resamples,
        seed=seed,
        noise=noisy,
        predictions=predictions,
        progress=progress,
    )


def evaluate_rows(
    classifier: Classifier,
    rows: Mapping[str, Rows],
    *,
    baselines: bool = True,
    resamples: int = 1000,
    seed: int = 0,
    noise: Mapping[str, Any] | None = None,
    predictions: str | Path | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Measure a classifier on rows of its tasks that are read already; see `evaluate`."""
    manifest = classifier.manifest
    if baselines and any(one.train is not None for one in rows.values()):
        require("sklearn", extra="data")  # said before the long work, not after it
    found = row_probabilities(classifier, rows, progress)
    reports: dict[str, tuple[Report, ...]] = {}
    robust: dict[str, tuple[UnderNoise, ...]] = {}
    answers: dict[str, AnswerCounts] = {}
    notes = list(manifest.notes)
    training: dict[str, Any] = dict(manifest.data.cells) if manifest.data else {}
    for name, one in rows.items():
        task, test, probs = manifest.facts(name).task(canonical=True), one.test, found[name]
        temperature = fitted_temperature(manifest.tuning_report(name))
        options = EvaluationOptions(system=manifest.name, resamples=resamples, seed=seed, temperature=temperature)
        own = measure(task, test.truth, probs, sources=test.sources, languages=test.languages, options=options)
        reports[name] = (own,)
        answers[name] = count_answers(
            task, probs, test.truth, sources=test.sources, languages=test.languages, data=one.name
        )
        if predictions is not None:
            file = Path(predictions)
            save_predictions(
                file if len(rows) == 1 else file.with_suffix(f".{name}{file.suffix}"),
                Predictions(
                    ids=one.ids,
                    sources=tuple(test.sources or [""] * len(one.ids)),
                    languages=tuple(test.languages or ()),
                    labels=task.scheme.labels,
                    truth=test.truth,
                    probs=probs,
                    system=manifest.name,
                    scheme=task.scheme.name,
                    task=name,
                ),
            )

        def read(texts: list[str], task: str = name) -> npt.NDArray[np.float32]:
            return probabilities(classifier, texts, progress)[task]

        robust[name] = under_noise(
            task,
            test.texts,
            test.truth,
            probs,
            read=read,
            changes=noise or {},
            options=PairedOptions(resamples=resamples, permutations=0, seed=seed),
        )
        if baselines and one.train is None:
            notes.append("There are no baselines, because these rows come without training rows.")
        elif baselines and one.train is not None:
            train = one.train
            if len(train.texts) > _BASELINE_ROWS:
                # Drawn by the seed, in their order.
                drawn = np.sort(np.random.default_rng(seed).choice(len(train.texts), _BASELINE_ROWS, replace=False))
                train = LabelledTexts(
                    texts=[train.texts[i] for i in drawn],
                    truth=train.truth[drawn],
                    sources=None if train.sources is None else [train.sources[i] for i in drawn],
                )
            notes.append(
                f"The baselines{f' for {name}' if len(rows) > 1 else ''} were fitted on {len(train.texts):,} of "
                f"{len(one.train.texts):,} training rows."
            )
            tuning = one.tuning if task.decision.thresholds else None
            reports[name] += baseline_reports(task, train, test, options=options, tuning=tuning, progress=progress)
    missing = [task.name for task in manifest.tasks if task.name not in rows]
    if missing:
        notes.append(f"These rows have no labels for {', '.join(missing)}.")
    if not rows:
        raise DataError("there are no rows to evaluate", hint="Check the data and the split.")
    first = next(iter(rows.values()))
    left_out: dict[str, int] = {}
    for one in rows.values():
        left_out |= one.left_out
    return Evaluation(
        data=first.name,
        corpus=first.corpus,
        split=first.split,
        tasks=reports,
        left_out=left_out,
        notes=tuple(notes),
        under_noise=robust,
        training=training,
        answers=answers,
    )
