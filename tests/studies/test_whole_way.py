"""Small models all the way: from files, or from texts and labels in Python, to answers."""

from __future__ import annotations

import json
import pickle
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import ottenok

pytestmark = pytest.mark.train
pytest.importorskip("torch")

MOODS = {"negative": ("ужасно", "плохо", "anger"), "positive": ("чудесно", "хорошо", "joy")}
FILLER = ["день", "книга", "улица", "там", "мой", "был", "дом", "лес"]


def write_rows(file: Path, *, emotions: bool, rows: int = 400) -> None:
    """Write JSON lines of a text and its labels, which its words give away."""
    chance = random.Random(int(emotions))
    with file.open("w", encoding="utf-8") as stream:
        for number in range(rows):
            mood = chance.choice([*MOODS, "neutral"])
            words = [*chance.choices(FILLER, k=5), str(number + rows * emotions)]
            words += chance.choices(MOODS[mood][:2], k=2) if mood in MOODS else []
            chance.shuffle(words)
            label = [MOODS[mood][2]] if emotions and mood in MOODS else ["neutral"] if emotions else mood
            stream.write(json.dumps({"text": " ".join(words), "label": label}, ensure_ascii=False) + "\n")


def test_two_tasks_from_files_to_answers(tmp_path: Path) -> None:
    """Each step takes what the one before made; one graph answers both tasks, in int8 too, and files have both."""
    from ottenok.cli.main import cli
    from tiny_encoders import tiny_encoder

    write_rows(tmp_path / "reviews.jsonl", emotions=False)
    write_rows(tmp_path / "posts.jsonl", emotions=True)
    recipe = tmp_path / "both.toml"
    recipe.write_text(
        f"""
name = "both"
tasks = ["sentiment-3", "emotions-7"]
[clean]
near = false
[split]
train = 0.7
validation = 0.15
test = 0.15
[[sources]]
own = {{ name = "reviews", file = "{tmp_path}/reviews.jsonl", text = "text", label = "label", scheme = "sentiment-3" }}
[[sources]]
own = {{ name = "posts", file = "{tmp_path}/posts.jsonl", text = "text", label = "label", scheme = "emotions-7" }}
tasks = ["emotions-7"]
""",
        encoding="utf-8",
    )

    corpus = ottenok.build_corpus(recipe, tmp_path / "corpus")
    assert [task.name for task in corpus.tasks] == ["sentiment-3", "emotions-7"]

    encoder = tiny_encoder(tmp_path / "encoder")
    trained = ottenok.train(
        "default",
        tmp_path / "run",
        over={
            "data": {"corpus": str(tmp_path / "corpus")},
            "text": {"max_length": 24},
            "run": {"precision": "fp32", "save_minutes": None, "robustness": ["upper:1"]},
            "model": {"encoder": str(encoder)},
            "schedule": {"num_train_epochs": 2},
            "optim": {"learning_rate": 0.003, "head_learning_rate": 0.01},
        },
    )
    assert trained is not None
    assert [task.name for task in trained.bundle.manifest.tasks] == ["sentiment-3", "emotions-7"]
    card = (trained.bundle.folder / "README.md").read_text(encoding="utf-8")
    assert "### The corpus's validation rows, emotions-7: when texts are changed" in card
    assert "| upper:1 | 100% |" in card

    page = ottenok.report(trained.bundle.folder, tmp_path / "report").page
    assert "emotions-7" in page.read_text(encoding="utf-8")

    # A folder that is given away says nothing of the machine that made it.
    places = [str(tmp_path), str(tmp_path.parent), str(Path(ottenok.__file__).parent), sys.prefix, str(Path.home())]
    for file in (path for path in trained.bundle.folder.rglob("*") if path.is_file()):
        data = file.read_bytes()
        assert [place for place in places if place.encode() in data] == [], file

    told = CliRunner().invoke(cli, ["export", str(tmp_path / "run"), "--int8", str(tmp_path / "corpus"), "--json"])
    assert told.exit_code == 0, told.output
    measured = json.loads(told.stdout)["int8"]["tasks"]
    assert all(measured[task.name]["macro_f1"] is not None for task in corpus.tasks)

    classifier = ottenok.load(trained.bundle.folder, precision="fp32")
    texts = ["чудесно книга хорошо", "ужасно улица плохо", "дом лес день"]
    answers = classifier(texts)
    assert [set(answer.tasks) for answer in answers] == [{"sentiment-3", "emotions-7"}] * 3
    for task in classifier.tasks:
        alone = ottenok.load(trained.bundle.folder, precision="fp32", tasks=task.name)
        np.testing.assert_array_equal(alone.predict_proba(texts), classifier.predict_proba(texts, task=task.name))

    out = tmp_path / "labelled.jsonl"
    command = [
        "classify",
        str(tmp_path / "reviews.jsonl"),
        "--text",
        "text",
        "-o",
        str(out),
        "-m",
        str(tmp_path / "run"),
    ]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    first = json.loads(out.read_text(encoding="utf-8").splitlines()[0])
    assert any("emotions-7" in name for name in first)


