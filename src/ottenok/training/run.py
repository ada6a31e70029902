"""One training run, from a recipe and a corpus to a folder with the trained classifier; and trials of a search."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import set_seed

from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.bundle.manifest import MANIFEST, BundleManifest, TaskFacts, TrainingFacts, WindowRule, read_json
from ottenok.core.config import parse
from ottenok.core.errors import ConfigError, ModelError
from ottenok.core.progress import SILENT, Progress
from ottenok.models.classifier import OttenokConfig
from ottenok.models.encoder import load_config
from ottenok.models.network import save
from ottenok.models.stock import own_weights
from ottenok.training.facts import (
    data_facts,
    encoder_facts,
    languages,
    licence_facts,
    public_recipe,
    text_options,
    versions,
)
from ottenok.training.fit import Parts, fit, letter_notes, prepare, schemes_of
from ottenok.training.folder import RunFolder, open_run, read_history
from ottenok.training.hardware import device_of, precision, rank, world
from ottenok.training.measure import Tuned, answer_counts, check_metric, keep_predictions, reports, score, tune
from ottenok.training.observers import History, StoppedEarly, finish_mlflow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ottenok.data.corpus import Corpus, Split
    from ottenok.recipes.train import TrainRecipe
    from ottenok.tasks.report import Report
    from ottenok.tasks.shift import AnswerCounts
    from ottenok.training.dataset import Examples, TokenMemory
    from ottenok.training.fit import EpochWatch

__all__ = ["Fitted", "Shared", "TrialRun", "check_ready", "check_trials", "train", "trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A finished run.

    Attributes:
        bundle: The classifier; without its ONNX graphs and its card, which are made from it.
        reports: Split (`validation`, `test`) to task to what was measured, in fp32, with the saved weights.
        logits: float32 `[validation rows, outputs]` of the saved model; None without validation, and for a run that was
            finished before.
        epochs: The rows of `history.jsonl`.
        best: Position of the chosen epoch in `epochs`; None without validation: the last one.
    """

    bundle: Bundle
    reports: dict[str, dict[str, Report]]
    logits: npt.NDArray[np.float32] | None
    epochs: list[dict[str, float]]
    best: int | None

    def report(self, split: str, task: str | None = None) -> Report:
        """Return the report on a split for a task; None: the primary one."""
        return self.reports[split][self.bundle.manifest.facts(task).name]


def check_ready(recipe: TrainRecipe) -> None:
    """Refuse what can't work before data is built for minutes: the device, the number format, the encoder's name.

    Raises:
        ConfigError: The device is not there, or does not compute so.
        ModelError: There is no such encoder.
    """
    device_of(recipe.run)
    precision(recipe.run)
    load_config(recipe.model, head_dropout=0.0)


def train(
    recipe: TrainRecipe,
    *,
    corpus: Corpus,
    out: Path,
    resume: bool = False,
    tracking: str | None = None,
    weights: Path | None = None,
    weights_facts: Path | None = None,
    progress: Progress = SILENT,
) -> Fitted | None:
    """Train a classifier.

    The run can be killed at any moment. Taken up again with `resume`, it goes on from its last checkpoint and ends
    with the same weights as an undisturbed run: bit for bit on one CPU with the same packages.

    Args:
        recipe: What to do.
        corpus: What to learn from.
        out: Folder of the run, which becomes the classifier's; empty or absent unless `resume`.
        resume: Take up the run that is in `out`; if there is none, begin.
        tracking: Address of MLflow's store, for `run.mlflow`; None: one in `out`.
        weights: Safetensors of the network, learned elsewhere from the same corpus: nothing is learned here, and the
            run ends as every run does, with fitted decisions and measures. What is frozen may be absent. None: train.
        weights_facts: A JSON object of what learning `weights` took, with keys of `TrainingFacts` (`texts`, `tokens`,
            `seconds`, `epochs`, `device`, `precision`, `elsewhere`, ...); None: the same under `training` in the
            metadata of `weights`, where it has one.
        progress: Is told what happens.

    Returns:
        What came out; None in processes other than the first, where torchrun started several.

    Raises:
        ConfigError: The recipe does not fit the corpus, or `out` is in use.
        DataError: The corpus has no rows to learn from.
        ModelError: The encoder can't be loaded, or the loss is no longer a number.
    """
    with open_run(out, recipe, corpus, resume=resume, tracking=tracking) as folder:
        if (folder.path / MANIFEST).is_file():
            progress.note("this run is finished already")
            return _finished(folder)
        if folder.began_with:
            progress.note(f"the run began with {', '.join(folder.began_with)}: it may not end as if undisturbed")
        # Before anything random is made, the head's first weights included.
        set_seed(recipe.seed)
        parts = prepare(recipe, corpus, progress)
        if weights is None:
            return _finish(parts, folder, fit(parts, folder))
        took = _take_weights(parts, weights, weights_facts)
        parts.network.model.to(device_of(recipe.run))
        return _finish(parts, folder, History(None, progress, metric=recipe.run.metric), took)


