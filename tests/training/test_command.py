"""`ottenok train`, from a user's own file to a classifier that answers."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ottenok.cli.train import train as command
from ottenok.core.errors import ConfigError, DataError, ModelError, OttenokError
from ottenok.recipes.train import DataOptions
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus

pytestmark = pytest.mark.train

RECIPE = """
name = "own"
[model]
encoder = "set on the command line"
[text]
max_length = 24
[optim]
lr = 3e-3
head_lr = 1e-2
[schedule]
epochs = 3
[run]
precision = "fp32"
"""


@pytest.fixture
def table(toy_corpus: Corpus, tmp_path: Path) -> Path:
    """Write the toy corpus as a user's CSV, with other names of the columns."""
    rows = toy_corpus.table(columns=("text", "labels")).to_pylist()
    file = tmp_path / "reviews.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(["отзыв", "оценка"])
        writer.writerows((row["text"], row["labels"][0]) for row in rows)
    return file


def test_a_users_file_becomes_a_classifier(table: Path, tiny: Path, tmp_path: Path) -> None:
    """One command reads the file, trains, exports and writes the card; the classifier then knows a word's label."""
    recipe = tmp_path / "own.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    keys = ["--data.file", str(table), "--data.text", "отзыв", "--data.label", "оценка", "--data.scheme", "sentiment-3"]
    places = ["--cache", str(tmp_path / "cache"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(command, [str(recipe), *keys, "--model.encoder", str(tiny), *places, "--json"])

    assert result.exception is None, result.output
    assert "macro F1" in result.stderr
    told = json.loads(result.stdout)
    assert told["folder"] == str(tmp_path / "out")
    assert [len(told["epochs"]), list(told["metrics"])] == [3, ["validation", "test"]]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "ottenok.json", "README.md", "onnx"} <= names

    import ottenok

    classifier = ottenok.load(tmp_path / "out")
    assert [classifier(text).label for text in ("чудесно", "гадость", "улица")] == ["positive", "negative", "neutral"]


def test_several_processes_train_one_model(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Two processes under torchrun leave one folder, with every text counted once."""
    recipe = tmp_path / "own.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = ["-m", "ottenok", "train", str(recipe), "--corpus", str(toy_corpus.folder)]
    keys = ["--model.encoder", str(tiny), "--run.device", "cpu", "--schedule.epochs", "1", "--run.export", "false"]
    keys += ["-o", str(tmp_path / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*run, *arguments, *keys], env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert '"texts": 234' in (tmp_path / "out" / "history.jsonl").read_text(encoding="utf-8")


def test_a_corpus_is_built_once(table: Path, tmp_path: Path) -> None:
    """The same file is the same corpus; a file that was changed is another one."""
    options = DataOptions(file=str(table), text="отзыв", label="оценка", scheme="sentiment-3")
    places = Places(cache=tmp_path / "cache")
    first = corpus_of(options, places)
    assert corpus_of(options, places).folder == first.folder

    with table.open("a", encoding="utf-8") as stream:
        stream.write("ещё один день;neutral\n")
    assert corpus_of(options, places).folder != first.folder


def test_what_to_learn_from_must_be_said(tmp_path: Path) -> None:
    """No data, two kinds of data and absent data are told apart."""
    places = Places(cache=tmp_path)
    with pytest.raises(ConfigError, match="expected one of"):
        corpus_of(DataOptions(), places)
    with pytest.raises(ConfigError, match="expected one of"):
        corpus_of(DataOptions(recipe="sentiment-ru-zh", file="x.csv"), places)
    with pytest.raises(DataError, match="no such file"):
        corpus_of(DataOptions(file=str(tmp_path / "x.csv")), places)
    with pytest.raises(DataError, match="no corpus"):
        corpus_of(DataOptions(corpus=str(tmp_path)), places)


@pytest.mark.train
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("run.device", "cuda", "GPU|CUDA"),
        ("run.precision", "fp16", "fp16 needs a GPU"),
        ("model.encoder", "./nowhere", "nowhere"),
    ],
)
def test_what_can_not_work_is_said_before_the_long_work(tmp_path: Path, key: str, value: str, message: str) -> None:
    """Device, number format and encoder are looked at before the data, which here is not even there."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    given = ["default", "-o", str(tmp_path / "out"), "--corpus", str(tmp_path / "absent"), "--run.device", "cpu"]
    result = CliRunner().invoke(command, [*given, f"--{key}", value])

    assert isinstance(result.exception, (ConfigError, ModelError))
    assert re.search(message, str(result.exception))
    assert not (tmp_path / "out").exists()


@pytest.mark.train
def test_a_disk_without_room_for_checkpoints_is_told_first(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, with the bytes that are needed."""
    pytest.importorskip("torch")
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda place: real(place)._replace(free=1000))
    given = ["default", "-o", str(tmp_path / "out"), "--corpus", str(toy_corpus.folder), "--text.max_length", "32"]
    result = CliRunner().invoke(command, [*given, "--model.encoder", str(tiny)])

    assert isinstance(result.exception, OttenokError)
    assert "disk" in str(result.exception)
