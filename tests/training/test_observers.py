"""Who watches a run: a watcher that may stop it, MLflow, TensorBoard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError, MissingExtraError
from ottenok.core.progress import Silent
from ottenok.recipes.train import TrainRecipe
from ottenok.training.inputs import Places

torch = pytest.importorskip("torch")
from ottenok.studies.training import train  # noqa: E402 - after the check for torch
from ottenok.training import checkpoints  # noqa: E402
from ottenok.training.dataset import TokenMemory  # noqa: E402
from ottenok.training.folder import open_run  # noqa: E402
from ottenok.training.observers import MlflowRun  # noqa: E402
from ottenok.training.run import Shared, check_trials, trial  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ottenok.data.corpus import Corpus

pytestmark = pytest.mark.train

_BASE: dict[str, Any] = {
    "name": "toy",
    "text": {"max_length": 24},
    "optim": {"lr": 3e-3, "head_lr": 1e-2},
    "schedule": {"epochs": 3},
    "batch": {"size": 16},
    "run": {"precision": "fp32", "checkpoint_minutes": 100.0},
}


def _recipe(encoder: Path, corpus: Corpus, **over: Any) -> TrainRecipe:
    own = {"model": {"encoder": str(encoder)}, "data": {"corpus": str(corpus.folder)}}
    return parse(TrainRecipe, merge(merge(_BASE, own), over))


@pytest.fixture
def shared(toy_corpus: Corpus) -> Shared:
    """Return what trials on the toy corpus share."""
    from ottenok.core.progress import SILENT

    return Shared(corpus=toy_corpus, memory=TokenMemory(), tracking=None, progress=SILENT)


class _Watcher:
    """Wants so many epochs and no more."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.seen: list[int] = []

    def __call__(self, rows: Sequence[dict[str, float]]) -> bool:
        self.seen.append(len(rows))
        return len(rows) < self.epochs


def test_a_watcher_sees_every_epoch_and_may_stop_the_run(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, shared: Shared
) -> None:
    """After each epoch it is shown all rows so far; what it says ends the run there, or lets it end by itself."""
    recipe = _recipe(tiny, toy_corpus)
    stops, stays = _Watcher(2), _Watcher(9)
    stopped = trial(recipe, out=tmp_path / "stopped", watch=stops, shared=shared)
    whole = trial(recipe, out=tmp_path / "whole", watch=stays, shared=shared)

    assert (stops.seen, stopped.best, len(stopped.epochs)) == ([1, 2], None, 2)
    assert (stays.seen, len(whole.epochs)) == ([1, 2, 3], 3)
    scores = [row["macro_f1"] for row in whole.epochs]
    assert whole.best == scores.index(max(scores))


def test_a_trial_reads_no_test_rows_and_leaves_no_classifier(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, shared: Shared
) -> None:
    """A trial is a run up to its last epoch: the same run taken up by `train` ends as a run of one piece."""
    recipe = _recipe(tiny, toy_corpus, schedule={"epochs": 1}, run={"export": False})
    read: list[str] = []
    examples = shared.memory.examples

    def noted(recipe: TrainRecipe, split: Any, reading: Any) -> Any:
        read.append(split)
        return examples(recipe, split, reading)

    shared.memory.examples = noted  # type: ignore[method-assign]
    trial(recipe, out=tmp_path / "trial", watch=_Watcher(9), shared=shared)
    assert read == ["train", "validation"]
    assert not (tmp_path / "trial" / "ottenok.json").exists()

    train(recipe, tmp_path / "trial", resume=True)
    train(recipe, tmp_path / "whole")
    for name in ("trial", "whole"):
        assert not (tmp_path / name / "checkpoints").exists()
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("trial", "whole")]
    assert weights[0] == weights[1]


def test_trials_share_tokens_of_the_same_texts(toy_corpus: Corpus, tiny: Path) -> None:
    """Another learning rate or head reads the same tokens; another length or noise does not."""
    memory, reads = TokenMemory(), []

    def read_as(**over: Any) -> None:
        memory.examples(_recipe(tiny, toy_corpus, **over), "train", lambda: reads.append(over) or object())  # type: ignore[arg-type, return-value, func-returns-value]

    read_as()
    read_as(optim={"lr": 1e-4}, model={"head": {"dropout": 0.5}, "pooling": "max"}, run={"keep": 1})
    assert len(reads) == 1
    read_as(text={"max_length": 16})
    read_as(model={"encoder": "other"})
    assert len(reads) == 3


def test_trials_need_something_to_compare_by(
    make_corpus: Callable[..., Corpus], toy_corpus: Corpus, tiny: Path
) -> None:
    """A measure that the scheme has not, and a corpus without validation rows, are refused before any training."""
    check_trials(_recipe(tiny, toy_corpus), toy_corpus)
    check_trials(_recipe(tiny, toy_corpus, run={"metric": "loss"}), toy_corpus)
    with pytest.raises(ConfigError, match="macro_f1"):
        check_trials(_recipe(tiny, toy_corpus, run={"metric": "f1_macro"}), toy_corpus)
    corpus = make_corpus(rows=20, splits="tx")
    with pytest.raises(ConfigError, match="no validation rows"):
        check_trials(_recipe(tiny, corpus), corpus)


# MLflow's store uses what SQLAlchemy 2.1 calls deprecated.
_mlflow_warns = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _client(store: str) -> Any:
    return pytest.importorskip("mlflow.tracking").MlflowClient(tracking_uri=store)


def _only_run(client: Any, experiment: str) -> Any:
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len(found) == 1
    return found[0]


