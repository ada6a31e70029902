# ruff: noqa: ARG002 - transformers calls every observer with the same arguments
"""MLflow, where it is installed and asked for.

A run of ottenok is a run of MLflow, in the experiment that has the recipe's name: the resolved recipe as parameters,
the rows of `history.jsonl` as metrics, the final figures, and the model card. Which MLflow run it is, is kept in the
run's folder, so that a run that is taken up again goes on with the same one.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from ottenok.core.errors import ConfigError
from ottenok.core.files import atomic_write_text
from ottenok.core.lazy import require
from ottenok.training.facts import public_recipe
from ottenok.training.folder import RunFolder, flat
from ottenok.training.history import epoch_rows, read_history

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from ottenok.core.progress import Progress
    from ottenok.recipes.train import TrainRecipe
    from ottenok.tasks.report import Report

__all__ = ["MlflowObserver", "RunLog", "finish_log", "open_log"]

_RUN_FILE = "run.json"
_SQLITE = "sqlite:///"
# The most that MLflow takes: parameters at once, characters of a parameter.
_PARAMETERS = 100
_CHARACTERS = 6000


def open_log(folder: RunFolder, recipe: TrainRecipe) -> RunLog:
    """Return the MLflow run of a run's folder; begin one if there is none, or its store no longer has it.

    Raises:
        MissingExtraError: MLflow is not installed, or what its SQLite store needs.
        ConfigError: The store can't be used.
    """
    for package in ("mlflow", "sqlalchemy", "alembic"):
        require(package, extra="mlflow")
    client_class = require("mlflow.tracking", extra="mlflow").MlflowClient
    folder.mlflow.mkdir(parents=True, exist_ok=True)
    store = folder.tracking or f"{_SQLITE}{(folder.mlflow / 'mlflow.db').absolute()}"
    with _told(store):
        client = client_class(tracking_uri=store)
        log = RunLog(client, _run_id(client, store, folder, recipe))
        log.parameters(recipe)
        return log


def finish_log(
    out: Path, recipe: TrainRecipe, reports: Mapping[str, Report], *, card: Path | None, tracking: str | None
) -> None:
    """Log the figures of a finished run and its model card, and end it in MLflow.

    Args:
        out: The run's folder.
        recipe: Its recipe.
        reports: Split to what was measured on it; a figure is logged as `<split>_<name>`.
        card: The model card's file.
        tracking: Address of MLflow's store; None: one in `out`.

    Raises:
        MissingExtraError: MLflow is not installed.
        ConfigError: The store can't be used.
    """
    folder = RunFolder(path=out, resumed=True, tracking=tracking)
    log = open_log(folder, recipe)
    figures = {
        f"{split}_{name}": figure.value
        for split, report in reports.items()
        for name, figure in report.metrics.items()
        if math.isfinite(figure.value)
    }
    with _told(tracking or "sqlite"):
        log.epochs(read_history(out))
        log.finish(figures, card)


@contextmanager
def _told(store: str) -> Iterator[None]:
    """Turn MLflow's errors into ours; the store's address may hold a password and is not shown."""
    try:
        yield
    except _failure() as error:
        place = "the run's folder" if store.startswith("sqlite") else "MLFLOW_TRACKING_URI"
        reason = str(error).replace(store, "...").splitlines()[0]
        raise ConfigError(
            f"MLflow's store in {place} can't be used: {reason[:300]}",
            hint="Check the address, or leave out run.mlflow.",
            key="run.mlflow",
        ) from error


def _failure() -> type[Exception]:
    failure: type[Exception] = require("mlflow.exceptions", extra="mlflow").MlflowException
    return failure


def _run_id(client: Any, store: str, folder: RunFolder, recipe: TrainRecipe) -> str:  # noqa: ANN401 - MLflow has no types here
    file = folder.mlflow / _RUN_FILE
    known = json.loads(file.read_text(encoding="utf-8"))["run"] if file.is_file() else None
    if known is not None and _is_there(client, known):
        client.update_run(known, status="RUNNING")
        return str(known)
    tags = {"mlflow.runName": folder.path.name}
    run = client.create_run(_experiment(client, store, recipe.name), tags=tags)
    atomic_write_text(file, json.dumps({"run": run.info.run_id}) + "\n")
    return str(run.info.run_id)


def _is_there(client: Any, run: str) -> bool:  # noqa: ANN401
    try:
        client.get_run(run)
    except _failure():
        return False
    return True


def _experiment(client: Any, store: str, name: str) -> str:  # noqa: ANN401
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    # A store that is a file has its artifacts beside it; by itself MLflow would put them into the working directory.
    place = None
    if store.startswith(_SQLITE):
        place = (Path(store.removeprefix(_SQLITE)).absolute().parent / "artifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=place))


class RunLog:
    """One run in MLflow.

    Args:
        client: MLflow's client of the store.
        run: The run's identifier.
    """

    def __init__(self, client: Any, run: str) -> None:  # noqa: ANN401
        self.client = client
        self.run = run

    def parameters(self, recipe: TrainRecipe) -> None:
        """Log the resolved recipe, once: MLflow's parameters can't change."""
        entities = require("mlflow.entities", extra="mlflow")
        there = self.client.get_run(self.run).data.params
        missing = [
            entities.Param(key, _text(value)) for key, value in flat(public_recipe(recipe)).items() if key not in there
        ]
        for start in range(0, len(missing), _PARAMETERS):
            self.client.log_batch(self.run, params=missing[start : start + _PARAMETERS])

    def epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Log the rows that MLflow does not have yet, each at its optimiser step."""
        known = {point.step for point in self.client.get_metric_history(self.run, "epoch")}
        for row in rows:
            if int(row["step"]) not in known:
                self._metrics({key: value for key, value in row.items() if key != "step"}, int(row["step"]))

    def _metrics(self, values: Mapping[str, float], step: int) -> None:
        entities = require("mlflow.entities", extra="mlflow")
        now = int(time.time() * 1000)
        points = [entities.Metric(key, float(value), now, step) for key, value in values.items()]
        self.client.log_batch(self.run, metrics=points)

    def finish(self, figures: Mapping[str, float], card: Path | None) -> None:
        """Log the final figures and the model card, and end the run."""
        known = self.client.get_run(self.run).data.metrics
        self._metrics({name: value for name, value in figures.items() if name not in known}, 0)
        if card is not None:
            self.client.log_artifact(self.run, str(card))
        self.end("FINISHED")

    def end(self, status: str) -> None:
        """End the run: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run, status=status)

    def break_off(self, status: str) -> None:
        """End the run where another error is on its way, which MLflow's own must not hide."""
        with suppress(_failure()):
            self.end(status)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_CHARACTERS]


class MlflowObserver(TrainerCallback):
    """Logs every epoch. If MLflow's server is gone, that is told once, and the training goes on without it.

    Args:
        log: Where to.
        progress: Whom to tell.
    """

    def __init__(self, log: RunLog, progress: Progress) -> None:
        self.log = log
        self.progress = progress
        self.lost = False

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Log the epoch's row, and those of earlier epochs that a kill kept from MLflow."""
        if self.lost:
            return
        try:
            self.log.epochs(epoch_rows(state.log_history))
        except _failure():
            self.lost = True
            self.progress.note(
                "MLflow does not answer; what is missing there is logged when the run ends or is resumed"
            )
