"""The training recipe: everything that decides what a run does, in one TOML file; readable without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ottenok.core.config import merge, parse, read_toml
from ottenok.core.errors import ConfigError
from ottenok.core.table import Table
from ottenok.recipes.arms import find_arm, take_arms
from ottenok.recipes.balance import BalanceOptions
from ottenok.recipes.files import recipe_file
from ottenok.recipes.model import LossOptions, ModelOptions
from ottenok.recipes.space import SearchOptions
from ottenok.tasks.thresholds import ThresholdOptions
from ottenok.text.emojis import EmojiMode
from ottenok.training.noise import NoiseOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "BatchOptions",
    "DataOptions",
    "DecisionOptions",
    "OptimOptions",
    "RunOptions",
    "ScheduleOptions",
    "TextLimits",
    "TrainRecipe",
    "load_recipe",
]


class DataOptions(Table):
    """What is learned from.

    Attributes:
        recipe: Name or path of the corpus recipe that builds the corpus.
        corpus: A built corpus folder; given, it is used instead of building one.
        file: The user's own file, from which a corpus is built; see `ottenok.recipes.corpus.OwnData`.
        text: Its text column.
        label: Its label column, or the names of several 0/1 columns.
        scheme: The label scheme that its labels belong to; `own`: they are a scheme of their own.
        epoch_rows: Rows of an epoch, drawn anew for each from what the balance plan gives; None: all of them.
        validation_rows: Most validation rows that an epoch is measured on (drawn once, by the seed); None: all.
    """

    recipe: str | None = None
    corpus: str | None = None
    file: str | None = None
    text: str | int = "text"
    label: str | int | tuple[str, ...] = "label"
    scheme: str = "own"
    epoch_rows: int | None = Field(default=None, gt=0)
    validation_rows: int | None = Field(default=None, gt=0)


class TextLimits(Table):
    """How texts become tokens.

    Attributes:
        max_length: Most tokens of a text in training, special ones included; the rest of a longer text is cut.
        keep: Which end of a longer text is learned from. Verdicts of reviews stand at the `end` more often than at the
            `start`. A classifier that learned from ends reads ends in use too; one that learned from starts reads all
            of a text, in windows. Source: Sun et al., How to Fine-Tune BERT for Text Classification, 2019.
        emoji: What becomes of emoji and emoticons, see `ottenok.text.normalise.TextOptions`; None: as the corpus was
            built. One corpus that was built with them serves every choice, and the model does the same in use.
    """

    max_length: int = Field(default=128, ge=4)
    keep: Literal["start", "end"] = "start"
    emoji: EmojiMode | None = None


class OptimOptions(Table):
    """The optimiser.

    Attributes:
        name: `adamw` (decoupled weight decay) or `adam`.
        lr: Peak learning rate of the encoder.
        head_lr: Peak learning rate of everything that is new; None: the same.
        weight_decay: Not applied to biases and norms.
        betas: Decay rates of the two moments.
        epsilon: Added to the denominator.
        clip: Largest norm of the gradient; 0: no clipping.
    """

    name: Literal["adamw", "adam"] = "adamw"
    lr: float = Field(default=5e-5, gt=0)
    head_lr: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0)
    clip: float = Field(default=1.0, ge=0)


class ScheduleOptions(Table):
    """The learning rate over time.

    Attributes:
        name: `linear` or `cosine` decay to zero, or `constant`.
        warmup: Share of all steps that it takes to reach the peak.
        epochs: Passes over the data.
        max_steps: Stop after so many optimiser steps, also in the middle of an epoch; the decay ends there.
    """

    name: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.06, ge=0, lt=1)
    epochs: int = Field(default=3, gt=0)
    max_steps: int | None = Field(default=None, gt=0)


class BatchOptions(Table):
    """How rows become batches.

    Attributes:
        size: Texts in a batch, on each device.
        accumulate: Batches in an optimiser step.
        pool: Batches that are sorted by length together, so that a batch's texts are about equally long; 1: no sorting.
        evaluation: Texts in a batch of validation.
    """

    size: int = Field(default=32, gt=0)
    accumulate: int = Field(default=1, gt=0)
    pool: int = Field(default=50, gt=0)
    evaluation: int = Field(default=64, gt=0)


class RunOptions(Table):
    """How the run goes.

    Attributes:
        precision: `auto` is bf16 where the hardware computes with it (GPUs, CPUs with avx512_bf16 or AMX), else fp32.
        device: `auto` takes a GPU where there is one.
        metric: The measure that the best epoch is chosen by: `loss`, or a name of the epoch table.
        patience: Stop after so many epochs without a better one; None: never.
        checkpoint_steps: Save a checkpoint after so many optimiser steps; None: not by steps.
        checkpoint_minutes: Save a checkpoint after so many minutes; None: not by time.
        keep: Checkpoints that are kept, besides the best epoch's.
        test: Score the corpus's test rows at the end, for the model card.
        tensorboard: Log to TensorBoard, in the folder `tensorboard` of the run.
        mlflow: Log to MLflow, in the folder `mlflow` of the run, or where `MLFLOW_TRACKING_URI` says (command line).
        export: Write the ONNX graphs at the end; without them the classifier is for torch alone, until
            `ottenok export`. A study of many arms can do without.
    """

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu"] = "auto"
    metric: str = "macro_f1"
    patience: int | None = Field(default=None, gt=0)
    checkpoint_steps: int | None = Field(default=None, gt=0)
    checkpoint_minutes: float | None = Field(default=10.0, gt=0)
    keep: int = Field(default=2, gt=0)
    test: bool = True
    tensorboard: bool = False
    mlflow: bool = False
    export: bool = True


class DecisionOptions(Table):
    """How scores become labels.

    Attributes:
        temperature: Fit a temperature on the validation rows.
        thresholds: Fit thresholds on the validation rows (multi-label only); None: 0.5 for every label.
        empty: What a multi-label answer without labels becomes: `allow`: it stays empty; `top`: the most probable
            label; or a label, such as `neutral`.
        exclusive: A multi-label scheme's label that means "none of the others", such as `neutral`: it is left out of an
            answer that has another label. Empty: labels may all come together, as data sets of emotions have it.
    """

    temperature: bool = True
    thresholds: ThresholdOptions | None = None
    empty: str = "allow"
    exclusive: str = ""


class TrainRecipe(Table):
    """A training recipe.

    Attributes:
        name: Short name; a recipe of the repository has the name of its file.
        licence: SPDX identifier of the trained weights' licence; `unknown` where the data's terms leave it open.
        description: What it makes, in a sentence.
        seed: Everything random starts from it.
        noise: Noise in the texts that are learned from; None: none.
        search: What `ottenok search` may change; None: the built-in space.
    """

    name: str
    description: str = ""
    licence: str = "unknown"
    seed: int = Field(default=42, ge=0)
    data: DataOptions = DataOptions()
    text: TextLimits = TextLimits()
    noise: NoiseOptions | None = None
    model: ModelOptions
    loss: LossOptions = LossOptions()
    balance: BalanceOptions = BalanceOptions()
    optim: OptimOptions = OptimOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    batch: BatchOptions = BatchOptions()
    run: RunOptions = RunOptions()
    decision: DecisionOptions = DecisionOptions()
    search: SearchOptions | None = None


def load_recipe(name: str | Path, over: Mapping[str, Any] | None = None, *, arm: str | None = None) -> TrainRecipe:
    """Read a recipe by path or by name and lay overrides over it.

    Args:
        name: A TOML file, or the name of a recipe that ottenok has.
        over: Nested mapping of the keys to replace, as `ottenok.core.config.override` makes it.
        arm: Which of the recipe's arms, for a recipe that has some; see `ottenok.recipes.arms`.

    Raises:
        ConfigError: There is no such recipe, a key or a value is wrong, or the recipe has arms and none is named.
    """
    path = recipe_file(name)
    found = take_arms(read_toml(path), file=str(path))
    if found.arms and arm is None:
        raise ConfigError(
            f"this recipe is a study of {len(found.arms)} arms",
            hint=f"Train them all with: ottenok study {name} -o FOLDER. "
            f"Or one of them, with --arm: {', '.join(one.name for one in found.arms)}.",
            file=str(path),
        )
    tree = found.tree if arm is None else find_arm(found.arms, arm, file=str(path)).apply(found.tree)
    return parse(TrainRecipe, merge(tree, over or {}), file=str(path))
