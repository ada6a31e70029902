"""The fit: batches, loop, observers, and the best epoch's weights in the network at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import load_model
from transformers import TrainerState

from ottenok.core.errors import ConfigError
from ottenok.data.balance import plan
from ottenok.tasks.decision import codes
from ottenok.training.batches import LengthBatches
from ottenok.training.checkpoints import WEIGHTS, checkpoint_path, list_checkpoints
from ottenok.training.examples import ExampleSet, targets
from ottenok.training.hardware import keep_freed_memory, on_cpu
from ottenok.training.history import HISTORY_FILE, History
from ottenok.training.logs import logged
from ottenok.training.loop import ClassifierTrainer, Work
from ottenok.training.noise import RowNoise
from ottenok.training.observers import EpochObserver
from ottenok.training.processes import rank, world
from ottenok.training.scoring import check_metric
from ottenok.training.settings import optimiser_steps, training_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from transformers import TrainerCallback

    from ottenok.training.batches import EpochRows
    from ottenok.training.folder import RunFolder
    from ottenok.training.observers import EpochWatch
    from ottenok.training.prepare import Parts

__all__ = ["fit"]


def fit(parts: Parts, folder: RunFolder, *, watch: EpochWatch | None = None) -> History:
    """Train, or go on training, and leave the best epoch's weights in the network.

    Args:
        parts: What the run is made of.
        folder: Where it is.
        watch: Is shown the rows of all epochs so far after each; says whether to go on.

    Raises:
        StoppedEarly: `watch` has seen enough.
        ConfigError: The metric is none of the run's.
        ModelError: The loss is no longer a number.
    """
    metric = _metric(parts)
    if on_cpu(parts.recipe.run):
        keep_freed_memory()
    history = History(
        folder.path / HISTORY_FILE if rank() == 0 else None,
        parts.progress,
        metric=metric,
    )
    batches = _batches(parts)
    steps = optimiser_steps(parts.recipe, len(batches))
    last = _last_checkpoint(folder)
    observer = EpochObserver(
        parts.recipe.run, parts.progress, history, epochs=parts.recipe.schedule.epochs, watch=watch
    )
    state = None if last is None else TrainerState.load_from_json(str(last / "trainer_state.json"))
    if state is not None:
        history.update(state.log_history)
    with logged(parts.recipe, folder, parts.progress) as others:
        trainer = _trainer(parts, folder, batches, [observer, *others], steps)
        observer.attach(trainer)
        if state is None or not (state.global_step >= steps or history.exhausted(parts.recipe.run.patience)):
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
            state = trainer.state
    _take_best(parts, folder, trainer, state)
    return history


def _metric(parts: Parts) -> str | None:
    run = parts.recipe.run
    if parts.validation is None:
        if run.patience is not None:
            raise ConfigError("the corpus has no validation rows to stop early by", key="run.patience")
        return None
    check_metric(run.metric, parts.scheme)
    return run.metric


def _batches(parts: Parts) -> LengthBatches:
    return LengthBatches(
        parts.learning.tokens.lengths,
        _epoch_rows(parts),
        size=parts.recipe.batch.size,
        pool=parts.recipe.batch.pool,
        seed=parts.recipe.seed,
        rank=rank(),
        world=world(),
    )


def _epoch_rows(parts: Parts) -> EpochRows:
    """Return the balance plan, drawn anew for each epoch."""
    learning, options = parts.learning, parts.recipe.balance
    labels = learning.truth if parts.scheme.kind == "multi-label" else codes(learning.truth)
    most = parts.recipe.data.epoch_rows

    def rows(epoch: int) -> npt.NDArray[np.int64]:
        # A seed of its own for each epoch, and other than that of the epoch's order.
        seed = int(np.random.SeedSequence([parts.recipe.seed, epoch]).generate_state(1)[0])
        return plan(labels, learning.sources, options, seed=seed)[:most]

    return rows


def _last_checkpoint(folder: RunFolder) -> Path | None:
    found = list_checkpoints(folder.checkpoints) if folder.resumed else []
    return found[-1] if found else None


def _trainer(
    parts: Parts, folder: RunFolder, batches: LengthBatches, observers: Sequence[TrainerCallback], steps: int
) -> ClassifierTrainer:
    network, recipe = parts.network, parts.recipe
    answers = targets(parts.learning.truth, network.problem, parts.scheme.values)
    work = Work(
        network=network,
        examples=ExampleSet(
            parts.learning.tokens, answers, network.tokenizer.pad_token_id, noise=_noise(parts, batches)
        ),
        batches=batches,
        loss=parts.loss,
        setting=parts.setting,
        optim=recipe.optim,
        validate=parts.validation,
        keep=recipe.run.keep,
    )
    metric = None if parts.validation is None else recipe.run.metric
    settings = training_arguments(recipe, folder.checkpoints, steps=steps, metric=metric)
    return ClassifierTrainer(work, settings, observers)


def _noise(parts: Parts, batches: LengthBatches) -> RowNoise | None:
    options, texts = parts.recipe.noise, parts.learning.texts
    if options is None or texts is None:
        return None
    reading = parts.sources.reading("train")
    return RowNoise(
        texts=texts,
        options=options,
        seed=parts.recipe.seed,
        epoch=lambda: batches.epoch,
        encode=lambda noisy: reading.encode(reading.normal(noisy)),
    )


def _take_best(parts: Parts, folder: RunFolder, trainer: ClassifierTrainer, state: TrainerState) -> None:
    """Undo what the trainer wrapped around the model's forward pass, and load the best weights."""
    model = trainer.accelerator.unwrap_model(parts.network.model, keep_fp32_wrapper=False)
    best = None if parts.validation is None else state.best_global_step
    step = state.global_step if best is None else best
    load_model(model, str(checkpoint_path(folder.checkpoints, step) / WEIGHTS))
    model.eval()
