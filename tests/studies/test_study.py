"""Studies of tiny models on a toy corpus: arms, seeds, failures, taking up again."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ottenok.core.errors import ConfigError, DataError
from ottenok.recipes.train import load_recipe
from ottenok.recipes.variants import take_variants
from ottenok.tasks.paired import PairedOptions
from ottenok.tasks.predictions import load_predictions, predictions_file

pytest.importorskip("torch")
from ottenok.cli.study import study as command
from ottenok.studies.compare import compare
from ottenok.studies.study import Studied, read_study, study
from tiny_encoders import tiny_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.train

WORDS = {"negative": ["ужасно", "糟糕"], "neutral": ["стол", "书店"], "positive": ["чудесно", "很好"]}

RECIPE = """
name = "toy"
description = "A toy."
{seeds}
[data]
corpus = "{corpus}"
[model]
encoder = "{encoder}"
[text]
max_length = 24
[optim]
lr = 3e-3
head_lr = 1e-2
[schedule]
max_steps = 2
[batch]
size = 8
[run]
precision = "fp32"
export = false
{arms}
"""
ARMS = """
[[variants]]
name = "mean"
title = "mean of all"
[[variants]]
name = "max"
model.pooling = "max"
"""
_QUICK = PairedOptions(resamples=20, permutations=20)


def _corpus(folder: Path, *, rows: int = 60, tests: int = 10) -> Path:
    chance = random.Random(0)
    moods = [chance.choice(list(WORDS)) for _ in range(rows)]
    table = pa.table(
        {
            "id": [f"toy/0/{number}" for number in range(rows)],
            "text": [f"это {chance.choice(WORDS[mood])} и {number}" for number, mood in enumerate(moods)],
            "labels": [[mood] for mood in moods],
            "source": ["toy"] * rows,
            "part": pa.nulls(rows, pa.string()),
            "language": ["ru"] * rows,
            "split": ["test"] * tests + ["validation"] * 10 + ["train"] * (rows - tests - 10),
        }
    )
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "corpus.parquet")
    manifest = {"name": folder.name, "scheme": "sentiment-3", "sources": []}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a corpus of 60 texts."""
    return _corpus(tmp_path_factory.mktemp("data") / "toy")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random BERT."""
    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny-bert")


@pytest.fixture
def recipe(corpus: Path, tiny: Path, tmp_path: Path):
    """Return what writes a recipe with these arms."""

    def write(arms: str = ARMS, seeds: str = "") -> Path:
        file = tmp_path / "toy.toml"
        file.write_text(RECIPE.format(corpus=corpus, encoder=tiny, arms=arms, seeds=seeds), encoding="utf-8")
        return file

    return write


def _study(file: Path, out: Path, over: Mapping[str, Any] | None = None, **spec: Any) -> Studied:
    return study(file, out, over=over, tests=_QUICK, **spec)


def _results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


class _Notes:
    """Keeps what a study tells; stops it, as Ctrl-C does, when a run's end is told."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.notes: list[str] = []
        self.stop_at = stop_at

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        if self.stop_at is not None and stage.startswith(self.stop_at):
            raise KeyboardInterrupt

    def advance(self, count: int = 1) -> None: ...

    def finish(self) -> None: ...

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_every_arm_is_trained_with_every_seed(recipe, corpus: Path, tmp_path: Path) -> None:
    """Each is an ordinary run with its predictions; the results name arms, seeds, epochs, reports and the machine."""
    out, told = tmp_path / "out", _Notes()
    found = study(recipe(seeds="seeds = [1, 2]"), out, tests=_QUICK, progress=told)

    assert found.done == ("mean-1", "mean-2", "max-1", "max-2")
    assert found.comparison is not None
    assert [(one.name, one.seeds) for one in found.comparison.systems] == [("mean of all", (1, 2)), ("max", (1, 2))]
    results = _results(out)
    first = results["variants"][0]
    assert (first["name"], first["seed"], first["state"], first["recipe"]["name"]) == ("mean", 1, "done", "toy-mean")
    assert first["training"]["texts"] == 16
    assert first["training"]["parameters"] == first["training"]["trained"] > 1000
    assert len(first["epochs"]) == 1
    assert first["best"] == 0
    assert first["reports"]["test"]["rows"] == 10
    assert "torch" in results["environment"]["versions"]
    assert str(tmp_path) not in json.dumps(results)
    text = (out / "results.md").read_text(encoding="utf-8")
    assert "## mean of all, seed 2: epochs on validation rows" in text
    assert "± " in text
    assert any("minutes left for 3 more" in note for note in told.notes)

    predictions = load_predictions(predictions_file(out / "max-2"))
    assert predictions.ids == tuple(f"toy/0/{row}" for row in range(10))
    again = compare([out])
    assert [one.name for one in again.systems] == ["mean of all", "max"]


