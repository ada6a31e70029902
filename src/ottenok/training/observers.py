# ruff: noqa: ARG002 - transformers calls every observer with the same arguments
"""Observers of the training loop: progress, batch order, checkpoints in the middle of an epoch, history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from ottenok.core.progress import Progress
    from ottenok.recipes.train import RunOptions
    from ottenok.training.history import History
    from ottenok.training.loop import ClassifierTrainer

    EpochWatch = Callable[[Sequence[dict[str, float]]], bool]

__all__ = ["EpochObserver", "StoppedEarly", "Watch"]


class StoppedEarly(Exception):  # noqa: N818 - no error: who watches the run has seen enough
    """Ends a run that its watcher wants no more of."""


class Watch:
    """Counts the seconds of training steps only."""

    def __init__(self) -> None:
        self._since: float | None = None

    def go(self) -> None:
        """Start, or go on."""
        self._since = time.monotonic()

    def lap(self) -> float:
        """Return the seconds since the last `go` or `lap`; 0 if it does not run."""
        now = time.monotonic()
        seconds = 0.0 if self._since is None else now - self._since
        self._since = now
        return seconds


class EpochObserver(TrainerCallback):
    """Keeps the batch order, the meter, the progress and the history in step with the loop.

    Args:
        run: When checkpoints are due.
        progress: Whom to tell.
        history: Gets a row per epoch.
        epochs: Epochs of the whole run.
        watch: Is shown the rows of all epochs so far after each; says whether to go on.
    """

    def __init__(
        self,
        run: RunOptions,
        progress: Progress,
        history: History,
        *,
        epochs: int,
        watch: EpochWatch | None = None,
    ) -> None:
        self.run = run
        self.progress = progress
        self.history = history
        self.epochs = epochs
        self.watch = watch
        self.trainer: ClassifierTrainer | None = None
        self._watch = Watch()
        self._saved = time.monotonic()
        self._told = 0

    def attach(self, trainer: ClassifierTrainer) -> None:
        """Say whose loop this observes; the trainer is made after its observers."""
        self.trainer = trainer

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Set the order of the epoch, and begin or take up its meter."""
        trainer = self._attached()
        steps = self._steps()
        epoch = state.global_step // steps
        trainer.work.batches.set_epoch(epoch)
        if state.global_step % steps == 0:
            trainer.meter = type(trainer.meter)()
        self._told = trainer.meter.texts
        # What an earlier process did of this epoch is left out, so that the rate and the time left are true.
        left = max(self._share() - self._told, 0)
        self.progress.start(f"epoch {epoch + 1}/{self.epochs}", total=left, unit="texts")
        self._watch.go()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Report the step, and ask for a checkpoint if one is due."""
        meter = self._attached().meter
        meter.seconds += self._watch.lap()
        self.progress.advance(meter.texts - self._told)
        self._told = meter.texts
        # The end of an epoch saves anyway, after its evaluation.
        control.should_save = self._due(state.global_step) and state.global_step % self._steps() != 0
        if control.should_training_stop:
            control.should_save = False

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Start the checkpoint's clock again; saving is no training time."""
        self._saved = time.monotonic()
        self._watch.lap()

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """End the epoch's progress, before evaluation begins its own."""
        self.progress.finish()

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Write and tell the epoch's row, and stop if there was no better one for long.

        Raises:
            StoppedEarly: Who watches the run wants no more of it.
        """
        self.history.update(state.log_history)
        if self.watch is not None and not self.watch(self.history.rows):
            raise StoppedEarly
        if self.history.exhausted(self.run.patience):
            control.should_training_stop = True

    def _due(self, step: int) -> bool:
        by_steps = self.run.checkpoint_steps is not None and step % self.run.checkpoint_steps == 0
        minutes = (time.monotonic() - self._saved) / 60.0
        return by_steps or (self.run.checkpoint_minutes is not None and minutes >= self.run.checkpoint_minutes)

    def _steps(self) -> int:
        trainer = self._attached()
        return max(1, -(-len(trainer.work.batches) // trainer.args.gradient_accumulation_steps))

    def _share(self) -> int:
        batches = self._attached().work.batches
        return -(-batches.count // batches.world)

    def _attached(self) -> ClassifierTrainer:
        if self.trainer is None:
            raise RuntimeError("the observer is used before it is attached to a trainer")
        return self.trainer
