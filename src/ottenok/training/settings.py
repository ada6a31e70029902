"""transformers' settings from a recipe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from transformers import TrainingArguments

from ottenok.tasks.metrics import higher_is_better
from ottenok.training.hardware import on_cpu, precision

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.recipes.train import TrainRecipe

__all__ = ["LOG_STEPS", "optimiser_steps", "training_arguments"]

# Steps between two entries of the learning curve.
LOG_STEPS = 50

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def optimiser_steps(recipe: TrainRecipe, batches: int) -> int:
    """Return the optimiser steps of the whole run, for so many batches in an epoch."""
    steps = recipe.schedule.epochs * math.ceil(batches / recipe.batch.accumulate)
    return min(steps, recipe.schedule.max_steps or steps)


def training_arguments(recipe: TrainRecipe, folder: Path, *, steps: int, metric: str | None) -> TrainingArguments:
    """Return the settings of transformers' `Trainer`.

    Args:
        recipe: The recipe.
        folder: Where checkpoints go.
        steps: Optimiser steps of the whole run.
        metric: The measure that the best epoch is chosen by, without its prefix; None without validation.
    """
    number = precision(recipe.run)
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=recipe.batch.size,
        gradient_accumulation_steps=recipe.batch.accumulate,
        max_steps=steps,
        lr_scheduler_type=_SCHEDULES[recipe.schedule.name],
        warmup_steps=math.ceil(steps * recipe.schedule.warmup),
        max_grad_norm=recipe.optim.clip,
        seed=recipe.seed,
        bf16=number == "bf16",
        fp16=number == "fp16",
        use_cpu=on_cpu(recipe.run),
        # Epochs end with an evaluation and a checkpoint; the observer adds checkpoints in between.
        eval_strategy="epoch",
        save_strategy="epoch",
        metric_for_best_model=None if metric is None else f"eval_{metric}",
        greater_is_better=None if metric is None else higher_is_better(metric),
        load_best_model_at_end=False,
        logging_steps=LOG_STEPS,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=not on_cpu(recipe.run),
    )
