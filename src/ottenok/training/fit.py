"""From a recipe and a corpus to a fitted network: what a run is made of, and its epochs."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT, Progress
from ottenok.data.balance import (
    check_rates,
    class_counts,
    class_weights,
    plan,
    positive_weights,
    row_weights,
)
from ottenok.models.encoder import lost_letters
from ottenok.models.losses import FUNCTIONS, LossSetting, TaskLoss
from ottenok.models.network import Network, build
from ottenok.recipes.model import resolve_loss
from ottenok.tasks.decision import codes
from ottenok.tasks.task import task_name
from ottenok.training.checkpoints import last_intact
from ottenok.training.dataset import (
    BatchMaker,
    Examples,
    LengthBatches,
    Reading,
    RowNoise,
    read_examples,
    read_soft_targets,
)
from ottenok.training.distil import HiddenLoss
from ottenok.training.facts import text_options
from ottenok.training.folder import HISTORY_FILE
from ottenok.training.hardware import device_of, keep_freed_memory, precision, rank, world
from ottenok.training.loop import CHECK_STEPS, Loop, Work
from ottenok.training.measure import Validation, check_metric
from ottenok.training.observers import History, StoppedEarly, observers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Corpus, CorpusTask, Split
    from ottenok.recipes.model import LossOptions, Problem
    from ottenok.recipes.train import TrainRecipe
    from ottenok.training.dataset import TaskLabels, TokenMemory
    from ottenok.training.folder import RunFolder
    from ottenok.training.observers import Observer

    EpochWatch = Callable[[Sequence[dict[str, float]]], bool]

__all__ = ["Parts", "fit", "label_weights", "letter_notes", "prepare", "schemes_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a run is made of.

    Attributes:
        recipe: The recipe.
        corpus: What is learned from.
        tasks: The corpus's tasks that are learned, in the network's order.
        network: The network, drawn from the recipe's seed.
        learning: The rows to learn from.
        validation: The rows to validate on; None if the corpus has none.
        losses: Of the tasks.
        progress: Is told what happens; silent in processes other than the first.
        memory: Tokens of earlier runs on the same corpus.
    """

    recipe: TrainRecipe
    corpus: Corpus
    tasks: tuple[CorpusTask, ...]
    network: Network
    learning: Examples
    validation: Validation | None
    losses: tuple[TaskLoss, ...]
    progress: Progress
    memory: TokenMemory | None = None

    def read(self, split: Split) -> Examples:
        """Read and tokenise a split, unless its tokens are known; of validation, the rows that a run is measured on."""
        return _read(self.recipe, self.corpus, self.tasks, self.network, split, self.progress, self.memory)

    def ids(self, split: Split) -> list[str]:
        """Return the ids of the rows that `read` gives.

        They are read again rather than kept with the examples: a million ids of training rows would be held for
        nothing.
        """
        found: list[str] = self.corpus.table(split, columns=("id",)).column("id").to_pylist()
        sample = _sample(self.recipe, len(found)) if split == "validation" else None
        return found if sample is None else [found[row] for row in sample]


def schemes_of(corpus: Corpus) -> dict[str, LabelScheme]:
    """Return name to labels of a corpus's tasks; a name that a file or a graph can't carry is changed."""
    return {task_name(task.name): task.scheme for task in corpus.tasks}