def _take_weights(parts: Parts, file: Path, facts: Path | None) -> dict[str, object]:
    """Replace the network's weights by those of a file, and return what is told of how they were learned.

    Raises:
        ConfigError: What is told has an unknown key or a wrong value.
        BundleError: The file of facts holds no JSON object.
        ModelError: The file can't be read, a weight is none of the network's or has another shape, or one that is
            learned is missing.
    """
    model = parts.network.model
    try:
        given = load_file(file)
        if isinstance(model.config, OttenokConfig):
            given = own_weights(model.config, given)
        with safe_open(file, framework="pt") as opened:
            told = json.loads((opened.metadata() or {}).get("training", "{}")) if facts is None else read_json(facts)
        taken = parse(TrainingFacts, told, file=str(facts or file)).model_dump(exclude_unset=True)
        model.load_state_dict(given, strict=False)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ModelError(f"these weights can't be taken: {error}", file=str(file)) from error
    learned = {name for name, weight in model.named_parameters() if weight.requires_grad}
    missing, unknown = sorted(learned - given.keys()), sorted(given.keys() - model.state_dict().keys())
    if missing or unknown:
        found = f"{len(missing)} are missing and {len(unknown)} unknown, such as {(missing or unknown)[0]}"
        raise ModelError(f"these weights are not the recipe's: {found}", file=str(file))
    return taken


def _finished(folder: RunFolder) -> Fitted | None:
    """Return what came out of a run that is finished already; its logits are no longer known."""
    if rank() != 0:
        return None
    bundle = open_bundle(folder.path)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    names = [task.name for task in bundle.manifest.tasks]
    return Fitted(
        bundle=bundle,
        reports={
            split: {name: found[0] for name in names if (found := bundle.manifest.reports(split, name))}
            for split in bundle.manifest.metrics
        },
        logits=None,
        epochs=read_history(folder.path),
        best=None,
    )


def _finish(
    parts: Parts, folder: RunFolder, history: History, took: Mapping[str, object] | None = None
) -> Fitted | None:
    """Fit the decisions, measure, write the files, and delete the checkpoints; None in processes but the first.

    `took` says what learning took where it was not done here.
    """
    recipe, network = parts.recipe, parts.network
    tuned = tune(network, parts.validation, parts.progress)
    if rank() != 0:
        return None
    found: dict[str, dict[str, Report]] = {}
    measured: list[tuple[Split, Examples, npt.NDArray[np.float32]]] = []
    if parts.validation is not None and tuned.logits is not None:
        measured.append(("validation", parts.validation.examples, tuned.logits))
    if recipe.run.test and len(test := parts.read("test")):
        logits = score(
            network,
            test.tokens,
            size=recipe.batch.eval_batch_size,
            name="testing",
            progress=parts.progress,
        )
        measured.append(("test", test, logits))
    for split, examples, logits in measured:
        found[split] = reports(logits, examples, tuned.tasks, system=recipe.name, temperatures=tuned.temperatures)
        keep_predictions(
            folder.path,
            split,
            ids=parts.ids(split),
            examples=examples,
            logits=logits,
            tasks=tuned.tasks,
            system=recipe.name,
        )
    save(network.model, network.tokenizer, folder.path, max_length=recipe.text.max_length)
    write_manifest(folder.path, _manifest(parts, tuned, history, found, took or {}))
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return Fitted(
        bundle=open_bundle(folder.path),
        reports=found,
        logits=tuned.logits,
        epochs=history.rows,
        best=history.best(),
    )


