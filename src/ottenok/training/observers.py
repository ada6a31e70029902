"""Who watches a run: the table of epochs, TensorBoard, MLflow."""

from __future__ import annotations

import json
import math
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError
from ottenok.core.files import atomic_write_text
from ottenok.core.lazy import need, require
from ottenok.tasks.metrics import best, metric
from ottenok.training.facts import public_recipe
from ottenok.training.folder import RunFolder, flat, read_history
from ottenok.training.hardware import rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ottenok.core.progress import Progress
    from ottenok.recipes.train import TrainRecipe
    from ottenok.tasks.report import Report

__all__ = ["History", "MlflowRun", "Observer", "StoppedEarly", "TensorBoard", "finish_mlflow", "observers"]

# Optimiser steps between two points of TensorBoard's learning curve.
_CURVE_STEPS = 50
_RUN_FILE = "run.json"
_SQLITE = "sqlite:///"
# The most characters of a parameter that MLflow takes.
_CHARACTERS = 6000

# What the table of epochs shows, if the run has it: key, title, format.
_COLUMNS = (
    ("epoch", "epoch", "{:.4g}"),
    ("train_loss", "train loss", "{:.4f}"),
    ("loss", "val loss", "{:.4f}"),
    ("accuracy", "accuracy", "{:.4f}"),
    ("macro_f1", "macro F1", "{:.4f}"),
    ("weighted_f1", "weighted F1", "{:.4f}"),
    ("source_f1", "source F1", "{:.4f}"),
    ("cell_f1", "cell F1", "{:.4f}"),
    ("mae", "MAE", "{:.4f}"),
    ("tokens_per_second", "tokens/s", "{:.0f}"),
    ("minutes", "minutes", "{:.1f}"),
)
_LOSSES = 3
_WIDTH = 11


class StoppedEarly(Exception):  # noqa: N818 - no error: who watches the run has seen enough
    """Ends a run that its watcher wants no more of."""


class History:
    """The table of epochs: told line by line as the run goes, and kept as `history.jsonl`.

    Attributes:
        metric: What the best epoch is chosen by; None: there is no validation.
        rows: The epochs so far.

    Args:
        file: Where to keep them; None: nowhere (processes other than the first).
        progress: Is told a line for each epoch.
        metric: See above.
    """

    def __init__(self, file: Path | None, progress: Progress, *, metric: str | None) -> None:
        self.metric = metric
        self.rows: list[dict[str, float]] = []
        self._file = file
        self._progress = progress

    def update(self, rows: Sequence[dict[str, float]]) -> None:
        """Take in all epochs so far: tell those that are new, and write the file."""
        columns = list(_COLUMNS)
        if self.metric is not None and all(key != self.metric for key, _, _ in columns):
            # What the best epoch is chosen by stands after the losses.
            columns.insert(_LOSSES, (self.metric, metric(self.metric).title, "{:.4f}"))
        lines = [[form.format(row[key]) for key, _, form in columns if key in row] for row in rows[len(self.rows) :]]
        if not self.rows and rows:
            lines.insert(0, [title for key, title, _ in columns if key in rows[0]])
        for cells in lines:
            self._progress.note(" ".join(f"{cell:>{_WIDTH}}" for cell in cells))
        self.rows = list(rows)
        if self._file is not None:
            atomic_write_text(self._file, "".join(json.dumps(row) + "\n" for row in rows))

    def best(self) -> int | None:
        """Return the position of the best epoch, the earliest of equals; None without validation."""
        if self.metric is None or not self.rows:
            return None
        return best(self.metric, [row.get(self.metric, math.nan) for row in self.rows])

    def exhausted(self, patience: int | None) -> bool:
        """Tell whether `patience` epochs have passed since the best one."""
        place = self.best()
        return patience is not None and place is not None and len(self.rows) - 1 - place >= patience


class Observer:
    """Base of those that a run logs to."""

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """See an optimiser step: its number, the epoch's mean loss so far, the encoder's learning rate."""

    def epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """See all epochs so far, after each."""

    def close(self, error: BaseException | None) -> None:
        """See the end of the steps, or what broke them off."""


class TensorBoard(Observer):
    """Logs curves to a folder.

    Args:
        folder: Of the event files.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require("tensorboard", extra="train")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(log_dir=str(folder))
        self._seen = 0

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """Log loss and learning rate now and then."""
        if step % _CURVE_STEPS == 0:
            self._writer.add_scalar("train/loss", loss, step)
            self._writer.add_scalar("train/learning_rate", learning_rate, step)

    def epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log what was measured."""
        for row in rows[self._seen :]:
            for name, value in row.items():
                if name not in {"epoch", "step"}:
                    self._writer.add_scalar(f"eval/{name}", value, int(row["step"]))
        self._seen = len(rows)

    def close(self, error: BaseException | None) -> None:  # noqa: ARG002 - an observer's interface
        """Close the files."""
        self._writer.close()