def prepare(recipe: TrainRecipe, corpus: Corpus, progress: Progress, *, memory: TokenMemory | None = None) -> Parts:
    """Build the network and read the corpus. Seed everything before.

    Args:
        recipe: What to do.
        corpus: What to learn from.
        progress: Is told what happens.
        memory: Tokens of earlier runs on the same corpus.

    Raises:
        ConfigError: The recipe does not fit the corpus.
        DataError: The corpus has no rows to learn from.
        ModelError: The encoder can't be loaded.
    """
    schemes = schemes_of(corpus)
    network = build(recipe, schemes)
    losses = [
        resolve_loss(options.loss or recipe.loss, task.problem)
        for task, options in zip(network.tasks, network.options, strict=True)
    ]
    if network.limit is not None and recipe.text.max_length > network.limit:
        raise ConfigError(
            f"found {recipe.text.max_length}, but the encoder reads at most {network.limit} tokens",
            key="text.max_length",
        )
    observer = progress if rank() == 0 else SILENT
    for note in letter_notes(network.tokenizer):
        observer.note(note)
    if recipe.model.init_from is not None:
        taken = ", ".join(network.started) or "none"
        observer.note(f"Heads that are taken from {recipe.model.init_from}: {taken}.")
    by_name = {task_name(task.name): task for task in corpus.tasks}
    tasks = tuple(by_name[task.name] for task in network.tasks)
    check_rates(recipe.balance, [source["name"] for source in corpus.manifest.get("sources", [])])
    learning = _weighed(_read(recipe, corpus, tasks, network, "train", observer, memory), recipe, network)
    if not len(learning):
        raise DataError("the corpus has no rows to learn from", file=str(corpus.folder))
    device = device_of(recipe.run)
    own = []
    for place, (name, options) in enumerate(zip(losses, network.options, strict=True)):
        task = network.tasks[place]
        wanted = options.loss or recipe.loss
        own.append(
            TaskLoss(
                columns=network.columns[task.name],
                function=FUNCTIONS[name],
                setting=LossSetting.of(wanted, label_weights(wanted, learning.labels[place], task.problem, device)),
                weight=options.weight,
                softmax=task.problem != "multi-label",
                teacher_weight=0.0 if recipe.teacher is None else recipe.teacher.weight,
                temperature=1.0 if recipe.teacher is None else recipe.teacher.temperature,
            )
        )
    examples = _read(recipe, corpus, tasks, network, "validation", observer, memory)
    validation = None
    if len(examples):
        validation = Validation(
            network=network,
            examples=examples,
            make=BatchMaker(examples, network.tasks, padding=network.tokenizer.pad_token_id),
            losses=tuple(own),
            size=recipe.batch.eval_batch_size,
            progress=observer,
            share=(rank(), world()),
        )
    return Parts(
        recipe=recipe,
        corpus=corpus,
        tasks=tasks,
        network=network,
        learning=learning,
        validation=validation,
        losses=tuple(own),
        progress=observer,
        memory=memory,
    )


def _weighed(examples: Examples, recipe: TrainRecipe, network: Network) -> Examples:
    """Return examples whose rows weigh as `balance.class_alpha` asks, in tasks with one label per text."""
    alpha = recipe.balance.class_alpha
    if not alpha:
        return examples
    labels = []
    for one, task in zip(examples.labels, network.tasks, strict=True):
        if task.problem in {"multi-class", "ordinal"}:
            classes = codes(one.truth) if one.known is None else np.where(one.known, codes(one.truth), -1)
            labels.append(replace(one, weights=row_weights(classes, examples.sources.codes, alpha)))
        else:
            labels.append(one)
    return replace(examples, labels=tuple(labels))


def letter_notes(tokenizer: Any) -> tuple[str, ...]:  # noqa: ANN401 - one class per family
    """Return what a user should know of letters that the tokenizer loses."""
    lost = lost_letters(tokenizer)
    if not lost:
        return ()
    return (f"The encoder's tokenizer strips accents, so it can't tell {' and '.join(lost)} from other letters.",)


def _reading(recipe: TrainRecipe, corpus: Corpus, network: Network, split: Split) -> Reading:
    """Return how a split is read: texts are made as prediction will make them, and kept where noise is put in."""
    wanted = text_options(corpus, recipe.text)
    return Reading(
        tokenizer=network.tokenizer,
        max_length=recipe.text.max_length,
        keep_end=recipe.text.truncation_side == "left",
        text=None if wanted == text_options(corpus) else wanted,
        keep_texts=split == "train" and recipe.noise is not None,
    )


def _read(
    recipe: TrainRecipe,
    corpus: Corpus,
    tasks: tuple[CorpusTask, ...],
    network: Network,
    split: Split,
    progress: Progress,
    memory: TokenMemory | None,
) -> Examples:
    def read() -> Examples:
        reading = _reading(recipe, corpus, network, split)
        found = read_examples(corpus, split, tasks=tasks, reading=reading, progress=progress)
        if found.tokens.full:
            side = "end" if reading.keep_end else "start"
            progress.note(
                f"{found.tokens.full} of {len(found)} {split} texts reach max_length = {reading.max_length} tokens; "
                f"of longer ones the {side} is read, the rest is not"
            )
        return found

    examples = read() if memory is None else memory.examples(recipe, split, read)
    sample = _sample(recipe, len(examples)) if split == "validation" else None
    return examples if sample is None else examples.take(sample)


