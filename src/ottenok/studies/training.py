"""Train a classifier and make it ready to use: corpus, training, ONNX graphs, model card."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.bundle.folder import Bundle, open_bundle
from ottenok.bundle.manifest import ONNX, ONNX_INT8
from ottenok.core.config import merge, parse
from ottenok.core.errors import DataError, ModelError
from ottenok.core.lazy import check_extra, need
from ottenok.core.progress import SILENT, Progress
from ottenok.inference.api import load_bundle
from ottenok.recipes.train import TrainRecipe, load_recipe
from ottenok.studies.cards import record, rewrite_card
from ottenok.studies.evaluation import evaluate_rows
from ottenok.studies.robustness import changes
from ottenok.studies.rows import sample_rows, task_rows
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.data.corpus import Split
    from ottenok.tasks.report import Report

__all__ = ["Trained", "train"]

# Validation rows that int8 is measured on; enough to see a change of 2 % of the labels.
_MEASURED = 2000
_HOME = Places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished classifier.

    Attributes:
        bundle: Its folder, with ONNX graphs and card.
        reports: Split (`validation`, `test`) to task to what was measured with the torch model.
        epochs: The rows of `history.jsonl`.
        notes: What came of the ONNX graphs, a sentence each.
    """

    bundle: Bundle
    reports: dict[str, dict[str, Report]]
    epochs: list[dict[str, float]]
    notes: tuple[str, ...]


def train(
    recipe: str | Path | TrainRecipe,
    out: str | Path,
    *,
    over: Mapping[str, Any] | None = None,
    resume: bool = False,
    weights: str | Path | None = None,
    weights_facts: str | Path | None = None,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> Trained | None:
    """Train a classifier from a recipe.

    Args:
        recipe: A TOML file, the name of a recipe that ottenok has, or a recipe.
        out: The classifier's folder; empty or absent unless `resume`.
        over: Keys to replace in the recipe, nested; see `ottenok.core.config.override`.
        resume: Go on with the run that is in `out`; one that was killed at any moment ends as if it had not been.
        weights: Safetensors of the network, learned elsewhere: nothing is learned here; see
            `ottenok.training.run.train`.
        weights_facts: JSON of what learning them took, in place of the metadata of `weights`.
        places: Where data is.
        progress: Whom to tell.

    Returns:
        What came out; None in processes other than the first, where torchrun started several.

    Raises:
        OttenokError: The recipe or the data is wrong; see `ottenok.training.run.train`.
        MissingExtraError: The extra `train` is not installed.
    """
    check_extra("train")
    if isinstance(recipe, TrainRecipe):
        resolved = parse(TrainRecipe, merge(recipe.model_dump(mode="json"), TrainRecipe.upgraded(over or {})))
    else:
        resolved = load_recipe(recipe, over)
    with need("train"):
        from ottenok.training.observers import finish_mlflow
        from ottenok.training.run import check_ready
        from ottenok.training.run import train as run
    # Before a corpus is built for minutes.
    check_ready(resolved)
    corpus = corpus_of(resolved.data, places, progress)
    fitted = run(
        resolved,
        corpus=corpus,
        out=Path(out),
        resume=resume,
        tracking=places.tracking,
        weights=None if weights is None else Path(weights),
        weights_facts=None if weights_facts is None else Path(weights_facts),
        progress=progress,
    )
    if fitted is None:
        return None
    ready = not resolved.run.export or (fitted.bundle.has(ONNX) and fitted.bundle.has(ONNX_INT8))
    notes: list[str] = []
    if not ready:
        with need("train"):
            from ottenok.export.onnx import export
            from ottenok.export.quantise import quantise
        exported = export(fitted.bundle.folder, progress=progress)
        notes.append(f"{ONNX} gives the logits of the torch model to {exported.difference:.1e}.")
        table = corpus.table("validation", columns=("text", *(task.column for task in corpus.tasks)))
        if table.num_rows > _MEASURED:
            rows = random.Random(0).sample(range(table.num_rows), _MEASURED)  # noqa: S311 - a sample, no secret
            table = table.take(sorted(rows))
        texts = table.column("text").to_pylist()
        labels = {task.name: table.column(task.column).to_pylist() for task in corpus.tasks}
        try:
            measured = quantise(fitted.bundle.folder, texts=texts, labels=labels, progress=progress)
            for name, parity in measured.tasks.items():
                place = f" of {name}" if len(measured.tasks) > 1 else ""
                notes.append(f"The int8 graph keeps {parity.same:.1%} of the labels{place} on {measured.texts} texts.")
        except (DataError, ModelError) as error:  # no reason to lose the model
            notes.append(f"There is no int8 graph: {error.message}.")
        for note in notes:
            progress.note(note)
    bundle = open_bundle(out)
    if resolved.run.robustness and not bundle.manifest.robustness and any(map(bundle.has, (ONNX, ONNX_INT8))):
        split: Split = "test" if "test" in fitted.reports else "validation"
        tasks = bundle.manifest.task_list(canonical=True)
        labelled = task_rows(corpus.folder, tasks, split=split, places=places, progress=progress)
        measured_rows = {name: sample_rows(one, _MEASURED) for name, one in labelled.items()}
        noisy = evaluate_rows(
            load_bundle(bundle),
            measured_rows,
            baselines=False,
            noise=changes(resolved.run.robustness, seed=resolved.seed),
            progress=progress,
        )
        bundle = record(bundle.folder, noisy, reports=False)
    card = rewrite_card(bundle)
    if resolved.run.mlflow:
        finish_mlflow(bundle.folder, resolved, fitted.reports, card=card, tracking=places.tracking, progress=progress)
    return Trained(bundle=bundle, reports=fitted.reports, epochs=fitted.epochs, notes=tuple(notes))
