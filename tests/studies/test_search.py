"""Searches: what may change, trials that fail, lose or are cut off, and what is left in the folder."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ottenok.cli.bars import TrialBars, time_left
from ottenok.cli.search import search as command
from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError
from ottenok.recipes.space import Dimension, SearchOptions
from ottenok.recipes.train import load_recipe
from ottenok.studies.search.space import Space, built_in

pytest.importorskip("optuna")
torch = pytest.importorskip("torch")
import ottenok.studies.search.run as search_module  # noqa: E402
from ottenok.studies.search.run import Budget, Found, search  # noqa: E402 - after the checks for both

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train

_WORDS = {"negative": ["ужасно", "плохо"], "neutral": ["стол", "улица"], "positive": ["чудесно", "люблю"]}
_SPACE: dict[str, Any] = {
    "optim.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
    "model.pooling": {"choices": ["mean", "meen"]},
    "model.head": {"choices": [{"kind": "linear", "hidden": []}, {"kind": "mlp", "hidden": [8]}]},
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe's file, with a tiny encoder and a corpus whose test rows are such that reading them fails."""
    from tiny_encoders import tiny_encoder

    folder = tmp_path_factory.mktemp("search")
    tiny_encoder(folder / "encoder")
    chance = random.Random(0)
    rows = []
    for number in range(90):
        split = ("train", "train", "train", "validation", "test")[number % 5]
        mood = chance.choice(list(_WORDS))
        labels = [mood] if split != "test" else ["a label of no scheme"]
        row = {"id": str(number), "text": f"это {chance.choice(_WORDS[mood])} да", "labels": labels, "source": "toy"}
        rows.append(row | {"part": None, "language": "ru", "split": split})
    (folder / "corpus").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus" / "corpus.parquet")
    manifest = {"name": "toy", "scheme": "sentiment-3", "sources": []}
    (folder / "corpus" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    file = folder / "toy.toml"
    file.write_text(
        f"""
        name = "toy"
        data.corpus = "{folder / "corpus"}"
        text.max_length = 16
        optim = {{lr = 3e-3, head_lr = 1e-2}}
        schedule.num_train_epochs = 2
        batch.batch_size = 8
        run = {{precision = "fp32", checkpoint_steps = 3}}
        [model]
        encoder = "{folder / "encoder"}"
        """,
        encoding="utf-8",
    )
    return file


@pytest.fixture(scope="module")
def found(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Return what a search of five trials found, some of whose combinations the recipe refuses."""
    over = {"search": {"space": _SPACE}}
    return search(recipe, tmp_path_factory.mktemp("searches") / "out", budget=Budget(trials=5), over=over)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _told(folder: Path) -> list[tuple[str, ...]]:
    """Return what a trial had and got, without numbers and times."""
    kept = ("value", "optim.learning_rate", "model.pooling", "model.head")
    return [tuple(row[name] for name in kept) for row in _rows(folder) if not row["reason"].startswith("stopped")]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"optim.learning_ratee": {"low": 0.1, "high": 1}}, "Did you mean 'optim.learning_rate'"),
        ({"optim.foo": {"low": 0.1, "high": 1}}, "optim.weight_decay"),
        ({"head.dropout": {"low": 0.1, "high": 0.2}}, "Did you mean 'model.head.dropout'"),
        ({"zzz": {"low": 1, "high": 2}}, "Known: name"),
        ({"model.head": {"choices": [{"kind": "mlp", "hiden": [8]}]}}, "Did you mean 'model.head.hidden'"),
        ({"seed": {"low": 1, "high": 9}}, "luck"),
        ({"data.recipe": {"choices": ["a", "b"]}}, "other rows"),
        ({"run.metric": {"choices": ["a", "b"]}}, "same for all trials"),
        ({"decision.temperature": {"choices": [True, False]}}, "before temperature"),
        ({"model.pooling": {"low": 1, "high": 2}}, "no number"),
        ({"batch.batch_size": {"low": 1.5, "high": 2}}, "whole number"),
        (
            {"optim": {"choices": [{"learning_rate": 1e-3}]}, "optim.learning_rate": {"low": 1, "high": 2}},
            "is set by optim too",
        ),
    ],
)
def test_keys_are_checked_against_the_recipe(space: dict[str, Any], words: str) -> None:
    """A typo is answered with the nearest key; what makes trials incomparable, or is no range, with the reason."""
    with pytest.raises(ConfigError) as caught:
        Space(parse(SearchOptions, {"space": space}).space, metric="macro_f1")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("dimension", "words"),
    [
        ({"low": 1.0}, "expected low and high, or choices"),
        ({"low": 2.0, "high": 1.0}, "low must be less"),
        ({"low": 0.0, "high": 1.0, "log": True}, "begins above 0"),
        ({"choices": [1, 2], "low": 1.0}, "have no low"),
        ({"choices": []}, "nothing to choose"),
        ({"choices": [1, 1]}, "there twice"),
        ({"low": 1.0, "hihg": 2.0}, "hihg"),
    ],
)
def test_dimensions_are_ranges_or_choices(dimension: dict[str, Any], words: str) -> None:
    """Half a range, an empty one and a mixture are refused, and the key is named."""
    with pytest.raises(ConfigError) as caught:
        parse(SearchOptions, {"space": {"optim.learning_rate": dimension}})
    assert words in str(caught.value)
    assert "optim.learning_rate" in str(caught.value)


def test_losses_can_not_be_compared_by_the_loss(recipe: Path) -> None:
    """With the loss as metric, the loss stays as it is: in a named space by refusal, in the built-in one silently."""
    space = {"loss.name": Dimension(choices=["ce", "focal"])}
    assert Space(space, metric="macro_f1").dimensions
    with pytest.raises(ConfigError, match="different losses"):
        Space(space, metric="loss")
    assert "loss.name" not in built_in(load_recipe(recipe, {"run": {"metric": "loss"}}), ["auto", "focal"])


def test_keys_without_quotes_mean_the_same() -> None:
    """TOML makes tables of `optim.learning_rate = {...}`; they are read as the dotted key."""
    nested = parse(SearchOptions, {"space": {"optim": {"learning_rate": {"low": 1e-5, "high": 1e-3}}}})
    assert nested == parse(SearchOptions, {"space": {"optim.learning_rate": {"low": 1e-5, "high": 1e-3}}})


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"optim": {"learning_rate": 1e-2}, "model": {"pooling": "cls+mean", "head": {"dropout": 0.85}}},
        {"model": {"head": {"kind": "mlp", "hidden": [750, 30]}}},
        {"model": {"pooling": "last"}},
    ],
)
def test_the_built_in_space_holds_the_recipe_itself(recipe: Path, over: dict[str, Any]) -> None:
    """Whatever the recipe has is in its space, so the first trial is the recipe."""
    own = load_recipe(recipe, over)
    space = Space(built_in(own, ["auto", "focal"]), metric=own.run.metric)
    values = space.own(own)
    assert values is not None
    assert space.recipe(own, values) == own
    assert {"model.head.dropout", "optim.learning_rate", "model.pooling", "loss.name"} < set(space.dimensions)


def test_a_key_within_a_choice_wins(recipe: Path) -> None:
    """A table that is a choice is laid over the recipe's, and a key inside it keeps its own dimension."""
    own = load_recipe(recipe, {"model": {"head": {"activation": "tanh"}}})
    dimensions = {
        "model.head.dropout": Dimension(low=0.0, high=0.9),
        "model.head": Dimension(choices=[{"kind": "mlp", "hidden": [8]}, {"kind": "linear"}]),
    }
    made = Space(dimensions, metric="macro_f1").recipe(
        own, {"model.head": "kind mlp, hidden [8]", "model.head.dropout": 0.25}
    )
    head = made.model.head
    assert (head.kind, head.hidden, head.dropout, head.activation) == ("mlp", (8,), 0.25, "tanh")


def test_a_search_leaves_a_recipe_and_tables(found: Found) -> None:
    """Every trial is a row, the first is the recipe itself, and `best.toml` is the recipe of the best one."""
    rows = _rows(found.folder)
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert (rows[0]["optim.learning_rate"], rows[0]["model.pooling"], rows[0]["model.head"]) == (
        "0.003",
        "mean",
        "kind linear",
    )
    facts = json.loads((found.folder / "trials.json").read_text(encoding="utf-8"))
    assert (facts["metric"], facts["direction"], facts["seed"]) == ("macro_f1", "maximize", 42)
    assert [trial["value"] or 0.0 for trial in facts["trials"]] == found.trials["value"].fillna(0.0).tolist()

    assert found.recipe is not None
    assert found.best == facts["best"]
    best = load_recipe(found.recipe)
    values = found.trials.iloc[facts["best"]]
    assert (best.optim.learning_rate, best.model.pooling) == (values["optim.learning_rate"], values["model.pooling"])
    assert best.search is None
    assert found.trials["value"].max() == values["value"]


def test_what_the_recipe_refuses_is_a_failed_trial(found: Found) -> None:
    """Trials with a pooling that there is not are failed, with the reason; the search went on."""
    trials = found.trials.to_dict("records")
    refused = [trial for trial in trials if trial["model.pooling"] == "meen"]
    assert refused
    assert {trial["state"] for trial in refused} == {"failed"}
    assert all("there is no pooling 'meen'" in trial["reason"] for trial in refused)
    assert all(trial["state"] == "complete" and not trial["reason"] for trial in trials if trial not in refused)


def test_only_the_best_trial_keeps_its_weights(found: Found) -> None:
    """The run folders of the others hold their epochs and no weights."""
    weights = {file.relative_to(found.folder).parts[1] for file in found.folder.rglob("*.safetensors")}
    assert weights == {found.trials["folder"][found.best]}
    for state, folder in zip(found.trials["state"], found.trials["folder"], strict=True):
        assert (found.folder / "trials" / folder / "history.jsonl").is_file() == (state == "complete")


def test_the_plots_are_drawn(found: Found) -> None:
    """Optuna's plots are there as PNG and SVG, as many as the trials suffice for."""
    names = {file.name for file in found.plots}
    assert {"history.png", "history.svg", "epochs.png", "slice.png", "parallel.svg"} <= names
    for file in found.plots:
        start = file.read_bytes()[:5]
        assert start == (b"\x89PNG\r" if file.suffix == ".png" else b"<?xml")


_KILLED = """
import json, os, signal, sys
from ottenok.studies.search.run import Budget, search
from ottenok.training.loop import Loop

count = 0
step = Loop._step

def dies(self, *args, **kwargs):
    global count
    count += 1
    if count == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *args, **kwargs)

Loop._step = dies
search(sys.argv[1], sys.argv[2], budget=Budget(trials=5), over={"search": {"space": json.loads(sys.argv[4])}})
"""


def test_a_killed_search_ends_as_if_it_had_not_been(recipe: Path, found: Found, tmp_path: Path) -> None:
    """Killed within a trial and resumed, it tries the same values and scores the same; the half-done one failed."""
    # Seven steps an epoch and a checkpoint every three: this is in the first epoch of the first trial.
    arguments = [str(recipe), str(tmp_path / "out"), "5", json.dumps(_SPACE)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    ended = subprocess.run([sys.executable, "-c", _KILLED, *arguments], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL

    over = {"search": {"space": _SPACE}}
    again = search(recipe, tmp_path / "out", budget=Budget(trials=2), over=over, resume=True)
    assert again.trials["state"].tolist() == ["failed", "complete", found.trials["state"][1]]
    assert again.trials["reason"][0] == "stopped half-done; taken up again as trial 1"
    assert again.trials["folder"][1] == again.trials["folder"][0]
    assert _told(again.folder) == _told(found.folder)[:2]


def test_a_search_is_taken_up_as_it_was(recipe: Path, found: Found) -> None:
    """Without `resume` the folder is in use, another space is refused by its key, and more trials are more."""
    over = {"search": {"space": _SPACE}}
    with pytest.raises(ConfigError, match="--resume"):
        search(recipe, found.folder, budget=Budget(trials=5), over=over)
    other = merge(over, {"search": {"space": {"optim.learning_rate": {"high": 0.02}}}})
    with pytest.raises(ConfigError, match=r"another recipe: 0.01 there, 0.02 asked") as caught:
        search(recipe, found.folder, budget=Budget(trials=5), over=other, resume=True)
    assert caught.value.key == "search.space.optim.learning_rate.high"
    before = (found.folder / "best.toml").read_bytes()
    assert len(search(recipe, found.folder, budget=Budget(trials=5), over=over, resume=True).trials) == 5
    assert (found.folder / "best.toml").read_bytes() == before


def test_one_search_at_a_time(recipe: Path, found: Found) -> None:
    """A second process in the same folder is refused, and does not take the first one's trial for half-done."""
    filelock = pytest.importorskip("filelock")
    with filelock.FileLock(found.folder / ".lock"), pytest.raises(ConfigError, match="at work"):
        search(recipe, found.folder, budget=Budget(trials=9), over={"search": {"space": _SPACE}}, resume=True)


@pytest.mark.parametrize(("pruner", "goes_on"), [("median", False), ("hyperband", False), ("none", True)])
def test_hopeless_trials_are_stopped(recipe: Path, tmp_path: Path, pruner: str, goes_on: bool) -> None:
    """After six good trials a bad one is stopped within its five epochs, unless nothing is to be pruned."""
    import optuna

    options = parse(SearchOptions, {"space": {"optim.learning_rate": {"low": 0.001, "high": 0.01}}, "pruner": pruner})
    study = optuna.create_study(direction="maximize")
    own = load_recipe(recipe, {"schedule": {"epochs": 5}})
    search_module._Search(study, Space(options.space, metric="macro_f1"), options, own, tmp_path)
    for _ in range(6):
        trial = study.ask()
        watch = search_module._Watcher(trial, own)
        told = [watch([{"macro_f1": 0.7 + 0.01 * step} for step in range(epoch)]) for epoch in range(1, 6)]
        assert all(told) or pruner == "hyperband"
        study.tell(trial, 0.74)
    watch = search_module._Watcher(study.ask(), own)
    told = [watch([{"macro_f1": 0.1}] * epoch) for epoch in range(1, 6)]
    assert all(told) == goes_on
    assert told[-1]  # nothing is saved by stopping after the last epoch


@pytest.mark.parametrize("metric", ["calibration_error", "loss"])
def test_less_is_better_where_it_is(recipe: Path, tmp_path: Path, metric: str) -> None:
    """A search by an error or a loss is minimised, its best trial has the least value, and its file says so."""
    over: dict[str, Any] = {"run": {"metric": metric}}
    over |= {"search": {"space": {"optim.head_lr": {"choices": [1e-2, 1e-6, 1.0]}}, "pruner": "none"}}
    found = search(recipe, tmp_path / "out", budget=Budget(trials=3), over=over)

    values = found.trials["value"]
    assert not found.higher
    assert values.nunique() > 1
    assert values[found.best] == values.min()
    for folder, value in zip(found.trials["folder"], values, strict=True):
        lines = (found.folder / "trials" / folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
        assert value == min(json.loads(line)[metric] for line in lines)
    assert json.loads((found.folder / "trials.json").read_text(encoding="utf-8"))["direction"] == "minimize"


def test_stopped_by_hand_a_trial_is_taken_up_again(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C within a trial: it counts as stopped half-done, and its values and folder come again."""
    over = {"search": {"space": {"optim.learning_rate": {"low": 0.001, "high": 0.01}}}}
    objective = search_module._Search.objective

    def stops(here: Any, trial: Any, shared: Any) -> float:
        value: float = objective(here, trial, shared)
        if trial.number == 1:
            raise KeyboardInterrupt
        return value

    monkeypatch.setattr(search_module._Search, "objective", stops)
    with pytest.raises(KeyboardInterrupt):
        search(recipe, tmp_path / "out", budget=Budget(trials=2), over=over)
    monkeypatch.undo()
    trials = search(recipe, tmp_path / "out", budget=Budget(trials=2), over=over, resume=True).trials
    assert trials["state"].tolist() == ["complete", "failed", "complete"]
    assert trials["reason"][1] == "stopped half-done; taken up again as trial 2"
    assert trials["folder"][1] == trials["folder"][2]
    assert trials["optim.learning_rate"][1] == trials["optim.learning_rate"][2]


def test_the_time_is_a_limit(recipe: Path, tmp_path: Path) -> None:
    """When the time is up no trial begins, and there is no best recipe yet."""
    budget = Budget(trials=3, minutes=1e-9)
    none = search(recipe, tmp_path / "out", budget=budget)
    assert (len(none.trials), none.best, none.recipe, none.plots) == (0, None, None, ())


def test_the_command_shows_the_best(recipe: Path, tmp_path: Path) -> None:
    """Trials are told line by line, then a table with the best first, what to do next, and where the weights are."""
    space = tmp_path / "space.toml"
    space.write_text(
        '[search.space]\noptim.learning_rate = {low = 1e-3, high = 1e-2}\n[search]\npruner = "none"', encoding="utf-8"
    )
    arguments = [str(recipe), "-o", str(tmp_path / "out"), "--trials", "2", "--schedule.num_train_epochs", "1"]
    result = CliRunner().invoke(command, [*arguments, "--space", str(space)])
    assert result.exception is None, result.output
    assert "trial 0: macro_f1" in result.stderr
    assert "2 of 2 trials" in result.stderr
    assert "ottenok train" in result.stdout
    assert "Weights of the others are deleted" in result.stdout
    table = [line.split() for line in result.stdout.splitlines() if line[:1] in {"0", "1"}]
    assert float(table[0][1]) >= float(table[1][1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--space", "{recipe}"], r"\[search\] table and nothing else"), (["--search.prunner", "none"], "pruner")],
)
def test_the_command_refuses_what_it_does_not_know(
    recipe: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """A space file that holds more than a space, and a mistyped option of the search, are named."""
    filled = [argument.format(recipe=recipe) for argument in arguments]
    result = CliRunner().invoke(command, [str(recipe), "-o", str(tmp_path / "out"), "--trials", "1", *filled])
    assert isinstance(result.exception, ConfigError)
    with pytest.raises(ConfigError, match=words):
        raise result.exception


def test_the_time_left_is_told() -> None:
    """It is the mean time of the trials so far, times those to come; before the first nothing is known."""
    assert time_left(0, 5, 100.0) == ""
    assert time_left(5, 5, 100.0) == ""
    assert time_left(2, 10, 30.0) == "2 minutes left"
    assert time_left(1, 2, 20.0) == "under a minute left"
    assert time_left(1, 11, 1800.0) == "5.0 hours left"


def test_without_a_terminal_trials_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the training within a trial nothing is told, of the trials a line each."""
    bars = TrialBars()
    bars.outer.start("trials", total=2, unit="trials")
    bars.inner.start("epoch 1/3", total=100, unit="texts")
    bars.inner.advance(50)
    bars.inner.note("a row of epochs")
    bars.inner.finish()
    bars.outer.note("trial 0: fine")
    bars.outer.advance()
    bars.outer.finish()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "trial 0: fine"
    assert lines[1].startswith("1 of 2 trials, ")
    assert len(lines) == 2
