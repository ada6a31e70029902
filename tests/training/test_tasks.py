"""Several tasks in one network: missing labels, classes that a source can't give, teachers, heads taken over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError, DataError
from ottenok.data.corpus import Corpus, open_corpus
from ottenok.recipes.train import TrainRecipe
from ottenok.tasks.predictions import load_predictions, predictions_file

torch = pytest.importorskip("torch")
from transformers import pipeline  # noqa: E402 - after the check for torch

from ottenok.models.network import load  # noqa: E402
from ottenok.training.run import train  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.training.run import Fitted

pytestmark = pytest.mark.train

MOODS = {
    "positive": (["чудесно", "люблю", "здорово"], "joy"),
    "neutral": (["стол", "книга", "улица"], "neutral"),
    "negative": (["гадость", "мерзко", "злость"], "anger"),
}
FILLER = ["я", "это", "там", "день", "был"]
BASE: dict[str, Any] = {
    "name": "shades",
    "text": {"max_length": 24},
    "model": {"pooling": "mean"},
    "optim": {"learning_rate": 3e-3, "head_learning_rate": 1e-2},
    "schedule": {"num_train_epochs": 5},
    "batch": {"batch_size": 8},
    "run": {"precision": "fp32", "save_minutes": None},
}


def write_shades(folder: Path, *, rows: int = 300, labelled: bool = True) -> Corpus:
    """Write a corpus with two tasks: every third text has labels for both, the others for one of them.

    The source `poles` knows no neutral. Without `labelled` a train text's labels say nothing: all have the same.
    """
    chance = np.random.default_rng(0)
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("id", "text", "labels:sentiment-3", "labels:emotions-7", "source", "part", "language", "split")
    }
    for number in range(rows):
        source = "poles" if number % 2 else "all"
        mood = str(chance.choice(["positive", "negative"] if source == "poles" else list(MOODS)))
        words, emotion = MOODS[mood]
        split = "tttttvx"[number % 7]
        text = [*chance.choice(FILLER, 3), *chance.choice(words, 2)]
        told = labelled or split != "t"
        row = {
            "id": f"{source}/0/{number}",
            "text": " ".join(map(str, text)),
            "labels:sentiment-3": [mood if told else "neutral"] if number % 3 != 1 else None,
            "labels:emotions-7": [emotion if told else "neutral"] if number % 3 != 2 else None,
            "source": source,
            "part": None,
            "language": "ru",
            "split": {"t": "train", "v": "validation", "x": "test"}[split],
        }
        for name, value in row.items():
            columns[name].append(value)
    columns_ = {**columns, "part": pa.nulls(rows, pa.string())}
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns_), folder / "corpus.parquet")
    tasks = [
        {"name": name, "scheme": {"name": name}, "classes": classes}
        for name, classes in (
            ("sentiment-3", {"poles": ["negative", "positive"]} if labelled else {}),
            ("emotions-7", {}),
        )
    ]
    manifest = {"format": 2, "name": "shades", "tasks": tasks, "sources": [], "recipe": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return open_corpus(folder)


@pytest.fixture(scope="session")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return a corpus with two tasks."""
    return write_shades(tmp_path_factory.mktemp("shades") / "corpus")


def fitted_on(corpus: Corpus, encoder: Path, out: Path, **over: Any) -> Fitted:
    """Train on a corpus."""
    recipe = parse(TrainRecipe, merge(merge(BASE, {"model": {"encoder": str(encoder)}}), over))
    fitted = train(recipe, corpus=corpus, out=out)
    assert fitted is not None
    return fitted