def _manifest(
    parts: Parts, tuned: Tuned, history: History, found: dict[str, dict[str, Report]], took: Mapping[str, object]
) -> BundleManifest:
    recipe, corpus, weights = parts.recipe, parts.corpus, list(parts.network.model.parameters())
    length, device = recipe.text.max_length, device_of(recipe.run)
    notes: tuple[str, ...] = ()
    answers: dict[str, AnswerCounts] = {}
    if parts.validation is not None and tuned.logits is not None:
        rows = f"{corpus.manifest.get('name', corpus.folder.name)}, validation"
        answers = answer_counts(tuned.logits, parts.validation.examples, tuned.tasks, rows)
    if history.rows:
        best = history.best()
        row = history.rows[-1 if best is None else best]
        chosen = "the last epoch" if best is None else f"epoch {row['epoch']:g} of {len(history.rows)}"
        reason = "" if history.metric is None else f", the best by {history.metric} on validation rows"
        notes = (f"The weights are those of {chosen}{reason}.",)
    return BundleManifest(
        name=recipe.name,
        description=recipe.description,
        created=datetime.now(tz=UTC).date().isoformat(),
        tasks=tuple(TaskFacts.of(task, first=place == 0) for place, task in enumerate(tuned.tasks)),
        languages=languages(corpus),
        text=text_options(corpus, recipe.text),
        max_length=length,
        window=WindowRule(read="end" if recipe.text.truncation_side == "left" else "all", overlap=min(32, length // 4)),
        encoder=encoder_facts(recipe.model),
        recipe=public_recipe(recipe),
        data=data_facts(corpus),
        training=TrainingFacts(
            epochs=len(history.rows),
            seconds=round(60.0 * sum(row["minutes"] for row in history.rows), 3),
            texts=int(sum(row["texts"] for row in history.rows)),
            tokens=int(sum(row["tokens"] for row in history.rows)),
            parameters=sum(weight.numel() for weight in weights),
            trained=sum(weight.numel() for weight in weights if weight.requires_grad),
            device="cpu" if device.type == "cpu" else torch.cuda.get_device_name(device),
            processes=world(),
            threads=torch.get_num_threads(),
            precision=precision(recipe.run),
        ).model_copy(update=dict(took)),
        answers=answers,
        tuning={name: report.to_json() for name, report in tuned.reports.items()},
        metrics={
            split: {task: report.to_json() for task, report in by_task.items()} for split, by_task in found.items()
        },
        versions=versions(),
        licence=licence_facts(recipe.licence),
        notes=(*notes, *tuned.notes, *letter_notes(parts.network.tokenizer)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the trials of one search share.

    Attributes:
        corpus: What they learn from and validate on.
        memory: Tokens of earlier trials.
        tracking: Address of MLflow's store, for `run.mlflow`; None: one in each trial's folder.
        progress: Is told what happens within a trial.
    """

    corpus: Corpus
    memory: TokenMemory
    tracking: str | None
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRun:
    """What came out of a trial: a run up to its best epoch, without what makes a classifier of it.

    Attributes:
        epochs: The rows of `history.jsonl`.
        best: Position of the best of them by the recipe's metric; None for a trial that was stopped early.
    """

    epochs: list[dict[str, float]]
    best: int | None


def check_trials(recipe: TrainRecipe, corpus: Corpus) -> None:
    """Refuse a search whose trials can't be compared.

    Raises:
        ConfigError: The labels have no such metric, or the corpus has no validation rows to measure on.
    """
    schemes = schemes_of(corpus)
    check_metric(recipe.run.metric, {task.name: schemes[task.name] for task in recipe.task_options(schemes)})
    if not corpus.table("validation", columns=("id",)).num_rows:
        raise ConfigError(
            "the corpus has no validation rows, so there is nothing to compare trials by",
            hint="Give the corpus a validation split.",
            file=str(corpus.folder),
        )


def trial(recipe: TrainRecipe, *, out: Path, watch: EpochWatch, shared: Shared) -> TrialRun:
    """Train up to the last epoch, or until `watch` has seen enough; the test split is not read.

    Args:
        recipe: What to do.
        out: Folder of the run. One that is there is taken up from its last checkpoint.
        watch: Is shown the rows of all epochs so far after each; says whether to go on.
        shared: Corpus and more.

    Raises:
        OttenokError: The recipe can't work; see `train`.
        ModelError: Also: there is not enough memory for it.
    """
    with open_run(out, recipe, shared.corpus, resume=True, tracking=shared.tracking) as folder:
        set_seed(recipe.seed)
        try:
            parts = prepare(recipe, shared.corpus, shared.progress, memory=shared.memory)
            history = fit(parts, folder, watch=watch)
        except StoppedEarly:
            return TrialRun(epochs=read_history(out), best=None)
        except torch.OutOfMemoryError as error:
            raise ModelError("the memory does not suffice", hint="Try a smaller batch.batch_size.") from error
    if recipe.run.mlflow:
        finish_mlflow(out, recipe, {}, card=None, tracking=shared.tracking, progress=shared.progress)
    return TrialRun(epochs=history.rows, best=history.best())
