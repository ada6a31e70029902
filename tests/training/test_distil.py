"""`ottenok distil`: a student learns from teachers, also from texts without labels, and is told beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError
from ottenok.recipes.train import TrainRecipe
from ottenok.training.inputs import Places

pytest.importorskip("torch")
from ottenok.cli.distil import distil as command
from ottenok.models.network import load
from ottenok.studies.distil import distil
from ottenok.training.distil import Teacher, soft_targets, with_unlabelled
from ottenok.training.run import train

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus

pytestmark = pytest.mark.train

BASE: dict[str, Any] = {
    "name": "toy",
    "text": {"max_length": 24},
    "optim": {"learning_rate": 3e-3, "head_learning_rate": 1e-2},
    "schedule": {"num_train_epochs": 4},
    "batch": {"batch_size": 16},
    "run": {"precision": "fp32", "save_minutes": None, "export": False},
}


def _recipe(encoder: Path, corpus: Corpus, **over: Any) -> TrainRecipe:
    own = {"model": {"encoder": str(encoder)}, "data": {"corpus": str(corpus.folder)}}
    return parse(TrainRecipe, merge(merge(BASE, own), over))


@pytest.fixture(scope="module")
def teacher(toy_corpus: Corpus, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier that knows the toy corpus."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    train(_recipe(tiny, toy_corpus), corpus=toy_corpus, out=out)
    return out


def test_a_student_of_one_layer_learns_from_a_teacher(
    teacher: Path, toy_corpus: Corpus, tiny: Path, tmp_path: Path
) -> None:
    """Without a look at the labels the student says what the teacher says; both are told for each task and source."""
    more = tmp_path / "more.csv"
    more.write_text("text\nя люблю этот день\nкакая гадость это\n", encoding="utf-8")
    options = {"teachers": [str(teacher)], "unlabelled": [str(more)], "weight": 1.0, "hidden_weight": 0.1}
    over = {"distil": options, "model": {"init_from": str(teacher), "layers": [0]}}
    places = Places(cache=tmp_path / "cache")
    found = distil(_recipe(tiny, toy_corpus, **over), tmp_path / "student", places=places)

    assert found is not None
    assert load(tmp_path / "student").encoder.config.num_hidden_layers == 1
    parts = {row["part"]: row for row in found.rows}
    assert {"all", "source source-0", "source source-1", "language ru"} <= parts.keys()
    whole = parts["all"]
    assert whole["student"] > whole["teacher"] - 0.1
    assert whole["teacher_low"] <= whole["teacher"] <= whole["teacher_high"]
    assert whole["low"] <= whole["difference"] <= whole["high"]
    assert whole["difference"] == pytest.approx(whole["student"] - whole["teacher"])
    assert whole["student"] == found.trained.reports["test"]["sentiment-3"].value("macro_f1")
    assert f"macro F1 {whole['teacher']:.3f} of the teacher" in found.trained.bundle.manifest.notes[-1]
    assert json.loads((tmp_path / "student" / "distil.json").read_text(encoding="utf-8"))["rows"] == found.rows
    (corpus,) = (tmp_path / "cache" / "distil").glob("corpus-*")
    rows = pq.read_table(corpus / "corpus.parquet").to_pylist()
    unlabelled = [row for row in rows if row["source"] == "unlabelled"]
    assert [row["text"] for row in unlabelled] == ["я люблю этот день", "какая гадость это"]
    assert all(row["labels:sentiment-3"] is None and row["split"] == "train" for row in unlabelled)


def test_what_teachers_say_is_averaged_and_taken_up_shard_by_shard(
    teacher: Path, toy_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that breaks off goes on with the shard that it missed, and the file is that of an undisturbed one."""
    from ottenok.core.progress import SILENT
    from ottenok.recipes.train import RunOptions
    from ottenok.training import distil as module

    monkeypatch.setattr(module, "_SHARD", 50)
    one = Teacher(str(teacher), RunOptions(precision="fp32"))
    asked = []

    class Stops:
        """A teacher who is stopped at the third shard, the first time."""

        name, tasks, identity = one.name, one.tasks, one.identity

        def __call__(self, texts: list[str], *, size: int) -> Any:
            asked.append(len(texts))
            if len(asked) == 3:
                raise KeyboardInterrupt
            return one(texts, size=size)

    def written(folder: str, teachers: list[Any]) -> Any:
        place = tmp_path / folder
        file = soft_targets(teachers, toy_corpus, toy_corpus.tasks, folder=place, size=16, progress=SILENT)
        return pq.read_table(file)

    with pytest.raises(KeyboardInterrupt):
        written("parts", [Stops()])
    parts = written("parts", [Stops()])
    assert asked == [50, 50, 50, 50, 50, 34]
    whole = written("whole", [one])
    assert parts.equals(whole)
    assert written("two", [one, one]).equals(whole)
    labels = ("negative", "neutral", "positive")
    assert set(whole.column_names) == {"id", *(f"p:sentiment-3:{label}" for label in labels)}


def test_teachers_that_can_not_teach_are_refused(
    teacher: Path, toy_corpus: Corpus, tiny: Path, tmp_path: Path, make_corpus: Any
) -> None:
    """A recipe without teachers, and a teacher of other labels, are refused before anything is trained."""
    with pytest.raises(ConfigError, match=r"no table \[distil\]"):
        distil(_recipe(tiny, toy_corpus), tmp_path / "out")
    other = make_corpus(rows=60, scheme="emotions-7")
    recipe = _recipe(tiny, other, distil={"teachers": [str(teacher)]})
    with pytest.raises(ConfigError, match="no teacher knows the student's tasks"):
        distil(recipe, tmp_path / "out", places=Places(cache=tmp_path / "cache"))
    assert not (tmp_path / "out").exists()
    assert with_unlabelled(toy_corpus, (), "text", folder=tmp_path / "none") is toy_corpus


def test_the_command_tells_teacher_and_student(teacher: Path, toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """`ottenok distil` takes a recipe of `ottenok train` and a teacher by option."""
    recipe = tmp_path / "student.toml"
    recipe.write_text(
        f'name = "student"\nrun = {{ precision = "fp32", export = false }}\ntext.max_length = 24\n'
        f'schedule.max_steps = 5\nmodel = {{ encoder = "{tiny}", layers = [1] }}\n',
        encoding="utf-8",
    )
    places = ["--corpus", str(toy_corpus.folder), "--cache", str(tmp_path / "cache"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(command, [str(recipe), "--teacher", str(teacher), *places])
    assert result.exception is None, result.output
    assert "source source-0" in result.output
    assert "The student is in" in result.output