class MlflowRun(Observer):
    """A run in MLflow, in the experiment that has the recipe's name.

    It gets the resolved recipe as parameters and the rows of `history.jsonl` as metrics. Which MLflow run it is, is
    kept in the run's folder, so that a run that is taken up again goes on with the same one. If MLflow's server is gone
    in the middle, that is told once, and the training goes on without it.

    Args:
        folder: Of ottenok's run.
        recipe: Of the run.
        progress: Is told if MLflow does not answer.

    Raises:
        MissingExtraError: MLflow is not installed, or what its SQLite store needs.
        ConfigError: The store can't be used.
    """

    def __init__(self, folder: RunFolder, recipe: TrainRecipe, progress: Progress) -> None:
        for package in ("mlflow", "sqlalchemy", "alembic"):
            require(package, extra="mlflow")
        with need("mlflow"):
            import mlflow
            from mlflow.exceptions import MlflowException
        self._mlflow: Any = mlflow
        self._failure: type[Exception] = MlflowException
        self._progress = progress
        self._lost = False
        folder.mlflow.mkdir(parents=True, exist_ok=True)
        self._before = mlflow.get_tracking_uri()
        store = folder.tracking or f"{_SQLITE}{(folder.mlflow / 'mlflow.db').absolute()}"
        with self._told(store):
            mlflow.set_tracking_uri(store)
            client = mlflow.MlflowClient()
            experiment = mlflow.get_experiment_by_name(recipe.name)
            # A store that is a file has its artifacts beside it; by itself MLflow would use the working directory.
            place = None
            if store.startswith(_SQLITE):
                place = (Path(store.removeprefix(_SQLITE)).absolute().parent / "artifacts").as_uri()
            number = (
                mlflow.create_experiment(recipe.name, artifact_location=place)
                if experiment is None
                else experiment.experiment_id
            )
            file = folder.mlflow / _RUN_FILE
            known = json.loads(file.read_text(encoding="utf-8"))["run"] if file.is_file() else None
            if known is not None:
                try:
                    client.get_run(known)
                except MlflowException:
                    known = None
            run = mlflow.start_run(
                run_id=known, experiment_id=number, run_name=None if known else folder.path.name, nested=True
            )
            self.run = str(run.info.run_id)
            atomic_write_text(file, json.dumps({"run": self.run}) + "\n")
            there = client.get_run(self.run).data.params
            parameters = {
                key: (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:_CHARACTERS]
                for key, value in flat(public_recipe(recipe)).items()
                if key not in there
            }
            if parameters:
                mlflow.log_params(parameters, run_id=self.run)

    @contextmanager
    def _told(self, store: str) -> Iterator[None]:
        """Turn MLflow's errors into ours; the store's address may hold a password and is not shown."""
        try:
            yield
        except self._failure as error:
            self._mlflow.set_tracking_uri(self._before)
            place = "the run's folder" if store.startswith("sqlite") else "MLFLOW_TRACKING_URI"
            reason = str(error).replace(store, "...").splitlines()[0]
            raise ConfigError(
                f"MLflow's store in {place} can't be used: {reason[:300]}",
                hint="Check the address, or leave out run.mlflow.",
                key="run.mlflow",
            ) from error

    def epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log the rows that MLflow does not have yet, each at its optimiser step."""
        if self._lost:
            return
        try:
            known = {point.step for point in self._mlflow.MlflowClient().get_metric_history(self.run, "epoch")}
            for row in rows:
                if int(row["step"]) not in known:
                    values = {key: value for key, value in row.items() if key != "step"}
                    self._mlflow.log_metrics(values, step=int(row["step"]), run_id=self.run)
        except self._failure:
            self._lost = True
            self._progress.note(
                "MLflow does not answer; what is missing there is logged when the run ends or is resumed"
            )

    def close(self, error: BaseException | None) -> None:
        """End MLflow's run as it broke off; one that is still to be finished stays open in its store."""
        stopped = isinstance(error, (KeyboardInterrupt, StoppedEarly))
        self.end("RUNNING" if error is None else "KILLED" if stopped else "FAILED")

    def end(self, status: str) -> None:
        """End the run: FINISHED, FAILED or KILLED; RUNNING leaves it. No error of MLflow hides another one."""
        with suppress(self._failure):
            self._mlflow.end_run(status)
        self._mlflow.set_tracking_uri(self._before)


def finish_mlflow(
    out: Path,
    recipe: TrainRecipe,
    reports: Mapping[str, Mapping[str, Report]],
    *,
    card: Path | None,
    tracking: str | None,
    progress: Progress,
) -> None:
    """Log the metrics of a finished run and its model card, and end it in MLflow.

    Args:
        out: The run's folder.
        recipe: Its recipe.
        reports: Split to task to what was measured; a metric is logged as `<split>_<name>`, of several tasks as
            `<split>_<task>_<name>`.
        card: The model card's file.
        tracking: Address of MLflow's store; None: one in `out`.
        progress: Is told if MLflow does not answer.

    Raises:
        MissingExtraError: MLflow is not installed.
        ConfigError: The store can't be used.
    """
    log = MlflowRun(RunFolder(path=out, resumed=True, tracking=tracking), recipe, progress)
    mlflow: Any = require("mlflow", extra="mlflow")
    log.epochs(read_history(out))
    known = mlflow.MlflowClient().get_run(log.run).data.metrics
    values = {
        f"{split}_{task}_{name}" if len(tasks) > 1 else f"{split}_{name}": one.value
        for split, tasks in reports.items()
        for task, report in tasks.items()
        for name, one in report.metrics.items()
        if math.isfinite(one.value)
    }
    mlflow.log_metrics({name: value for name, value in values.items() if name not in known}, step=0, run_id=log.run)
    if card is not None:
        mlflow.log_artifact(str(card), run_id=log.run)
    log.end("FINISHED")


@contextmanager
def observers(recipe: TrainRecipe, folder: RunFolder, progress: Progress) -> Iterator[list[Observer]]:
    """Yield those that the recipe wants the run logged to; each is told how the run ended.

    Raises:
        MissingExtraError: What the recipe asks for is not installed.
        ConfigError: MLflow's store can't be used.
    """
    found: list[Observer] = []
    with ExitStack() as stack:
        if recipe.run.tensorboard and rank() == 0:
            found.append(TensorBoard(folder.tensorboard))
        if recipe.run.mlflow and rank() == 0:
            found.append(MlflowRun(folder, recipe, progress))
        for one in found:
            stack.push(lambda _kind, error, _trace, one=one: one.close(error))
        yield found