def test_full_training_on_labels_of_ones_own_is_compared_with_a_head(tmp_path: Path) -> None:
    """`auto` trains head and whole model on the same folds and keeps the better one."""
    pytest.importorskip("sklearn")
    from ottenok.sklearn import TextClassifier
    from tiny_encoders import tiny_encoder
    from toys import tiny_manifest, write_bundle

    encoder = tiny_encoder(tmp_path / "encoder")
    write_bundle(tmp_path / "model", tiny_manifest("sentiment-3"))
    moods = {"хорошо": 1, "плохо": 0}
    texts = [f"{word} {number} {'да' * (number % 9)}" for number in range(40) for word in moods]
    labels = [moods[text.split()[0]] for text in texts]
    train = {
        "model": {"encoder": str(encoder)},
        "text": {"max_length": 32},
        "optim": {"learning_rate": 3e-3, "head_learning_rate": 1e-2},
        "schedule": {"num_train_epochs": 8},
        "run": {"precision": "fp32"},
    }

    # A head that may learn nothing is the worse one.
    found = TextClassifier(tmp_path / "model", method="auto", C=1e-9, cv=2, train=train).fit(texts, labels)

    assert found.scores_["head"] < 0.5 < found.scores_["full"]
    assert found.method_ == "full"
    assert found.predict(["хорошо 3", "плохо 5"]).tolist() == [1, 0]
    np.testing.assert_allclose(found.predict_proba(texts).sum(axis=1), 1)
    with pytest.raises(TypeError, match="fit with folder=FOLDER"):
        pickle.dumps(found)

    # And several labels of a text.
    matrix = np.array([[one, 1 - one, number % 9 > 4] for number, one in enumerate(labels)], dtype=int)
    several = TextClassifier(tmp_path / "model", method="full", cv=0, train=train).fit(texts, matrix)
    assert several.predict(["хорошо 3", "плохо 5"])[:, :2].tolist() == [[1, 0], [0, 1]]


def test_labels_by_hand_become_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `label` writes is built into a corpus and trained on as it is, by the command line alone."""
    pytest.importorskip("sklearn")
    pytest.importorskip("uvicorn")
    from ottenok.cli.main import run
    from tiny_encoders import tiny_encoder

    write_rows(tmp_path / "reviews.jsonl", emotions=False, rows=60)
    said = [json.loads(line) for line in (tmp_path / "reviews.jsonl").read_text(encoding="utf-8").splitlines()]
    theirs = tmp_path / "anna.jsonl"
    theirs.write_text("\n".join(json.dumps({**row, "label": [row["label"]]}) for row in said), encoding="utf-8")
    label = ["label", str(tmp_path / "reviews.jsonl"), "--labels", ",".join([*MOODS, "neutral"])]
    keys = {
        "model.encoder": tiny_encoder(tmp_path / "encoder"),
        "data.epoch_rows": 64,
        "balance.method": "none",
        "schedule.num_train_epochs": 1,
        "text.max_length": 16,
        "run.export": "false",
    }
    corpus, out = str(tmp_path / "corpus"), str(tmp_path / "labels.csv")
    for command in (
        [*label, "--import", str(theirs)],
        [*label, "--export", "-o", out],
        ["data", "build", out, "--text", "text", "--label", "label", "-o", corpus, "--clean.near", "false"],
        ["train", "default", "--corpus", corpus, "-o", str(tmp_path / "run")]
        + [part for key, value in keys.items() for part in (f"--{key}", str(value))],
    ):
        assert run(command) == 0, capsys.readouterr().err
    manifest = (tmp_path / "run" / "ottenok.json").read_text(encoding="utf-8")
    assert all(f'"{label}"' in manifest for label in (*MOODS, "neutral"))


def test_an_audit_by_whole_trainings(tmp_path: Path) -> None:
    """With `full` a model is trained for each fold, and a planted label is the one that is doubted most."""
    pytest.importorskip("cleanlab")
    import ottenok
    from tiny_encoders import tiny_encoder

    encoder = tiny_encoder(tmp_path / "encoder")
    moods = {"хорошо": "praise", "плохо": "blame"}
    rows = [[f"{word} {number} {'да' * (number % 9)}", moods[word]] for number in range(24) for word in moods]
    rows[10][1] = "blame"
    file = tmp_path / "data.csv"
    file.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    train = {
        "model": {"encoder": str(encoder)},
        "text": {"max_length": 32},
        "optim": {"learning_rate": 3e-3, "head_learning_rate": 1e-2},
        "schedule": {"num_train_epochs": 8},
        "run": {"precision": "fp32"},
    }
    found = ottenok.audit_data(file, full=True, folds=2, train=train)

    assert found.method == "full"
    first = next(one for one in found.findings if one.kind == "label")
    assert (found.rows.numbers[first.row], first.suggested) == (11, ("praise",))