def test_the_same_command_goes_on(recipe, tmp_path: Path) -> None:
    """Ctrl-C writes down what is done; the next call keeps it and does the rest, and a third one does nothing."""
    file, out = recipe(), tmp_path / "out"
    assert _study(file, out, only=("max",)).waiting == ("mean-42",)
    weights = (out / "max-42" / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):
        study(file, out, tests=_QUICK, progress=_Notes(stop_at="testing"))
    assert {arm["folder"]: arm["state"] for arm in _results(out)["variants"]} == {
        "mean-42": "waiting",
        "max-42": "done",
    }
    assert "not trained yet" in (out / "results.md").read_text(encoding="utf-8")

    told = _Notes()
    assert study(file, out, tests=_QUICK, progress=told).done == ("mean-42", "max-42")
    assert any("max, seed 42: finished before" in note for note in told.notes)
    assert (out / "max-42" / "model.safetensors").stat().st_mtime_ns == weights
    (out / "study.json").unlink()
    assert _study(file, out).failed == {}


def test_another_recipe_is_not_mixed_in(recipe, tmp_path: Path) -> None:
    """A changed arm is refused before anything is trained, and its key is named; a used folder is left alone."""
    file, out = recipe(), tmp_path / "out"
    _study(file, out, only=("max",))
    with pytest.raises(ConfigError, match="another recipe") as caught:
        _study(file, out, {"optim": {"lr": 1e-3}})
    assert caught.value.key == "optim.learning_rate"
    assert not (out / "mean-42").exists()
    used = tmp_path / "used"
    used.mkdir()
    (used / "thesis.txt").write_text("years", encoding="utf-8")
    with pytest.raises(ConfigError, match="no study"):
        _study(file, used)


