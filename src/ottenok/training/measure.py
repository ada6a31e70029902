"""What a model scores: logits of many texts, the metrics of an epoch, the fitted decisions, reports and predictions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from ottenok.core.errors import ConfigError
from ottenok.core.progress import SILENT, Progress, stage
from ottenok.core.suggest import suggest
from ottenok.models.losses import total_loss
from ottenok.models.network import fold_temperature
from ottenok.tasks.metrics import METRICS, Kind, fitting
from ottenok.tasks.predictions import Predictions, prediction_files, save_predictions
from ottenok.tasks.report import EvaluationOptions, Report, epoch_metrics, evaluate
from ottenok.tasks.shift import count_answers
from ottenok.tasks.task import Task, columns
from ottenok.tasks.tuning import TuningOptions, fit_decision, tuning_sentences, tuning_table
from ottenok.training.dataset import length_order, pad
from ottenok.training.loop import autocast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.models.losses import TaskLoss
    from ottenok.models.network import Network
    from ottenok.tasks.shift import AnswerCounts
    from ottenok.tasks.tuning import TuningReport
    from ottenok.training.dataset import BatchMaker, Examples, TokenTable
    from ottenok.training.hardware import Precision

    Logits = npt.NDArray[np.float32]

__all__ = [
    "Tuned",
    "Validation",
    "answer_counts",
    "check_metric",
    "keep_predictions",
    "metric_names",
    "reports",
    "score",
    "tune",
]

_QUIET = EvaluationOptions(resamples=0)


def score(
    network: Network,
    tokens: TokenTable,
    *,
    size: int,
    name: str = "validating",
    progress: Progress = SILENT,
    share: tuple[int, int] = (0, 1),
    precision: Precision = "fp32",
) -> Logits:
    """Score texts in batches of about equal length.

    Args:
        network: Its model is left in evaluation mode.
        tokens: The texts.
        size: Texts in a batch.
        name: What the progress calls it.
        progress: Is told of the tokens.
        share: This process and all processes; the shares' results are summed over `torch.distributed`.
        precision: In which numbers.

    Returns:
        float32 `[texts, outputs]`, in the texts' order.
    """
    model, padding = network.model.eval(), network.tokenizer.pad_token_id
    device = next(model.parameters()).device
    result = torch.zeros(len(tokens), network.outputs, device=device)
    rank, world = share
    # Longest texts come first, so a count of texts would promise too long a time.
    with (
        stage(progress, name, total=int(tokens.lengths.sum()), unit="tokens"),
        torch.inference_mode(),
        autocast(device, precision),
    ):
        for indices in length_order(tokens.lengths, size)[rank::world]:
            batch = {key: value.to(device) for key, value in pad(tokens.rows(indices.tolist()), padding).items()}
            result[torch.from_numpy(indices).to(device)] = model(**batch).logits.to(torch.float32)
            progress.advance(int(tokens.lengths[indices].sum()) * world)
    if world > 1:
        torch.distributed.all_reduce(result)
    logits: Logits = result.cpu().numpy()
    return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Scores a network on validation rows, and names the metrics.

    Attributes:
        network: The network.
        examples: The rows.
        make: Knows what they should be answered.
        losses: The training losses of the tasks.
        size: Rows in a batch.
        progress: Is told of the tokens.
        share: This process and all processes.
    """

    network: Network
    examples: Examples
    make: BatchMaker
    losses: tuple[TaskLoss, ...]
    size: int
    progress: Progress = SILENT
    share: tuple[int, int] = (0, 1)

    def logits(self, precision: Precision = "fp32") -> Logits:
        """Return float32 `[rows, outputs]`; with several processes each scores its share and gets all."""
        return score(
            self.network,
            self.examples.tokens,
            size=self.size,
            progress=self.progress,
            share=self.share,
            precision=precision,
        )

    def __call__(self, precision: Precision = "fp32") -> dict[str, float]:
        """Return `loss` and every metric of `ottenok.tasks.report` that is defined for these rows, without intervals.

        See `ottenok.tasks.report.epoch_metrics` for the names of several tasks' metrics.
        """
        logits, tasks = self.logits(precision), self.network.tasks
        losses = []
        for one in self.losses:
            weights = one.setting.class_weights
            on_cpu = replace(one.setting, class_weights=None if weights is None else weights.cpu())
            losses.append(replace(one, setting=on_cpu))
        targets = self.make.targets(slice(None))
        found = {"loss": float(total_loss(losses, torch.from_numpy(logits), targets))}
        by_task = reports(logits, self.examples, tasks, system="", options=_QUIET)
        found |= epoch_metrics(by_task)
        if len(by_task) < len(tasks):
            found |= {
                f"{task}/{name}": one.value for task, report in by_task.items() for name, one in report.metrics.items()
            }
        return found


def reports(
    logits: Logits,
    examples: Examples,
    tasks: Sequence[Task],
    *,
    system: str,
    temperatures: Mapping[str, float | None] | None = None,
    options: EvaluationOptions | None = None,
) -> dict[str, Report]:
    """Measure each task on the rows that have a label for it; tasks without such rows are left out.

    Args:
        logits: float32 `[rows, outputs]` of all tasks.
        examples: The rows.
        tasks: With the decisions that are measured.
        system: What the reports call the model.
        temperatures: Task to the temperature that was fitted for it.
        options: In place of the usual ones.
    """
    found, places = {}, columns(tasks)
    for task, labels in zip(tasks, examples.labels, strict=True):
        rows = labels.rows
        if not len(rows):
            continue
        usual = EvaluationOptions(system=system, temperature=(temperatures or {}).get(task.name))
        found[task.name] = evaluate(
            task,
            labels.truth[rows],
            task.probabilities(logits[rows, places[task.name]]),
            sources=examples.sources.values(rows),
            languages=examples.languages.values(rows),
            options=options or usual,
        )
    return found


