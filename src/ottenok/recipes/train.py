"""The training recipe: everything that decides what a run does, in one TOML file; readable without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from ottenok.core.config import merge, parse, read_toml, suggest
from ottenok.core.errors import ConfigError
from ottenok.core.table import Table
from ottenok.recipes.balance import BalanceOptions
from ottenok.recipes.files import recipe_file
from ottenok.recipes.model import HeadOptions, LinkOption, LossOptions, ModelOptions, ProblemOption
from ottenok.recipes.old_keys import translated
from ottenok.recipes.space import SearchOptions
from ottenok.recipes.variants import find_variant, take_variants
from ottenok.tasks.thresholds import ThresholdOptions
from ottenok.text.emojis import EmojiMode
from ottenok.text.noise import NoiseKind, NoiseSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ottenok.core.schemes import LabelScheme

__all__ = [
    "BatchOptions",
    "DataOptions",
    "DecisionOptions",
    "DistilOptions",
    "NoiseOptions",
    "OptimOptions",
    "RunOptions",
    "ScheduleOptions",
    "TaskOptions",
    "TeacherOptions",
    "TextLimits",
    "TrainRecipe",
    "load_recipe",
]

_MOST_ROWS = 2**40


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
    epoch_rows: int | None = Field(default=None, gt=0, le=_MOST_ROWS)
    validation_rows: int | None = Field(default=None, gt=0, le=_MOST_ROWS)


class TextLimits(Table):
    """How texts become tokens.

    Attributes:
        max_length: Most tokens of a text in training, special ones included; the rest of a longer text is cut.
        truncation_side: Which side of a longer text is cut off: `right` keeps its start, `left` its end, where reviews
            have their verdicts more often. A classifier that learned from ends reads ends in use too; one that learned
            from starts reads all of a text, in windows. Source: Sun et al., How to Fine-Tune BERT for Text
            Classification, 2019.
        emoji: What becomes of emoji and emoticons, see `ottenok.text.normalise.TextOptions`; None: as the corpus was
            built. One corpus that was built with them serves every choice, and the model does the same in use.
        capitals: What becomes of texts in capitals, likewise; None: as the corpus was built.
    """

    max_length: int = Field(default=128, ge=4, le=131_072)
    truncation_side: Literal["right", "left"] = "right"
    emoji: EmojiMode | None = None
    capitals: Literal["keep", "lower"] | None = None


class NoiseOptions(Table):
    """Noise in the texts that are learned from; validation and test texts stay as they are.

    Attributes:
        kinds: Kinds of noise; each noisy text gets one of them. See `ottenok.text.noise.add_noise`.
        rate: Share of a noisy text's words that are hit, 0..1.
        share: Share of an epoch's texts that get noise, drawn anew for each epoch, 0..1.
        light: Kind to rate, 0..1: light changes that every text of an epoch gets at this rate, each kind independently
            of the others, in the order of this table. With kinds of a whole text (`upper`, `date`, `quotes`, ...) the
            rate is the share of texts that are changed. Set `share = 0` for these alone.
    """

    kinds: Annotated[tuple[NoiseKind, ...], Field(min_length=1)] = ("typos", "asr")
    rate: float = Field(default=0.1, ge=0, le=1)
    share: float = Field(default=0.3, ge=0, le=1)
    light: dict[NoiseKind, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)


class OptimOptions(Table):
    """The optimiser.

    Attributes:
        name: `adamw` (decoupled weight decay) or `adam`.
        learning_rate: Peak learning rate of the encoder.
        head_learning_rate: Peak learning rate of everything that is new; None: the same.
        layer_decay: Each layer of the encoder learns at the rate of the one above it times this, the embeddings below
            the first; 1: all at the same rate. Source: Howard and Ruder 2018; Clark et al., ELECTRA, 2020.
        weight_decay: Not applied to biases and norms.
        adam_beta1: Decay rate of the first moment.
        adam_beta2: Decay rate of the second moment.
        adam_epsilon: Added to the denominator.
        max_grad_norm: Largest norm of the gradient; 0: no clipping.
    """

    name: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = Field(default=5e-5, gt=0, allow_inf_nan=False)
    head_learning_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0, le=100)
    adam_beta1: float = Field(default=0.9, ge=0, lt=1)
    adam_beta2: float = Field(default=0.999, ge=0, lt=1)
    adam_epsilon: float = Field(default=1e-8, gt=0, le=1)
    max_grad_norm: float = Field(default=1.0, ge=0, allow_inf_nan=False)


class ScheduleOptions(Table):
    """The learning rate over time.

    Attributes:
        lr_scheduler_type: `linear` or `cosine` decay to zero, or `constant`.
        warmup_ratio: Share of all steps that it takes to reach the peak.
        num_train_epochs: Passes over the data.
        max_steps: Stop after so many optimiser steps, also in the middle of an epoch; the decay ends there.
    """

    lr_scheduler_type: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = Field(default=0.06, ge=0, lt=1)
    num_train_epochs: int = Field(default=3, gt=0, le=1_000_000)
    max_steps: int | None = Field(default=None, gt=0, le=_MOST_ROWS)


class BatchOptions(Table):
    """How rows become batches.

    Attributes:
        batch_size: Texts in a batch, on each device.
        gradient_accumulation_steps: Batches in an optimiser step.
        pool: Batches that are sorted by length together, so that a batch's texts are about equally long; 1: no sorting.
        eval_batch_size: Texts in a batch of validation.
    """

    batch_size: int = Field(default=32, gt=0, le=65_536)
    gradient_accumulation_steps: int = Field(default=1, gt=0, le=65_536)
    pool: int = Field(default=50, gt=0, le=1_000_000)
    eval_batch_size: int = Field(default=64, gt=0, le=65_536)


class RunOptions(Table):
    """How the run goes.

    Attributes:
        precision: `auto` is bf16 where the hardware computes with it (GPUs, CPUs with avx512_bf16 or AMX), else fp32;
            `fp16` needs a GPU.
        device: `auto` takes a GPU where there is one; `cuda` insists on it.
        metric: The measure that the best epoch is chosen by: `loss`, or a name of the epoch table, such as `macro_f1`,
            `cell_f1` or, where there are several tasks, `<task>/macro_f1`.
        patience: Stop after so many epochs without a better one; None: never.
        save_steps: Save a checkpoint after so many optimiser steps; None: not by steps.
        save_minutes: Save a checkpoint after so many minutes; None: not by time.
        save_total_limit: Checkpoints that are kept, besides the best epoch's.
        test: Score the corpus's test rows at the end, for the model card.
        tensorboard: Log to TensorBoard, in the folder `tensorboard` of the run.
        mlflow: Log to MLflow, in the folder `mlflow` of the run, or where `MLFLOW_TRACKING_URI` says (command line).
        export: Write the ONNX graphs at the end; without them the classifier is for torch alone, until
            `ottenok export`. A study of many variants can do without.
        robustness: Noise, each as `kind:rate` (see `ottenok.text.noise`), under which at most 2,000 test rows (without
            those, validation rows) are read again at the end: the card shows how many answers change. Needs `export`.
    """

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    metric: str = "macro_f1"
    patience: int | None = Field(default=None, gt=0)
    save_steps: int | None = Field(default=None, gt=0)
    save_minutes: float | None = Field(default=10.0, gt=0)
    save_total_limit: int = Field(default=2, gt=0)
    test: bool = True
    tensorboard: bool = False
    mlflow: bool = False
    export: bool = True
    robustness: tuple[str, ...] = ()

    @field_validator("robustness")
    @classmethod
    def _known_noise(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            try:
                NoiseSpec.parse(one)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return given


class DecisionOptions(Table):
    """How logits become labels.

    Attributes:
        temperature: Fit a temperature on the validation rows.
        thresholds: Fit thresholds on the validation rows (multi-label only); None: 0.5 for every label.
        empty: What a multi-label answer without labels becomes: `allow`: it stays empty; `top`: the most probable
            label; or a label, such as `neutral`.
        exclusive: A multi-label scheme's label that means "none of the others", such as `neutral`: beside others it is
            the answer, or they are, whichever is further above its threshold. Empty: labels may all come together, as
            data sets of emotions have it.
    """

    temperature: bool = True
    thresholds: ThresholdOptions | None = None
    empty: str = "allow"
    exclusive: str = ""


class TaskOptions(Table):
    """What one task of several has for itself; what is not said is as `[model]`, `[loss]` and `[decision]` have it.

    Attributes:
        name: Of the corpus's task.
        weight: Of its loss among the tasks' losses.
        problem: See `ModelOptions.problem`.
        pooling: See `ModelOptions.pooling`.
        head: See `HeadOptions`.
        link: See `ModelOptions.link`.
        loss: See `LossOptions`.
        decision: See `DecisionOptions`.
    """

    name: str
    weight: float = Field(default=1.0, gt=0, le=1e6)
    problem: ProblemOption | None = None
    pooling: str | None = None
    head: HeadOptions | None = None
    link: LinkOption | None = None
    loss: LossOptions | None = None
    decision: DecisionOptions | None = None


class TeacherOptions(Table):
    """Soft targets: what a teacher thinks of the texts, beside their labels or instead of them.

    Attributes:
        file: Parquet with the column `id` and float32 columns `p:<task>:<label>` (probabilities) or `z:<task>:<label>`
            (logits) for one task or more; rows of the corpus that are not in it are learned by their labels alone.
        weight: Share of the teacher in a task's loss, 0..1; the rest is the labels'. 1: labels are not looked at.
        temperature: Softens what both say (Hinton, Vinyals and Dean 2015); above 0.
    """

    file: str
    weight: float = Field(default=0.5, ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0, le=100)


class DistilOptions(Table):
    """What `ottenok distil` makes a student from; `ottenok train` reads `hidden_weight` and `teachers` alone.

    Attributes:
        teachers: Folders or hub names of classifiers; where several know a task, their probabilities are averaged.
        unlabelled: Files with texts that no label is needed for, read as `ottenok classify` reads files.
        text: Their column with the texts.
        weight: See `TeacherOptions`.
        temperature: See `TeacherOptions`.
        hidden_weight: Weight of the mean squared distance between the student's hidden states and those of the first
            teacher, at the layers that the student was made of (Romero et al. 2015); 0: they are not looked at. Teacher
            and student must have the same width and the same tokenizer.
    """

    teachers: Annotated[tuple[str, ...], Field(min_length=1)]
    unlabelled: tuple[str, ...] = ()
    text: str = "text"
    weight: float = Field(default=0.7, ge=0, le=1)
    temperature: float = Field(default=2.0, gt=0, le=100)
    hidden_weight: float = Field(default=0.0, ge=0, le=1e6)


class TrainRecipe(Table):
    """A training recipe.

    Attributes:
        name: Short name; a recipe of the repository has the name of its file.
        licence: SPDX identifier of the trained weights' licence; `unknown` where the data's terms leave it open.
        description: What it makes, in a sentence.
        seed: Everything random starts from it.
        tasks: What single tasks of the corpus have for themselves, and which of them are learned; empty: all.
        noise: Noise in the texts that are learned from; None: none.
        teacher: Soft targets; None: labels alone.
        distil: What `ottenok distil` makes a student from; None: nothing.
        search: What `ottenok search` may change; None: the built-in space.
    """

    name: str
    description: str = ""
    licence: str = "unknown"
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    data: DataOptions = DataOptions()
    text: TextLimits = TextLimits()
    noise: NoiseOptions | None = None
    model: ModelOptions
    loss: LossOptions = LossOptions()
    tasks: tuple[TaskOptions, ...] = ()
    teacher: TeacherOptions | None = None
    balance: BalanceOptions = BalanceOptions()
    optim: OptimOptions = OptimOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    batch: BatchOptions = BatchOptions()
    run: RunOptions = RunOptions()
    decision: DecisionOptions = DecisionOptions()
    distil: DistilOptions | None = None
    search: SearchOptions | None = None

    @classmethod
    def upgraded(cls, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read recipes, manifests and runs of earlier versions."""
        return translated(tree)[0]

    def task_options(self, schemes: Mapping[str, LabelScheme]) -> tuple[TaskOptions, ...]:
        """Return the tasks that are learned, with everything said, in the recipe's order.

        Of the recipe's own `[decision]`, a task with one label per text takes the temperature only, where the corpus
        has several tasks.

        Args:
            schemes: Name to labels of the corpus's tasks, the primary one first.

        Raises:
            ConfigError: The recipe names a task that the corpus has not, or one twice.
        """
        seen: set[str] = set()
        for place, task in enumerate(self.tasks):
            if task.name not in schemes or task.name in seen:
                known = "the corpus has no task" if task.name not in schemes else "twice the task"
                key = f"tasks.{place}.name"
                raise ConfigError(f"{known} {task.name!r}", hint=suggest(task.name, schemes), key=key)
            seen.add(task.name)
        usual = {
            "problem": self.model.problem,
            "pooling": self.model.pooling,
            "head": self.model.head,
            "link": self.model.link,
            "loss": self.loss,
            "decision": self.decision,
        }
        short = DecisionOptions(temperature=self.decision.temperature)
        found = []
        for task in self.tasks or [TaskOptions(name=name) for name in schemes]:
            given = usual
            if len(schemes) > 1 and schemes[task.name].kind != "multi-label":
                given = {**usual, "decision": short}
            found.append(task.model_copy(update={key: one for key, one in given.items() if getattr(task, key) is None}))
        return tuple(found)