def test_a_leaderboard_ends_with_all_its_rows(recipe, tiny: Path, tmp_path: Path, monkeypatch) -> None:
    """Of eight encoders two can be loaded: six rows say why not, and two are compared."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    second = tiny_encoder(tmp_path / "tiny-two", seed=7)
    strange, empty = tmp_path / "strange", tmp_path / "empty"
    for folder, config in ((strange, {"model_type": "odd", "auto_map": {"AutoConfig": "odd.Odd"}}), (empty, {})):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (strange / "odd.py").write_text("raise SystemExit('this must not be run')", encoding="utf-8")
    names = [tiny, second, strange, empty, *(f"nobody/encoder-{n}" for n in range(2)), *(f"/no/{n}" for n in range(2))]
    arms = "".join(f'[[variants]]\nname = "{n:02}"\nmodel.encoder = "{name}"\n' for n, name in enumerate(names))
    out = tmp_path / "out"
    found = _study(recipe(arms), out)

    assert found.done == ("00-42", "01-42")
    assert len(found.failed) == 6
    results = _results(out)
    assert len(results["variants"]) == 8
    assert all("can't be loaded" in arm["reason"] for arm in results["variants"][4:6])
    assert all("there is no folder" in arm["reason"] for arm in results["variants"][6:])
    assert "code" in results["variants"][2]["reason"]
    assert results["comparison"] is not None
    assert len(results["comparison"]["systems"]) + len(results["comparison"]["failed"]) == 8


def test_an_arm_that_fails_unforeseen_leaves_its_traceback(recipe, corpus: Path, tmp_path: Path) -> None:
    """Also where no error of ours was raised; the next call tries it again."""
    arms = ARMS + '[[variants]]\nname = "lost"\ndata.recipe = "no-such-corpus"\n'
    out = tmp_path / "out"
    (out / "max-42" / "run.json").mkdir(parents=True)
    found = _study(recipe(arms), out)

    assert found.done == ("mean-42",)
    assert found.failed["lost-42"].startswith("there is no data: ")
    assert found.failed["max-42"].startswith("IsADirectoryError")
    assert "Traceback" in (out / "max-42" / "error.txt").read_text(encoding="utf-8")
    (out / "max-42" / "run.json").rmdir()
    assert _study(recipe(arms), out).done == ("mean-42", "max-42")


def test_a_study_of_an_earlier_version_goes_on(recipe, tmp_path: Path) -> None:
    """Its file called variants arms, and counted deaths; what was running when it was killed is taken up again."""
    file, out = recipe(), tmp_path / "out"
    _study(file, out, only=("max",))
    state = json.loads((out / "study.json").read_text(encoding="utf-8"))
    entries = state.pop("variants")
    entries[0] |= {"state": "running", "deaths": 1, "mark": " 0 False"}
    (out / "study.json").write_text(json.dumps(state | {"format": 1, "arms": entries}), encoding="utf-8")

    assert [one.name for one in compare([out]).systems] == ["max"]
    assert _study(file, out).done == ("mean-42", "max-42")


@pytest.mark.parametrize("metric", ["macro_f1", "loss", "calibration_error"])
def test_the_best_weights_are_the_best_by_the_metric(recipe, tmp_path: Path, metric: str) -> None:
    """Of an error or a loss the least is best: the run that keeps its weights has it on validation rows."""
    out = tmp_path / "out"
    _study(recipe(), out, {"run": {"metric": metric}}, weights="best")

    values = {}
    for place in out.glob("*/history.jsonl"):
        rows = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
        values[place.parent.name] = rows[0][metric]
    kept = [file.parent.name for file in out.glob("*/model.safetensors")]
    wanted = max(values.values()) if metric == "macro_f1" else min(values.values())
    assert len(kept) == 1
    assert values[kept[0]] == wanted


@pytest.mark.parametrize(("weights", "left"), [("none", 0), ("best", 1)])
def test_weights_can_be_given_up(weights: Any, left: int, recipe, tmp_path: Path) -> None:
    """Figures, predictions and sizes stay, and what is finished is not trained again."""
    file, out = recipe(), tmp_path / "out"
    found = _study(file, out, weights=weights)

    assert len(list(out.glob("*/model.safetensors"))) == left
    assert found.comparison is not None
    assert all(one.cost.weights_mb for one in found.comparison.systems)
    assert _study(file, out, weights=weights).done == ("mean-42", "max-42")
    assert len(list(out.glob("*/model.safetensors"))) == left


def test_arms_with_data_of_their_own(recipe, corpus: Path, tmp_path: Path) -> None:
    """Other training rows are fine; other test rows are refused before anything is trained, or left out."""
    more = _corpus(tmp_path / "more", rows=80)
    other = _corpus(tmp_path / "other", tests=12)
    for folder in (more, other):
        (folder / "manifest.json").write_text(
            json.dumps({"name": folder.name, "scheme": "sentiment-3", "sources": []}), encoding="utf-8"
        )
    arms = '[[variants]]\nname = "few"\n[[variants]]\nname = "own"\ndata.corpus = "{}"\n'
    found = _study(recipe(arms.format(more)), tmp_path / "more-study", metrics=("accuracy",))
    assert found.comparison is not None
    assert (found.comparison.rows, found.comparison.metrics) == (10, ("accuracy",))
    rows = [arm["data"]["name"] for arm in _results(tmp_path / "more-study")["variants"]]
    assert rows == ["toy", "more"]

    out = tmp_path / "other-study"
    with pytest.raises(DataError, match="have other rows to compare on"):
        _study(recipe(arms.format(other)), out)
    assert not list(out.glob("*/run.json"))
    common = _study(recipe(arms.format(other)), out, common=True)
    assert common.comparison is not None
    assert common.comparison.rows == 10


def test_arms_are_read_from_the_recipe(recipe, corpus: Path) -> None:
    """Keys of an arm replace the recipe's, those of the command line replace both, and data of its own stays."""
    file = recipe(ARMS + '[[variants]]\nname = "own"\ndata.recipe = "toy-corpus"\n', seeds="seeds = [3, 5]")
    plan = read_study(file, {"optim": {"lr": 0.5}}, corpus=corpus)

    assert [run.folder for run in plan.runs] == ["mean-3", "mean-5", "max-3", "max-5", "own-3", "own-5"]
    assert {run.recipe.optim.learning_rate for run in plan.runs} == {0.5}
    assert [run.recipe.model.pooling for run in plan.runs[::2]] == ["mean", "max", "mean"]
    own = plan.runs[-1].recipe.data
    assert (own.corpus, own.recipe) == (None, "toy-corpus")
    assert [run.seed for run in read_study(file, {"seed": 9}).runs] == [9, 9, 9]
    assert [run.seed for run in read_study(file, {"seeds": [8]}).runs] == [8, 8, 8]
    assert [run.folder for run in read_study(recipe("")).runs] == ["run-42"]


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "a"\nmodel.pooling = "max"', "'a' is there twice"),
        ('[[variants]]\nname = "a"\n[[variants]]\nname = "b"', "'a' and 'b' are the same recipe"),
        ('[[variants]]\nname = "../a"', "letters, digits"),
        ('[[variants]]\ntitle = "a"', "expected the variant's name, found None"),
        ('[[variants]]\nname = "a"\ntitle = 3', "expected a text"),
        ('[[variants]]\nname = "a"\nmodel.poling = "max"', "Did you mean 'pooling'"),
        ('[variants]\nname = "a"', "under a heading [[variants]]"),
        ('[[variants]]\nname = "a"\n[study]\nmetric = "x"', "Did you mean 'metrics'"),
        ('[[variants]]\nname = "a"\n[study]\nbaseline = "b"', "no variant 'b'"),
    ],
)
def test_wrong_arms_are_refused(arms: str, words: str, recipe) -> None:
    """Each before anything begins, with what to do."""
    with pytest.raises(ConfigError) as caught:
        read_study(recipe(arms))
    assert words in str(caught.value)


