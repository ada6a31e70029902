"""From a fitted network to the classifier's folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.bundle.manifest import MANIFEST, BundleManifest, TaskFacts, WindowRule
from ottenok.models.folder import save
from ottenok.tasks.decision import probabilities
from ottenok.tasks.report import EvaluationOptions, Report, evaluate
from ottenok.tasks.task import Task, task_name
from ottenok.training.facts import (
    data_facts,
    encoder_facts,
    languages,
    licence_facts,
    public_recipe,
    text_options,
    versions,
)
from ottenok.training.history import read_history
from ottenok.training.keep import keep_predictions, training_facts
from ottenok.training.prepare import letter_notes
from ottenok.training.processes import rank
from ottenok.training.scoring import plain_decision, score
from ottenok.training.tuning import Tuned, tune

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ottenok.training.examples import Examples
    from ottenok.training.folder import RunFolder
    from ottenok.training.history import History
    from ottenok.training.prepare import Parts

__all__ = ["Fitted", "finish", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A finished run.

    Attributes:
        bundle: The classifier; without its ONNX graphs and its card, which are made from it.
        reports: Split (`validation`, `test`) to what was measured on it, in fp32, with the saved weights.
        scores: float32 `[validation rows, outputs]` of the saved model; None without validation, and for a run that
            was finished before.
        truth: bool `[validation rows, labels]`; None likewise.
        epochs: The rows of `history.jsonl`.
        best: Position of the chosen epoch in `epochs`; None without validation: the last one.
    """

    bundle: Bundle
    reports: dict[str, Report]
    scores: npt.NDArray[np.float32] | None
    truth: npt.NDArray[np.bool_] | None
    epochs: list[dict[str, float]]
    best: int | None


def finish(parts: Parts, folder: RunFolder, history: History) -> Fitted | None:
    """Fit the decision, measure, write the files, and delete the checkpoints.

    Returns:
        None in processes other than the first, which write nothing.
    """
    decision = plain_decision(parts.network.problem, parts.scheme, parts.recipe.decision)
    tuned = tune(parts, decision)
    if rank() != 0:
        return None
    reports = _reports(parts, tuned, folder)
    save(parts.network.model, parts.network.tokenizer, folder.path, max_length=parts.recipe.text.max_length)
    write_manifest(folder.path, _manifest(parts, tuned, history, reports))
    bundle = open_bundle(folder.path)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return Fitted(
        bundle=bundle,
        reports=reports,
        scores=tuned.scores,
        truth=None if parts.validation is None else parts.validation.examples.truth,
        epochs=history.rows,
        best=history.best(),
    )


def finished(folder: RunFolder) -> Fitted | None:
    """Return what came out of a run that is finished already, or None if it is not; scores are no longer known."""
    if not (folder.path / MANIFEST).is_file():
        return None
    bundle = open_bundle(folder.path)
    if rank() == 0:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return Fitted(
        bundle=bundle,
        reports={name: bundle.manifest.reports(name)[0] for name in bundle.manifest.metrics},
        scores=None,
        truth=None,
        epochs=read_history(folder.path),
        best=None,
    )


def _reports(parts: Parts, tuned: Tuned, folder: RunFolder) -> dict[str, Report]:
    reports = {}
    if parts.validation is not None and tuned.scores is not None:
        reports["validation"] = _report(parts, tuned, parts.validation.examples, tuned.scores)
        keep_predictions(
            parts,
            "validation",
            parts.validation.examples,
            tuned.scores,
            decision=tuned.decision,
            folder=folder.path,
        )
    test = parts.sources.read("test") if parts.recipe.run.test else None
    if test is not None and len(test):
        scores = score(
            parts.network.model,
            test.tokens,
            padding=parts.network.tokenizer.pad_token_id,
            size=parts.recipe.batch.evaluation,
            stage="testing",
            progress=parts.progress,
        )
        reports["test"] = _report(parts, tuned, test, scores)
        keep_predictions(parts, "test", test, scores, decision=tuned.decision, folder=folder.path)
    return reports


def _report(parts: Parts, tuned: Tuned, examples: Examples, scores: npt.NDArray[np.float32]) -> Report:
    return evaluate(
        Task.of(parts.scheme, tuned.decision),
        examples.truth,
        probabilities(scores, tuned.decision),
        sources=examples.sources.tolist(),
        options=EvaluationOptions(system=parts.recipe.name, temperature=tuned.temperature),
    )


def _manifest(parts: Parts, tuned: Tuned, history: History, reports: dict[str, Report]) -> BundleManifest:
    recipe, corpus = parts.recipe, parts.sources.corpus
    length = recipe.text.max_length
    scheme = parts.scheme
    task = Task(name=task_name(scheme.name), scheme=scheme, problem=parts.network.problem, decision=tuned.decision)
    return BundleManifest(
        name=recipe.name,
        description=recipe.description,
        created=datetime.now(tz=UTC).date().isoformat(),
        tasks=(TaskFacts.of(task),),
        languages=languages(corpus),
        text=text_options(corpus, recipe.text),
        max_length=length,
        window=WindowRule(read="end" if recipe.text.keep == "end" else "all", overlap=min(32, length // 4)),
        encoder=encoder_facts(recipe.model),
        recipe=public_recipe(recipe),
        data=data_facts(corpus),
        training=training_facts(parts, history.rows),
        tuning={} if tuned.report is None else {task.name: tuned.report.to_json()},
        metrics={name: {task.name: report.to_json()} for name, report in reports.items()},
        versions=versions(),
        licence=licence_facts(recipe.licence),
        notes=(*_epoch_notes(history), *tuned.notes, *letter_notes(parts.network.tokenizer)),
    )


def _epoch_notes(history: History) -> tuple[str, ...]:
    if not history.rows:
        return ()
    best = history.best()
    row = history.rows[-1 if best is None else best]
    chosen = "the last epoch" if best is None else f"epoch {row['epoch']:g} of {len(history.rows)}"
    reason = "" if history.metric is None else f", the best by {history.metric} on validation rows"
    return (f"The weights are those of {chosen}{reason}.",)