def answer_counts(logits: Logits, examples: Examples, tasks: Sequence[Task], data: str) -> dict[str, AnswerCounts]:
    """Count how rows of each true label are answered, task by task; tasks without labelled rows are left out.

    Args:
        logits: float32 `[rows, outputs]` of all tasks.
        examples: The rows.
        tasks: With the decisions that are kept.
        data: What the rows are.
    """
    found, places = {}, columns(tasks)
    for task, labels in zip(tasks, examples.labels, strict=True):
        rows = labels.rows
        if len(rows):
            found[task.name] = count_answers(
                task,
                task.probabilities(logits[rows, places[task.name]]),
                labels.truth[rows],
                sources=examples.sources.values(rows),
                languages=examples.languages.values(rows),
                data=data,
            )
    return found


def metric_names(schemes: Mapping[str, LabelScheme]) -> tuple[str, ...]:
    """Return the metrics that the best epoch can be chosen by, with tasks of these names and labels."""
    own = {task: fitting(Kind.of(scheme)) for task, scheme in schemes.items()}
    plain = [name for name in METRICS if any(name in names for names in own.values())]
    prefixed = [f"{task}/{name}" for task, names in own.items() for name in names] if len(own) > 1 else []
    return ("loss", *plain, *prefixed)


def check_metric(name: str, schemes: Mapping[str, LabelScheme]) -> None:
    """Refuse a metric that the best epoch can't be chosen by.

    Raises:
        ConfigError: It is none of `metric_names`.
    """
    known = metric_names(schemes)
    if name not in known:
        told = ", ".join(scheme.name for scheme in schemes.values())
        raise ConfigError(f"there is no metric {name!r} for {told}", hint=suggest(name, known), key="run.metric")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What was fitted on the validation rows.

    Attributes:
        tasks: With the fitted decisions.
        logits: float32 `[validation rows, outputs]` of the model as it is now; None without validation.
        notes: What was found, a sentence each.
        reports: Task to the same in numbers; without tasks for which nothing was fitted.
        temperatures: Task to what its logits were divided by, in the weights or by the decision.
    """

    tasks: tuple[Task, ...]
    logits: Logits | None
    notes: tuple[str, ...] = ()
    reports: dict[str, TuningReport] = field(default_factory=dict)
    temperatures: dict[str, float | None] = field(default_factory=dict)


def tune(network: Network, validation: Validation | None, progress: Progress) -> Tuned:
    """Score the validation rows in fp32, fit what the recipe asks for, and tell of it.

    A temperature is put into the task's last layer where that is linear, so that other tools, which know nothing of
    temperatures, give the same probabilities as ottenok; the decision then keeps 1.
    """
    if validation is None:
        return Tuned(tasks=network.tasks, logits=None)
    logits = validation.logits()
    tasks: list[Task] = []
    notes: list[str] = []
    fits: dict[str, TuningReport] = {}
    temperatures: dict[str, float | None] = {}
    for place, (task, asked) in enumerate(zip(network.tasks, network.options, strict=True)):
        labels, here = validation.examples.labels[place], network.columns[task.name]
        rows = labels.rows
        options = TuningOptions(
            temperature=asked.decision is not None and asked.decision.temperature and task.problem != "regression",
            thresholds=None if asked.decision is None else asked.decision.thresholds,
        )
        if not len(rows) or (not options.temperature and options.thresholds is None):
            tasks.append(task)
            continue
        fit = fit_decision(task, logits[rows, here], labels.truth[rows], options=options)
        found, decision, report = fit.report.temperature, fit.decision, fit.report
        temperatures[task.name] = None if found is None else found.temperature
        if found is not None and found.temperature != 1.0 and fold_temperature(network.model, found.temperature, place):
            logits[:, here] /= found.temperature
            decision = replace(decision, temperature=1.0)
            report = replace(report, temperature=replace(found, folded=True))
        sentences = tuning_sentences(report)
        if len(network.tasks) > 1:
            sentences = tuple(f"{task.name}: {sentence}" for sentence in sentences)
        table = tuning_table(report)
        for line in (*sentences, *(table.text().splitlines() if table else ())):
            progress.note(line)
        notes += sentences
        fits[task.name] = report
        tasks.append(replace(task, decision=decision))
    return Tuned(tasks=tuple(tasks), logits=logits, notes=tuple(notes), reports=fits, temperatures=temperatures)


def keep_predictions(
    folder: Path,
    split: str,
    *,
    ids: Sequence[str],
    examples: Examples,
    logits: Logits,
    tasks: Sequence[Task],
    system: str,
) -> None:
    """Write the model's probabilities on a split into the run's folder; see `ottenok.tasks.predictions`.

    Args:
        folder: Of the run.
        split: Of the corpus.
        ids: Of the rows.
        examples: The rows, for validation the sample that the run is measured on.
        logits: float32 `[rows, outputs]` of the model as it is saved.
        tasks: With the decisions that turn them into probabilities.
        system: Name of the model.
    """
    places = columns(tasks)
    files = prediction_files(folder, split, tasks)
    for task, labels in zip(tasks, examples.labels, strict=True):
        rows = labels.rows
        if not len(rows):
            continue
        save_predictions(
            files[task.name],
            Predictions(
                ids=tuple(ids[row] for row in rows),
                sources=tuple(examples.sources.values(rows)),
                labels=task.scheme.labels,
                truth=labels.truth[rows],
                probs=task.probabilities(logits[rows, places[task.name]]),
                system=system,
                scheme=task.scheme.name,
                task=task.name,
                languages=tuple(examples.languages.values(rows)),
            ),
        )