@pytest.mark.parametrize("seeds", ['"1"', "[1, 1]", "[-1]", "[true]", "[1.5]"])
def test_wrong_seeds_are_refused(seeds: str, recipe) -> None:
    """They are whole numbers from 0, each once."""
    with pytest.raises(ConfigError) as caught:
        read_study(recipe(seeds=f"seeds = {seeds}"))
    assert caught.value.key == "seeds"


def test_a_recipe_with_arms_is_trained_by_study_or_by_arm(recipe) -> None:
    """`ottenok train` names both ways."""
    file = recipe()
    with pytest.raises(ConfigError, match="a study of 2 variants") as caught:
        load_recipe(file)
    assert "--variant: mean, max" in str(caught.value)
    assert load_recipe(file, variant="max").model.pooling == "max"
    with pytest.raises(ConfigError, match="no variant 'mx'"):
        load_recipe(file, variant="mx")
    with pytest.raises(ConfigError, match="no variant 'mx'"):
        load_recipe(recipe(""), variant="mx")
    assert take_variants({"name": "x"}).variants == ()


def test_the_command_trains_and_shows(recipe, tmp_path: Path) -> None:
    """Tables on the screen, files in the folder; where nothing can be trained, an error with the first reason."""
    out = tmp_path / "out"
    arguments = [
        str(recipe()),
        "-o",
        str(out),
        "--schedule.max_steps",
        "1",
        "--baseline",
        "mean",
        "--metric",
        "accuracy",
    ]
    shown = CliRunner().invoke(command, arguments)
    assert shown.exit_code == 0, shown.output
    assert "Differences to mean of all" in shown.output
    assert (out / "results.md").is_file()

    failed = CliRunner().invoke(command, [*arguments[:2], str(tmp_path / "no"), "--model.encoder", "/no/where"])
    assert failed.exception is not None
    assert "none of the 2 runs could be trained" in str(failed.exception)
    assert "there is no folder" in str(failed.exception)