def load_recipe(
    name: str | Path,
    over: Mapping[str, Any] | None = None,
    *,
    variant: str | None = None,
    note: Callable[[str], None] | None = None,
) -> TrainRecipe:
    """Read a recipe by path or by name and lay overrides over it.

    Args:
        name: A TOML file, or the name of a recipe that ottenok has.
        over: Nested mapping of the keys to replace, as `ottenok.core.config.override` makes it.
        variant: Which of the recipe's variants, for a recipe that has some; see `ottenok.recipes.variants`.
        note: Is told of keys with the names of an earlier version.

    Raises:
        ConfigError: There is no such recipe, a key or a value is wrong, or the recipe has variants and none is named.
    """
    path = recipe_file(name)
    found = take_variants(read_toml(path), file=str(path))
    if found.variants and variant is None:
        raise ConfigError(
            f"this recipe is a study of {len(found.variants)} variants",
            hint=f"Train them all with: ottenok study {name} -o FOLDER. "
            f"Or one of them, with --variant: {', '.join(one.name for one in found.variants)}.",
            file=str(path),
        )
    tree = found.tree
    if variant is not None:
        tree = find_variant(found.variants, variant, file=str(path)).apply(tree)
    given, notes = translated(over or {})
    if note is not None:
        for line in dict.fromkeys([*found.notes, *notes]):
            note(line)
    return parse(TrainRecipe, merge(tree, given), file=str(path))