def _sample(recipe: TrainRecipe, rows: int) -> npt.NDArray[np.int64] | None:
    """Return which of so many validation rows the run is measured on, in their order; None: all of them."""
    most = recipe.data.validation_rows
    if most is None or most >= rows:
        return None
    chosen: npt.NDArray[np.int64] = np.sort(np.random.default_rng(recipe.seed).choice(rows, most, replace=False))
    return chosen


def label_weights(
    options: LossOptions, labels: TaskLabels, problem: Problem, device: torch.device
) -> torch.Tensor | None:
    """Return one weight per label, from the rows that have a label; None for equal weights.

    Raises:
        ConfigError: The recipe's weights are not one positive number per label.
    """
    wanted = options.class_weights
    truth = labels.truth[labels.rows]
    rows, count = truth.shape
    if wanted == "none":
        return None
    if not isinstance(wanted, str):
        if len(wanted) != count or min(wanted) <= 0.0:
            raise ConfigError(
                f"found {list(wanted)}, expected {count} positive numbers, one per label", key="loss.class_weights"
            )
        found = np.asarray(wanted, dtype=np.float32)
    elif problem == "multi-label":
        found = positive_weights(class_counts(truth, count), rows, wanted)
    else:
        found = class_weights(class_counts(truth, count), wanted)
    return torch.from_numpy(found).to(device)


def fit(parts: Parts, folder: RunFolder, *, watch: EpochWatch | None = None) -> History:
    """Train, or go on training, and leave the best epoch's weights in the network.

    Args:
        parts: What the run is made of.
        folder: Where it is.
        watch: Is shown the rows of all epochs so far after each; says whether to go on.

    Raises:
        StoppedEarly: `watch` has seen enough.
        ConfigError: The metric is none of the run's, or the disk is too full.
        ModelError: The loss is no longer a number.
    """
    recipe, network, learning = parts.recipe, parts.network, parts.learning
    run, device, metric = recipe.run, device_of(recipe.run), None
    if parts.validation is not None:
        check_metric(run.metric, {task.name: task.scheme for task in network.tasks})
        metric = run.metric
    elif run.patience is not None:
        raise ConfigError("the corpus has no validation rows to stop early by", key="run.patience")
    if device.type == "cpu":
        keep_freed_memory()
    if rank() == 0:
        _check_space(network, folder.path, checkpoints=run.save_total_limit + 2)
    batches = LengthBatches(
        learning.tokens.lengths,
        _epoch_rows(parts),
        size=recipe.batch.batch_size,
        pool=recipe.batch.pool,
        seed=recipe.seed,
        rank=rank(),
        world=world(),
    )
    noise = None
    if recipe.noise is not None and learning.texts is not None:
        encode = _reading(recipe, parts.corpus, network, "train").encode
        noise = RowNoise(texts=learning.texts, options=recipe.noise, seed=recipe.seed, encode=encode)
    make = BatchMaker(
        learning,
        network.tasks,
        padding=network.tokenizer.pad_token_id,
        noise=noise,
        soft=() if recipe.teacher is None else read_soft_targets(recipe.teacher, parts.ids("train"), network.tasks),
        pin=device.type == "cuda",
    )
    epochs = recipe.schedule.num_train_epochs
    steps = epochs * math.ceil(len(batches) / recipe.batch.gradient_accumulation_steps)
    work = Work(
        network=network,
        batches=batches,
        make=make,
        losses=parts.losses,
        optim=recipe.optim,
        schedule=recipe.schedule,
        steps=min(steps, recipe.schedule.max_steps or steps),
        accumulate=recipe.batch.gradient_accumulation_steps,
        device=device,
        precision=precision(run),
        extra_loss=None
        if recipe.distil is None or not recipe.distil.hidden_weight
        else HiddenLoss(recipe, network, device, precision(run)),
    )
    history = History(folder.path / HISTORY_FILE if rank() == 0 else None, parts.progress, metric=metric)
    checkpoint, damaged = last_intact(folder.checkpoints) if folder.resumed else (None, [])
    for sentence in damaged:
        parts.progress.note(f"{sentence}; an older one is taken")
    loop = Loop(work, folder.checkpoints, checkpoint)
    history.update(loop.state.rows)
    with observers(recipe, folder, parts.progress) as others:
        for one in others:
            one.epochs(history.rows)
        while loop.state.step < work.steps and not history.exhausted(run.patience):
            _epoch(parts, loop, others)
            loop.state.rows.append(_row(parts, loop))
            history.update(loop.state.rows)
            if watch is not None and not watch(history.rows):
                raise StoppedEarly
            best = history.best()
            loop.state.best_step = None if best is None else int(history.rows[best]["step"])
            loop.save(keep=run.save_total_limit)
            for one in others:
                one.epochs(history.rows)
    loop.close()
    return history