def _store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, so that what a library drops there is seen."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@_mlflow_warns
def test_mlflow_gets_recipe_epochs_figures_and_card(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, elsewhere: Path
) -> None:
    """With `run.mlflow` a run is an MLflow run in the folder's own store; it holds no paths of this machine."""
    pytest.importorskip("mlflow")
    over = {"schedule": {"epochs": 2}, "run": {"mlflow": True, "export": False}}
    trained = train(_recipe(tiny, toy_corpus, **over), tmp_path / "out")
    assert trained is not None

    client = _client(_store(tmp_path / "out" / "mlflow"))
    run = _only_run(client, "toy")
    assert (run.info.status, run.info.run_name) == ("FINISHED", "out")
    assert run.data.params["optim.learning_rate"] == "0.003"
    assert run.data.params["model.head.kind"] == "linear"
    assert not [value for value in run.data.params.values() if str(tmp_path) in value or str(tiny.parent) in value]
    history = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    points = client.get_metric_history(run.info.run_id, "macro_f1")
    assert [(point.step, point.value) for point in points] == [(row["step"], row["macro_f1"]) for row in history]
    assert math.isclose(run.data.metrics["test_accuracy"], trained.reports["test"]["sentiment-3"].value("accuracy"))
    card = client.download_artifacts(run.info.run_id, "README.md", str(tmp_path))
    assert Path(card).read_text(encoding="utf-8") == (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert list(elsewhere.iterdir()) == []


@_mlflow_warns
def test_a_run_taken_up_again_is_the_same_mlflow_run(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the second epoch, MLflow says so; resumed, the run goes on, and no epoch is there twice."""
    pytest.importorskip("mlflow")
    recipe = _recipe(tiny, toy_corpus, run={"mlflow": True, "export": False})
    places = Places(tracking=_store(tmp_path))
    whole = checkpoints.publish

    def stops(part: Path, folder: Path, step: int) -> Path:
        if step == 30:
            raise KeyboardInterrupt
        return whole(part, folder, step)

    monkeypatch.setattr(checkpoints, "publish", stops)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "out", places=places)
    client = _client(_store(tmp_path))
    before = _only_run(client, "toy")
    assert before.info.status == "KILLED"

    monkeypatch.setattr(checkpoints, "publish", whole)
    train(recipe, tmp_path / "out", places=places, resume=True)
    train(recipe, tmp_path / "out", places=places, resume=True)
    after = _only_run(client, "toy")
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "FINISHED")
    assert [point.step for point in client.get_metric_history(after.info.run_id, "epoch")] == [15, 30, 45]
    assert len(client.get_metric_history(after.info.run_id, "test_accuracy")) == 1
    assert list(elsewhere.iterdir()) == []


@_mlflow_warns
def test_mlflow_is_asked_for_by_name(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package the error names the extra; a store that can't be used is refused without its address."""
    recipe = _recipe(tiny, toy_corpus, run={"mlflow": True})
    with monkeypatch.context() as patch:
        import sys

        patch.setitem(sys.modules, "mlflow", None)
        with pytest.raises(MissingExtraError, match=r"ottenok\[mlflow\]"):
            train(recipe, tmp_path / "out")
    pytest.importorskip("mlflow")
    with pytest.raises(ConfigError, match="store in MLFLOW_TRACKING_URI can't be used") as caught:
        train(recipe, tmp_path / "out", resume=True, places=Places(tracking="nosuch://user:secret@host"))
    assert "secret" not in str(caught.value)


@_mlflow_warns
def test_a_lost_store_does_not_stop_the_training(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, elsewhere: Path
) -> None:
    """If MLflow's store goes away in the middle of a run, that is told once and the epochs go on."""
    pytest.importorskip("mlflow")
    notes: list[str] = []

    class Notes(Silent):
        def note(self, message: str) -> None:
            notes.append(message)

    recipe = _recipe(tiny, toy_corpus, run={"mlflow": True})
    with open_run(tmp_path / "out", recipe, toy_corpus, resume=False) as folder:
        observer = MlflowRun(folder, recipe, Notes())
        row = {"epoch": 1.0, "step": 15.0, "loss": 0.5}
        observer.epochs([row])
        client = _client(_store(tmp_path / "out" / "mlflow"))
        assert [point.step for point in client.get_metric_history(observer.run, "epoch")] == [15]
        client.delete_run(observer.run)
        for step in (30.0, 45.0):
            observer.epochs([row, {**row, "step": step}])
        observer.close(None)
    assert len(notes) == 1
    assert "MLflow does not answer" in notes[0]


def test_tensorboard_gets_the_curves(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """With `run.tensorboard` the folder `tensorboard` holds an event file with the validation measures."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    over = {"schedule": {"epochs": 2}, "run": {"tensorboard": True, "export": False}}
    train(_recipe(tiny, toy_corpus, **over), tmp_path / "out")

    events = accumulator.EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("eval/macro_f1")) == 2


def test_logging_may_differ_when_a_run_is_taken_up(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """`run.mlflow` and a search space are not what makes a run another one."""
    with open_run(tmp_path / "out", _recipe(tiny, toy_corpus), toy_corpus, resume=False):
        pass
    space = {"space": {"optim.lr": {"low": 1e-5, "high": 1e-4}}}
    changed = _recipe(tiny, toy_corpus, run={"mlflow": True}, search=space)
    with open_run(tmp_path / "out", changed, toy_corpus, resume=True) as folder:
        assert folder.resumed
