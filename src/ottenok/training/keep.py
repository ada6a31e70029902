"""What a finished run keeps beside its weights: its predictions, and what the training took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ottenok.bundle.manifest import TrainingFacts
from ottenok.tasks.decision import probabilities
from ottenok.tasks.predictions import Predictions, predictions_file, save_predictions
from ottenok.training.hardware import on_cpu, precision
from ottenok.training.prepare import validation_sample
from ottenok.training.processes import world

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ottenok.data.corpus import Split
    from ottenok.tasks.decision import Decision
    from ottenok.training.examples import Examples
    from ottenok.training.prepare import Parts

__all__ = ["keep_predictions", "training_facts"]


def keep_predictions(
    parts: Parts,
    split: Split,
    examples: Examples,
    scores: npt.NDArray[np.float32],
    *,
    decision: Decision,
    folder: Path,
) -> Path:
    """Write the model's probabilities on a split into the run's folder; see `ottenok.tasks.predictions`.

    Args:
        parts: The run.
        split: Of the corpus.
        examples: Its rows, for validation the sample that the run is measured on.
        scores: float32 `[rows, outputs]` of the model as it is saved.
        decision: Turns them into probabilities.
        folder: Of the run.
    """
    ids, sources = _rows(parts, split)
    return save_predictions(
        predictions_file(folder, split),
        Predictions(
            ids=tuple(ids),
            sources=tuple(sources),
            labels=parts.scheme.labels,
            truth=examples.truth,
            probs=probabilities(scores, decision),
            system=parts.recipe.name,
            scheme=parts.scheme.name,
        ),
    )


def _rows(parts: Parts, split: Split) -> tuple[list[str], list[str]]:
    """Return the ids and sources of a split's rows, in the order in which `read_examples` gives them.

    They are read again rather than kept with the examples: a million ids of training rows would be held for nothing.
    """
    table = parts.sources.corpus.table(split, columns=("id", "source"))
    sample = validation_sample(parts.recipe, table.num_rows) if split == "validation" else None
    if sample is not None:
        table = table.take(sample)
    return table.column("id").to_pylist(), table.column("source").to_pylist()


def training_facts(parts: Parts, epochs: Sequence[dict[str, float]]) -> TrainingFacts:
    """Return what the training took, from its table of epochs and its network."""
    run, weights = parts.recipe.run, list(parts.network.model.parameters())
    return TrainingFacts(
        epochs=len(epochs),
        seconds=round(60.0 * sum(row["minutes"] for row in epochs), 3),
        texts=int(sum(row["texts"] for row in epochs)),
        tokens=int(sum(row["tokens"] for row in epochs)),
        parameters=sum(weight.numel() for weight in weights),
        trained=sum(weight.numel() for weight in weights if weight.requires_grad),
        device="cpu" if on_cpu(run) else torch.cuda.get_device_name(),
        processes=world(),
        threads=torch.get_num_threads(),
        precision=precision(run),
    )
