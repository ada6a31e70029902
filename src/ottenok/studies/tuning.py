"""Tune a trained classifier anew on labelled rows, without training and without torch.

Temperature and thresholds; or the promise of a precision, and what is unfamiliar.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ottenok.bundle.copies import check_place, copy_light
from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.bundle.manifest import EARLIER, MANIFEST
from ottenok.core.errors import BundleError, ConfigError, DataError, SchemeError
from ottenok.core.files import sha256_file
from ottenok.core.progress import SILENT, Progress
from ottenok.inference.api import load_bundle
from ottenok.inference.familiarity import fit_familiarity
from ottenok.inference.places import EMBEDDED, embedded_folder
from ottenok.inference.trial import try_folder
from ottenok.studies.cards import rewrite_card
from ottenok.studies.rows import Columns, row_probabilities, task_rows
from ottenok.tasks.calibration import logits_of, untempered
from ottenok.tasks.decision import check_fit
from ottenok.tasks.predictions import load_predictions, prediction_files, save_predictions
from ottenok.tasks.selective import PROMISE, fit_selective, selective_sentence
from ottenok.tasks.shift import count_answers
from ottenok.tasks.thresholds import ThresholdOptions
from ottenok.tasks.tuning import TuningOptions, TuningReport, check_tuning, fit_decision, tuning_sentences
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest, FamiliarityFacts
    from ottenok.data.corpus import Split
    from ottenok.studies.rows import Rows
    from ottenok.tasks.decision import Decision
    from ottenok.tasks.selective import SelectiveReport
    from ottenok.tasks.shift import AnswerCounts
    from ottenok.tasks.task import Task
    from ottenok.tasks.tuning import DecisionFit

__all__ = ["Retuned", "tune"]

_USUAL = Columns()
_HOME = Places()
# Texts by which it is learned what strange ones are.
_MOST_TEXTS = 4000
# Names of reports on an earlier decision.
_OLD = re.compile(EARLIER + r"tuning (\d+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retuned:
    """What came of it.

    Attributes:
        bundle: The classifier, with the new decisions if they were written.
        decisions: Task to its new decision.
        reports: Task to what the fit did.
        promises: Task to the promise of a precision that was found.
        familiarity: How strange texts are told; None: as before.
        left_out: Reason to number of records that were not used.
    """

    bundle: Bundle
    decisions: dict[str, Decision]
    reports: dict[str, TuningReport]
    left_out: dict[str, int]
    promises: dict[str, SelectiveReport] = field(default_factory=dict)
    familiarity: FamiliarityFacts | None = None

    @property
    def decision(self) -> Decision:
        """The new decision of the first task that was tuned."""
        return next(iter(self.decisions.values()))

    @property
    def report(self) -> TuningReport:
        """What the fit of the first task did."""
        return next(iter(self.reports.values()))


def tune(  # noqa: PLR0913 - an option each
    model: str | Path | None,
    data: str | Path,
    out: str | Path | None = None,
    *,
    split: Split = "validation",
    columns: Columns = _USUAL,
    tasks: Sequence[str] = (),
    temperature: bool = True,
    thresholds: ThresholdOptions | None = None,
    empty: str | None = None,
    exclusive: str | None = None,
    precision: float | None = None,
    risk: float = 0.05,
    unfamiliar: float | None = None,
    write: bool = True,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> Retuned:
    """Fit a classifier's decisions anew and write them into its folder, whole or not at all.

    The reports that the manifest had are kept as `NAME, before tuning N`: they are of the old decisions. Kept
    predictions are brought to the new temperature.

    Args:
        model: The folder of a classifier that ottenok trained; None or `default`: the embedded one, of which only a
            copy is tuned.
        data: Labelled rows that it was not trained on: a corpus folder, a file, or a corpus recipe.
        out: Leave the classifier as it is, and write a copy with the new decisions here: what prediction needs of it.
        split: Of a corpus.
        columns: Where a file has its texts and labels.
        tasks: Names of the tasks to tune; empty: all that the data has labels for. A file is labelled for the first.
        temperature: Fit the temperature; not for regressions.
        thresholds: How thresholds are fitted; None: as usual in a multi-label scheme, not at all in others.
        empty: What an answer without labels becomes; None: as before.
        exclusive: The label that stands alone; None: as before, "": none.
        precision: Find for each label the least confidence at which so large a share of its answers is right, and
            withhold the rest; temperature and thresholds stay as they are. Decisions that are fitted later end it.
        risk: Allowed probability that the promise is not kept by all labels of a task.
        unfamiliar: Learn from the texts how strange ones are told, and withhold labels of texts that are stranger than
            this share of them; temperature and thresholds stay as they are.
        write: Write the new decisions; False only tells what they would be.
        places: Where data sets and built corpora are.
        progress: Whom to tell.

    Raises:
        BundleError: The folder is no bundle of ottenok, or was altered; or a copy has no place, or no graph.
        ConfigError: What is asked for does not fit the scheme or the model.
        DataError: The rows are the model's own training or test rows, or there are too few.
        SchemeError: The labels of the data don't lead to the model's, or there is no such label or task.
    """
    if model in {None, EMBEDDED} and write and out is None:
        raise ConfigError(
            "the embedded classifier belongs to the installed package, which is not changed",
            hint="Tune a copy of it: -o FOLDER.",
        )
    if write and out is not None:
        check_place(Path(out))  # before thousands of rows are read
    # Every checksum: the manifest is written anew, and must not vouch for files that were altered.
    bundle = open_bundle(embedded_folder() if model in {None, EMBEDDED} else str(model), full=True)
    if not bundle.own:
        raise BundleError(f"ottenok did not make this classifier, so it has no {MANIFEST} to tune", file=str(model))
    manifest = bundle.manifest
    chosen = [manifest.facts(name) for name in tasks] or list(manifest.tasks)
    starts: dict[str, tuple[Task, TuningOptions]] = {}
    promised = precision is not None or unfamiliar is not None
    for one in chosen:
        if promised:
            starts[one.name] = one.task(), TuningOptions()
            continue
        try:
            starts[one.name] = _start(manifest, one.task(), temperature, thresholds, empty, exclusive)
        except (ConfigError, SchemeError):
            # What is asked for is for tasks of one kind; it must fit those that are named, or else one at least.
            if tasks or (one is chosen[-1] and not starts):
                raise
    listed = [manifest.facts(name).task(canonical=True) for name in starts]
    rows = task_rows(data, listed, split=split, columns=columns, places=places, progress=progress)
    _refuse_own(bundle, data, rows)
    if model not in {None, EMBEDDED}:
        try_folder(bundle.folder, places.cache)
    classifier = load_bundle(bundle)
    probs = row_probabilities(classifier, rows, progress) if precision is not None or not promised else {}
    fits: dict[str, DecisionFit] = {}
    answers: dict[str, AnswerCounts] = {}
    promises: dict[str, SelectiveReport] = {}
    for name, one_rows in rows.items():
        task, options = starts[name]
        if promised and precision is None:
            continue
        read = np.asarray(probs[name].any(axis=1))
        if precision is not None:
            truth = one_rows.test.truth[read]
            promises[name] = fit_selective(task, probs[name][read], truth, precision=precision, risk=risk)
            continue
        logits = logits_of(probs[name][read], task.decision.activation) * task.decision.temperature
        options = replace(options, data=one_rows.name)
        fits[name] = fit_decision(task, logits, one_rows.test.truth[read], options=options)
        fitted = replace(task, decision=fits[name].decision)
        answers[name] = count_answers(
            fitted,
            fitted.probabilities(logits.astype("float32")),
            one_rows.test.truth[read],
            sources=_of(one_rows.test.sources, read),
            languages=_of(one_rows.test.languages, read),
            data=one_rows.name,
        )
    familiarity = None
    if unfamiliar is not None:
        name = next(iter(rows.values())).name
        familiarity = fit_familiarity(classifier, _some_texts(rows), limit=unfamiliar, data=name)
    if write:
        copy = bundle if out is None else copy_light(bundle, Path(out))
        bundle = _write_promises(copy, promises, familiarity) if promised else _write(copy, fits, answers)
    left_out: dict[str, int] = {}
    for one_rows in rows.values():
        left_out |= one_rows.left_out
    return Retuned(
        bundle=bundle,
        decisions={name: fit.decision for name, fit in fits.items()},
        reports={name: fit.report for name, fit in fits.items()},
        left_out=left_out,
        promises=promises,
        familiarity=familiarity,
    )


def _refuse_own(bundle: Bundle, data: str | Path, rows: Mapping[str, Rows]) -> None:
    """Refuse rows that the model learned from, or that its test figures are made of: they would flatter it.

    Raises:
        DataError: They are.
    """
    manifest = bundle.manifest
    facts = manifest.data
    known = {digest for source in (facts.sources if facts else ()) for digest in source.files.values()}
    for one_rows in rows.values() if facts else ():
        if facts and one_rows.corpus == facts.name and one_rows.split != "validation":
            what = f"the {one_rows.split} rows of its own corpus"
        elif Path(data).is_file() and Path(data).suffix != ".toml" and sha256_file(Path(data)) in known:
            what = "a file that it was trained or tested on"
        else:
            files = prediction_files(bundle.folder, "test", manifest.task_list()).values()
            tested = {id_ for file in files if file.is_file() for id_ in load_predictions(file).ids}
            what = "" if tested.isdisjoint(one_rows.ids) else "rows that it was tested on"
        if what:
            raise DataError(
                f"a model can't be tuned on {what}: the figures would flatter it",
                hint="Tune on validation rows, or on rows of your own that it has never seen.",
            )


def _start(
    manifest: BundleManifest,
    task: Task,
    temperature: bool,  # noqa: FBT001
    thresholds: ThresholdOptions | None,
    empty: str | None,
    exclusive: str | None,
) -> tuple[Task, TuningOptions]:
    """Return the task with the decision that the fit begins at, and what is fitted."""
    decision = replace(
        task.decision,
        empty=task.decision.empty if empty is None else empty,
        exclusive=task.decision.exclusive if exclusive is None else exclusive,
    )
    check_fit(decision, task.scheme)
    check_tuning(thresholds, task.scheme)
    temperature = temperature and decision.activation != "regression"
    if temperature and manifest.window.combine != "mean-logits":
        raise ConfigError(
            "this classifier averages probabilities of windows, so that a temperature can't be found from its answers",
            hint="Tune its thresholds alone, with --no-temperature.",
        )
    thresholds = thresholds or (ThresholdOptions() if task.scheme.kind == "multi-label" else None)
    if not temperature and thresholds is None:
        raise ConfigError("there is nothing to fit", hint="A scheme with one label a row has a temperature only.")
    return replace(task, decision=decision), TuningOptions(temperature=temperature, thresholds=thresholds)


def _of(names: Sequence[str] | None, read: npt.NDArray[np.bool_]) -> list[str] | None:
    return None if names is None else [name for name, good in zip(names, read, strict=True) if good]


def _write(bundle: Bundle, fits: Mapping[str, DecisionFit], answers: Mapping[str, AnswerCounts]) -> Bundle:
    manifest = bundle.manifest
    several = len(manifest.tasks) > 1
    notes = list(manifest.notes)
    for name, fit in fits.items():
        report = manifest.tuning_report(name)
        old = [] if report is None else [_named(line, name, several) for line in tuning_sentences(report)]
        notes = [note for note in notes if note not in old]
        notes += [_named(line, name, several) for line in tuning_sentences(fit.report)]
    number = 1 + max((int(found[1]) for found in map(_OLD.search, manifest.metrics) if found), default=0)
    decisions = {name: fit.decision for name, fit in fits.items()}
    decided = manifest.with_earlier(f"tuning {number}").with_decisions(decisions)
    changed = decided.model_copy(
        update={
            "answers": {**decided.answers, **answers},
            "tuning": {**manifest.tuning, **{name: fit.report.to_json() for name, fit in fits.items()}},
            "notes": tuple(notes),
        }
    )
    write_manifest(bundle.folder, changed)
    # Kept predictions are what comparisons and reports are made from.
    for name, fit in fits.items():
        found = fit.report.temperature
        for split in ("train", "validation", "test"):
            file = prediction_files(bundle.folder, split, manifest.task_list())[name]
            if found is not None and found.temperature != 1.0 and file.is_file():
                old_rows = load_predictions(file)
                probs = untempered(old_rows.probs, fit.decision.activation, 1.0 / found.temperature)
                save_predictions(file, replace(old_rows, probs=probs))
    written = open_bundle(bundle.folder)
    rewrite_card(written)
    return written


def _some_texts(rows: Mapping[str, Rows]) -> list[str]:
    """Return at most 4,000 texts, of each source and language as many, as far as it has them."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for one in rows.values():
        nothing = [""] * len(one.ids)
        kinds = zip(one.test.sources or nothing, one.test.languages or nothing, strict=True)
        for kind, id_, text in zip(kinds, one.ids, one.test.texts, strict=True):
            groups.setdefault(kind, {})[id_] = text
    draw = random.Random(0)  # noqa: S311 - nothing secret
    queues = [draw.sample(list(texts.values()), len(texts)) for _, texts in sorted(groups.items())]
    found: list[str] = []
    while queues and len(found) < _MOST_TEXTS:
        found += [queue.pop() for queue in queues]
        queues = [queue for queue in queues if queue]
    return found[:_MOST_TEXTS]


def _write_promises(
    bundle: Bundle, promises: Mapping[str, SelectiveReport], familiarity: FamiliarityFacts | None
) -> Bundle:
    manifest = bundle.manifest
    tasks = tuple(
        task.model_copy(update={"selective": promises[task.name].selective}) if task.name in promises else task
        for task in manifest.tasks
    )
    several = len(manifest.tasks) > 1
    notes = [note for note in manifest.notes if not any(_named(PROMISE, name, several) in note for name in promises)]
    notes += [_named(selective_sentence(report), name, several) for name, report in promises.items()]
    update: dict[str, object] = {"tasks": tasks, "notes": tuple(notes)}
    if familiarity is not None:
        update["familiarity"] = familiarity
    write_manifest(bundle.folder, manifest.model_copy(update=update))
    written = open_bundle(bundle.folder)
    rewrite_card(written)
    return written


def _named(sentence: str, task: str, several: bool) -> str:  # noqa: FBT001
    return f"{task}: {sentence}" if several else sentence