def _epoch(parts: Parts, loop: Loop, others: Sequence[Observer]) -> None:
    """Take the steps that are left of the current epoch, with checkpoints in between where they are due."""
    run, per_epoch, state = parts.recipe.run, loop.work.steps_per_epoch, loop.state
    epoch, done = divmod(state.step, per_epoch)
    told = state.meter.texts if done else 0
    # What an earlier process did of this epoch is left out, so that the rate and the time left are true.
    share = math.ceil(loop.work.batches.count / world()) - told
    parts.progress.start(
        f"epoch {epoch + 1}/{parts.recipe.schedule.num_train_epochs}", total=max(share, 0), unit="texts"
    )
    saved = time.monotonic()
    try:
        for step in loop.epoch():
            parts.progress.advance(state.meter.texts - told)
            told = state.meter.texts
            for one in others:
                one.step(step, state.meter.loss / max(told, 1), loop.learning_rate)
            # The end of an epoch saves anyway, after its evaluation.
            if step % per_epoch and step < loop.work.steps:
                by_steps = run.save_steps is not None and step % run.save_steps == 0
                by_time = run.save_minutes is not None and time.monotonic() - saved >= 60.0 * run.save_minutes
                if world() > 1:
                    # Their clocks differ, so the first process is asked, now and then.
                    word = torch.tensor([int(by_time)], device=loop.work.device)
                    by_time = False
                    if step % CHECK_STEPS == 0:
                        torch.distributed.broadcast(word, 0)
                        by_time = bool(word.item())
                if by_steps or by_time:
                    loop.save(keep=run.save_total_limit)
                    saved = time.monotonic()
    finally:
        parts.progress.finish()


def _row(parts: Parts, loop: Loop) -> dict[str, float]:
    """Measure an epoch: what it learned from, and the validation rows if there are any."""
    state, meter = loop.state, loop.whole_meter()
    measured = {} if parts.validation is None else parts.validation(loop.work.precision)
    return {
        "epoch": state.step / loop.work.steps_per_epoch,
        "step": state.step,
        "train_loss": meter.loss / max(meter.texts, 1),
        **measured,
        "texts": meter.texts,
        "tokens": meter.tokens,
        "tokens_per_second": meter.tokens / meter.seconds if meter.seconds else 0.0,
        "minutes": meter.seconds / 60.0,
    }


def _epoch_rows(parts: Parts) -> Callable[[int], npt.NDArray[np.int64]]:
    """Return the balance plan, drawn anew for each epoch.

    Of several tasks' labels, as of several labels of one task, a row counts as one of its rarest.
    """
    learning, recipe = parts.learning, parts.recipe
    one_label = len(learning.labels) == 1 and parts.tasks[0].scheme.kind != "multi-label"
    truth = np.concatenate([one.truth for one in learning.labels], axis=1)
    labels = codes(truth) if one_label else truth
    # Rates name their sources; otherwise numbers do.
    column = learning.sources
    sources = np.array(column.names)[column.codes] if recipe.balance.rates else column.codes

    def rows(epoch: int) -> npt.NDArray[np.int64]:
        # A seed of its own for each epoch, and other than that of the epoch's order.
        seed = int(np.random.SeedSequence([recipe.seed, epoch]).generate_state(1)[0])
        return plan(labels, sources, recipe.balance, seed=seed)[: recipe.data.epoch_rows]

    return rows


def _check_space(network: Network, folder: Path, *, checkpoints: int) -> None:
    """Refuse to begin what the disk can't hold.

    Raises:
        ConfigError: There is too little space for the checkpoints.
    """
    weights = list(network.model.parameters())
    whole = sum(weight.numel() for weight in weights)
    moments = 2 * sum(weight.numel() for weight in weights if weight.requires_grad)
    needed, free = 4 * checkpoints * (whole + moments), shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            f"the disk has {free / 1e9:.1f} GB free, and this run's checkpoints need about {needed / 1e9:.1f} GB",
            hint="Name a folder on another disk, or keep fewer: --run.save_total_limit 1.",
            file=str(folder),
        )