def test_two_tasks_are_learned_in_one_network(shades: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Texts with a label for one task or both teach both; decisions, metrics and predictions are kept for each."""
    fitted = fitted_on(shades, tiny, tmp_path / "out", run={"metric": "cell_f1"})

    assert fitted.report("test").value("accuracy") > 0.9
    assert fitted.report("test", "emotions-7").value("micro_f1") > 0.85
    manifest = fitted.bundle.manifest
    assert [task.name for task in manifest.tasks] == ["sentiment-3", "emotions-7"]
    assert [task.output for task in manifest.tasks] == ["logits", "logits_emotions_7"]
    assert [task.decision.activation for task in manifest.task_list()] == ["softmax", "sigmoid"]
    row = fitted.epochs[-1]
    assert row["macro_f1"] == pytest.approx((row["sentiment-3/macro_f1"] + row["emotions-7/macro_f1"]) / 2)
    assert {"loss", "cell_f1"} <= row.keys()
    held = {
        task.name: load_predictions(predictions_file(tmp_path / "out", "test", task=task.name))
        for task in manifest.tasks
    }
    assert {name: one.probs.shape[1] for name, one in held.items()} == {"sentiment-3": 3, "emotions-7": 7}
    assert set(held["sentiment-3"].ids) != set(held["emotions-7"].ids)

    model = load(tmp_path / "out")
    ids = {"input_ids": torch.tensor([[2, 5, 6, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.int64)}
    assert model(**ids).logits.shape == (1, 10)
    # transformers' own tools know of the first task alone, and read it rightly.
    answers = pipeline("text-classification", model=str(tmp_path / "out"))("я люблю день", top_k=None)
    assert {answer["label"] for answer in answers} == {"negative", "neutral", "positive"}
    assert sum(answer["score"] for answer in answers) == pytest.approx(1.0, abs=1e-5)


def test_a_source_without_a_class_says_nothing_of_it(shades: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Half of the texts come from a source that knows no neutral; neutral is learned from the other as if alone."""
    fitted = fitted_on(shades, tiny, tmp_path / "out", tasks=[{"name": "sentiment-3"}])

    assert [task.name for task in fitted.bundle.manifest.tasks] == ["sentiment-3"]
    by_label = {label.label: label for label in fitted.report("test").labels}
    assert by_label["neutral"].recall > 0.8


def test_a_task_may_have_its_own_layers_and_loss(shades: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Pooling, head, problem, loss and decision of a task replace the recipe's; a task that is not there is refused."""
    own = {
        "name": "emotions-7",
        "weight": 2.0,
        "pooling": "max",
        "head": {"kind": "mlp", "hidden": [16]},
        "loss": {"name": "asymmetric"},
        "decision": {"thresholds": {"metric": "macro_f1"}, "empty": "neutral"},
    }
    ordinal = {"name": "sentiment-3", "problem": "ordinal"}
    fitted = fitted_on(shades, tiny, tmp_path / "out", tasks=[own, ordinal], schedule={"num_train_epochs": 2})

    first, second = fitted.bundle.manifest.tasks
    assert (first.name, len(first.decision.thresholds), first.decision.empty) == ("emotions-7", 7, "neutral")
    assert (second.name, second.problem_type, second.decision.thresholds) == ("sentiment-3", "ordinal", ())
    config = load(tmp_path / "out").config
    assert (config.pooling, config.head["hidden"]) == ("max", [16])
    assert (config.other_tasks[0]["pooling"], config.other_tasks[0]["link"]) == ("mean", "corn")
    with pytest.raises(ConfigError, match="no task 'emotions'") as caught:
        fitted_on(shades, tiny, tmp_path / "other", tasks=[{"name": "emotions"}])
    assert "emotions-7" in str(caught.value)


def write_teacher(file: Path, corpus: Corpus, *, columns: int = 3) -> Path:
    """Write what a teacher who reads the words thinks of the train texts."""
    rows = corpus.table("train").to_pylist()
    labels = ("negative", "neutral", "positive")
    moods = [
        next(mood for mood, (words, _) in MOODS.items() if any(word in words for word in row["text"].split()))
        for row in rows
    ]
    probs = [[0.9 if mood == label else 0.05 for mood in moods] for label in labels]
    table = {f"p:sentiment-3:{label}": one for label, one in list(zip(labels, probs, strict=True))[:columns]}
    pq.write_table(pa.table({"id": [row["id"] for row in rows], **table}), file)
    return file


def test_a_teacher_teaches_what_labels_do_not_say(tiny: Path, tmp_path: Path) -> None:
    """With labels that all say neutral, the teacher's probabilities alone make a student who is right."""
    corpus = write_shades(tmp_path / "corpus", labelled=False)
    teacher = {"file": str(write_teacher(tmp_path / "soft.parquet", corpus)), "weight": 1.0, "temperature": 2.0}
    only = [{"name": "sentiment-3"}]
    taught = fitted_on(corpus, tiny, tmp_path / "taught", tasks=only, teacher=teacher)
    untaught = fitted_on(corpus, tiny, tmp_path / "untaught", tasks=only)

    assert taught.report("test").value("accuracy") > 0.9
    assert untaught.report("test").value("accuracy") < 0.6
    assert str(tmp_path) not in (tmp_path / "taught" / "ottenok.json").read_text(encoding="utf-8")


def test_a_teachers_file_that_does_not_fit_is_refused(shades: Corpus, tiny: Path, tmp_path: Path) -> None:
    """No such file, a column that is missing, and no row of the corpus are told apart."""
    half = write_teacher(tmp_path / "half.parquet", shades, columns=2)
    strange = tmp_path / "strange.parquet"
    pq.write_table(pa.table({"id": ["other/0/1"], "p:sentiment-3:neutral": [1.0]}), strange)
    for number, (file, words) in enumerate(
        [
            (tmp_path / "none.parquet", "can't be read"),
            (half, "column is missing"),
            (strange, "none of the corpus's rows"),
        ]
    ):
        with pytest.raises(DataError, match=words):
            fitted_on(shades, tiny, tmp_path / f"out-{number}", teacher={"file": str(file)})


def test_a_run_starts_from_a_trained_classifier(shades: Corpus, tiny: Path, tmp_path: Path) -> None:
    """`init_from` takes the encoder, and the heads of tasks with the same name, labels and layers; others are new."""
    before = fitted_on(shades, tiny, tmp_path / "before", tasks=[{"name": "emotions-7"}], schedule={"max_steps": 20})
    still = {"optim": {"learning_rate": 1e-12, "head_learning_rate": 1e-12, "weight_decay": 0.0}}
    over = {"model": {"init_from": str(tmp_path / "before")}, "schedule": {"max_steps": 1}}
    off = {"decision": {"temperature": False}}
    after = fitted_on(shades, tiny, tmp_path / "after", **still, **over, **off)

    old, new = load(before.bundle.folder).state_dict(), load(after.bundle.folder).state_dict()
    torch.testing.assert_close(new["others.0.head.out.weight"], old["head.out.weight"], atol=1e-7, rtol=0)
    name = next(name for name in old if name.startswith("encoder.") and name.endswith("query.weight"))
    torch.testing.assert_close(new[name], old[name], atol=1e-7, rtol=0)


def test_a_student_keeps_some_layers(shades: Corpus, tiny: Path, tmp_path: Path) -> None:
    """`model.layers` takes the encoder's layers of these numbers, and what is saved opens with them alone."""
    fitted_on(shades, tiny, tmp_path / "out", model={"layers": [1]}, schedule={"max_steps": 2})
    encoder = load(tmp_path / "out").encoder
    assert encoder.config.num_hidden_layers == 1
    for layers, words in (([0, 5], "first 6 layers"), ([1, 0], "rising numbers")):
        with pytest.raises(ConfigError, match=words):
            fitted_on(shades, tiny, tmp_path / "other", model={"layers": layers})
        (tmp_path / "other" / "run.json").unlink()


def test_lower_layers_may_learn_more_slowly(shades: Corpus, tiny: Path, tmp_path: Path) -> None:
    """With `layer_decay` a layer's weights move the less the further below it is."""
    from safetensors.torch import load_file

    over = {"optim": {"layer_decay": 0.01, "weight_decay": 0.0}, "schedule": {"max_steps": 4, "warmup_ratio": 0.0}}
    fitted_on(shades, tiny, tmp_path / "out", **over)
    before, after = load_file(tiny / "model.safetensors"), load(tmp_path / "out").encoder.state_dict()

    def moved(part: str) -> float:
        names = [name for name in before if part in name and name.endswith("query.weight")]
        return float(sum((after[name] - before[name]).abs().mean() for name in names))

    assert 0.0 < moved("layer.0.") < 0.1 * moved("layer.1.")
