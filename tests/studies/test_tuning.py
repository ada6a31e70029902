"""Tuning a trained classifier anew, and what every surface then answers."""

from __future__ import annotations

import csv
import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import ottenok
from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import (
    BundleManifest,
    DataFacts,
    LicenceFacts,
    SchemeFacts,
    SourceFacts,
    TaskFacts,
    WindowRule,
)
from ottenok.cli.classify import classify
from ottenok.cli.tune import tune as command
from ottenok.core.errors import BundleError, ConfigError, DataError, SchemeError
from ottenok.core.files import sha256_file
from ottenok.core.schemes import load_scheme
from ottenok.data.corpus import COLUMNS
from ottenok.studies.tuning import tune
from ottenok.tasks.decision import Decision, probabilities
from ottenok.tasks.predictions import Predictions, load_predictions, predictions_file, save_predictions
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task
from ottenok.tasks.thresholds import ThresholdOptions
from ottenok.tasks.tuning import TuningOptions, TuningReport, fit_decision
from toys import character_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

EMOTIONS = load_scheme("emotions-7")
SENTIMENT = load_scheme("sentiment-3")
WORDS = ["день", "ночь", "улица", "фонарь", "аптека", "свет", "живи", "ещё", "хоть", "четверть", "века", "всё", "нет"]


def _graph(file: Path, outputs: int) -> None:
    """Write a graph: the mean of the tokens' vectors, which are drawn once."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    table = np.random.default_rng(3).normal(scale=6, size=(300, outputs)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("ReduceMean", ["vectors", "length"], ["logits"], keepdims=0),
    ]
    constants = {"table": table, "length": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input_ids", types.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", outputs])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(file))


def _bundle(folder: Path, scheme: str = "emotions-7", **changes: Any) -> Path:
    """Write a classifier that was trained on the corpus `mine`."""
    facts = load_scheme(scheme)
    several = facts.kind == "multi-label"
    _graph(folder / "onnx" / "model.onnx", len(facts.labels))
    character_tokenizer().save(str(folder / "tokenizer.json"))
    manifest = BundleManifest(
        name="tiny",
        tasks=(
            TaskFacts(
                name=facts.name,
                scheme=SchemeFacts.of(facts),
                problem_type="multi-label" if several else "multi-class",
                decision=Decision(activation="sigmoid" if several else "softmax"),
            ),
        ),
        max_length=128,
        window=WindowRule(overlap=8),
        licence=LicenceFacts(id="Apache-2.0", commercial=True),
        notes=("It is tiny.",),
        **{"data": DataFacts(name="mine"), **changes},
    )
    write_manifest(folder, manifest)
    return folder


def _texts(count: int = 300) -> list[str]:
    chance = random.Random(0)
    return [" ".join([*chance.choices(WORDS, k=chance.randint(1, 5)), str(i)]) for i in range(count)]


def _labels(folder: Path, texts: list[str]) -> list[list[str]]:
    """Return labels of which the classifier knows something, but for which 0.5 is no good threshold."""
    probs = ottenok.load(folder).predict_proba(texts)
    logits = np.log(probs) - np.log1p(-probs)
    noise = np.random.default_rng(1).normal(scale=0.2, size=probs.shape)
    truth = logits + noise > np.quantile(logits, [0.5, 0.6, 0.7, 0.8, 0.85, 0.8, 0.5], axis=0).diagonal()
    return [[label for label, there in zip(EMOTIONS.labels, row, strict=True) if there] for row in truth]


def _corpus(folder: Path, texts: list[str], labels: list[list[str]], name: str = "mine") -> Path:
    """Write a corpus: a third of the rows each is for training, validation and test."""
    splits = ["train", "validation", "test"]
    rows = [(f"{name}/{i}", text, labels[i], "s", None, "ru", splits[i % 3]) for i, text in enumerate(texts)]
    folder.mkdir()
    table = pa.table({column: [row[i] for row in rows] for i, column in enumerate(COLUMNS)})
    pq.write_table(table, folder / "corpus.parquet")
    manifest = {"name": name, "scheme": "emotions-7", "recipe": {"text": {}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a classifier, `model`, and a corpus, `corpus`, that tests may only read."""
    folder = tmp_path_factory.mktemp("made")
    texts = _texts()
    _corpus(folder / "corpus", texts, _labels(_bundle(folder / "model"), texts))
    return folder


@pytest.fixture
def corpus(made: Path) -> Path:
    """Return the corpus that the classifier was trained on."""
    return made / "corpus"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a classifier's folder to be tuned."""
    return _bundle(tmp_path / "model")


def _through_every_door(folder: Path, texts: list[str]) -> list[list[list[str]]]:
    """Return the labels of each text from Python, from the command line, and from a file."""
    python = [list(prediction.labels) for prediction in ottenok.load(folder)(texts)]
    lines = CliRunner().invoke(classify, ["-m", str(folder), "--json"], input="\n".join(texts), catch_exceptions=False)
    terminal = [json.loads(line)["labels"] for line in lines.stdout.splitlines()]
    table, out = folder.parent / "texts.csv", folder.parent / "labelled.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["text"], *([text] for text in texts)])
    arguments = [str(table), "--text", "text", "-o", str(out), "-m", str(folder), "--overwrite"]
    assert CliRunner().invoke(classify, arguments, catch_exceptions=False).exit_code == 0
    with out.open(encoding="utf-8", newline="") as stream:
        cells = [row["predicted_labels"] for row in csv.DictReader(stream)]
    return [python, terminal, [cell.split(";") if cell else [] for cell in cells]]


def test_every_surface_obeys_the_new_thresholds(model: Path, corpus: Path) -> None:
    """Python, the command line and files answer alike, before and after; after, as the thresholds say."""
    texts = _texts(40)
    before = _through_every_door(model, texts)

    found = tune(model, corpus)

    after = _through_every_door(model, texts)
    assert before[0] == before[1] == before[2]
    assert after[0] == after[1] == after[2] != before[0]
    assert len(set(found.decision.thresholds)) > 3
    above = ottenok.load(model).predict_proba(texts) >= np.float32(found.decision.thresholds)
    assert after[0] == [[EMOTIONS.labels[i] for i in np.flatnonzero(row)] for row in above]


def test_the_bundle_keeps_the_decision_and_what_it_did(model: Path, corpus: Path) -> None:
    """The manifest has the decision, the report and the notes, its checksums are right, and the card shows it."""
    found = tune(model, corpus)

    manifest = open_bundle(model, full=True).manifest
    assert manifest.decision == found.decision
    report = manifest.tuning_report()
    assert report is not None
    assert report == found.report
    assert report.thresholds is not None
    assert report.thresholds.after > report.thresholds.before + 0.05
    assert report.rows == 100
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "### Tuning, label by label" in card
    assert all(note in card for note in manifest.notes)
    assert manifest.notes[0] == "It is tiny."


def _report(folder: Path) -> dict[str, Any]:
    truth = np.eye(7, dtype=bool)
    decision = open_bundle(folder).manifest.decision
    options = EvaluationOptions(resamples=0)
    return evaluate(Task.of(EMOTIONS, decision), truth, truth * 0.9, options=options).to_json()


def test_figures_of_the_old_decision_are_kept_under_another_name(model: Path, corpus: Path) -> None:
    """What was measured before does not pass for the new decision's; each tuning replaces its own notes only."""
    for number in (1, 2):
        manifest = open_bundle(model).manifest
        metrics = {**manifest.metrics, "test": {EMOTIONS.name: _report(model)}}
        write_manifest(model, manifest.model_copy(update={"metrics": metrics}))
        tune(model, corpus)
        kept = open_bundle(model).manifest
        assert set(kept.metrics) == {f"test, before tuning {i}" for i in range(1, number + 1)}
        assert len([note for note in kept.notes if "hreshold" in note]) == 1
        assert kept.notes[0] == "It is tiny."
        # The card does not tell of the weakest label by figures that are no longer true.
        assert "weakest label" not in (model / "README.md").read_text(encoding="utf-8")


def test_a_second_tuning_begins_at_the_first(model: Path, corpus: Path) -> None:
    """Figures before are those of the thresholds that are there, which stay where none are better."""
    first = tune(model, corpus, temperature=False)
    second = tune(model, corpus, temperature=False)

    assert first.report.thresholds is not None
    assert second.report.thresholds is not None
    assert second.report.thresholds.earlier == first.decision.thresholds
    assert second.decision == first.decision
    assert not second.report.thresholds.kept


@pytest.mark.parametrize("split", ["train", "test"])
def test_its_own_rows_are_refused(model: Path, corpus: Path, split: Any) -> None:
    """A model is not tuned on what it learned from or is tested on; nothing is changed."""
    before = (model / "ottenok.json").read_bytes()

    with pytest.raises(DataError, match=f"the {split} rows of its own corpus"):
        tune(model, corpus, split=split)

    assert (model / "ottenok.json").read_bytes() == before


def test_a_file_of_its_test_is_refused(tmp_path: Path) -> None:
    """A file that the corpus was made of is known by its bytes, whatever it is called."""
    file = tmp_path / "renamed.csv"
    file.write_text("text,label\nдень,joy\nночь,fear\n", encoding="utf-8")
    source = SourceFacts(
        name="s", licence=LicenceFacts(id="MIT", commercial=True), files={"test.csv": sha256_file(file)}
    )
    model = _bundle(tmp_path / "model", data=DataFacts(name="mine", sources=(source,)))

    with pytest.raises(DataError, match="a file that it was trained or tested on"):
        tune(model, file)


def test_rows_of_its_test_are_refused_by_their_ids(model: Path, made: Path, tmp_path: Path) -> None:
    """Another corpus with rows that the model's kept predictions are of does not help."""
    labels = [["joy"]] * 300
    other = _corpus(tmp_path / "other", _texts(), labels, name="other")
    probs = np.full((1, 7), 0.5, dtype=np.float32)
    kept = Predictions(ids=("other/1",), sources=("s",), labels=EMOTIONS.labels, truth=probs > 1, probs=probs)
    save_predictions(predictions_file(model, "test"), kept)

    with pytest.raises(DataError, match="rows that it was tested on"):
        tune(model, other)


def test_an_altered_bundle_is_refused(model: Path, corpus: Path) -> None:
    """A new manifest must not vouch for a graph that somebody changed."""
    graph = model / "onnx" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")

    with pytest.raises(BundleError, match="not those that"):
        tune(model, corpus)


def test_a_dry_run_changes_nothing(model: Path, corpus: Path) -> None:
    """It tells the same, and every file stays."""
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}

    told = tune(model, corpus, write=False)

    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before
    assert tune(model, corpus).report == told.report


@pytest.mark.parametrize("empty", ["allow", "top", "neutral"])
def test_empty_answers_follow_the_policy_on_every_surface(model: Path, corpus: Path, empty: str) -> None:
    """Nothing, the most probable label or neutral: as tuned, so answered; and neutral is in no company."""
    thresholds = ThresholdOptions(metric="label_accuracy", per_label=False)

    found = tune(model, corpus, thresholds=thresholds, empty=empty, exclusive="neutral")

    texts = _texts(60)
    answers = _through_every_door(model, texts)
    assert answers[0] == answers[1] == answers[2]
    assert not any("neutral" in labels and len(labels) > 1 for labels in answers[0])
    probs = ottenok.load(model).predict_proba(texts)
    empties = [i for i, row in enumerate(probs) if (row < np.float32(found.decision.thresholds)).all()]
    assert empties
    expected = {"allow": [], "neutral": ["neutral"]}
    for i in empties:
        assert answers[0][i] == expected.get(empty, [EMOTIONS.labels[int(probs[i].argmax())]])


@pytest.mark.parametrize(("key", "value"), [("empty", "neutrall"), ("exclusive", "calm")])
def test_a_label_that_is_none_is_refused(model: Path, corpus: Path, key: str, value: str) -> None:
    """The policy names labels of the scheme."""
    with pytest.raises(SchemeError, match=value):
        tune(model, corpus, **{key: value})


def test_one_label_schemes_have_a_temperature_only(tmp_path: Path) -> None:
    """Answers stay, probabilities become honest, and thresholds are refused."""
    model, texts = _bundle(tmp_path / "model", "sentiment-3"), _texts(150)
    before = ottenok.load(model)(texts)
    chance = random.Random(2)
    rows = [(text, chance.choice([found.label, *SENTIMENT.labels])) for text, found in zip(texts, before, strict=True)]
    file = tmp_path / "rows.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])

    found = tune(model, file)

    after = ottenok.load(model)(texts)
    assert found.decision.temperature > 1.5
    assert [one.label for one in after] == [one.label for one in before]
    assert found.report.temperature is not None
    assert found.report.temperature.after.overall.error < found.report.temperature.before.overall.error
    with pytest.raises(ConfigError, match="one label a row"):
        tune(model, file, thresholds=ThresholdOptions())
    with pytest.raises(ConfigError, match="nothing to fit"):
        tune(model, file, temperature=False)


def test_kept_predictions_get_the_new_temperature(model: Path, corpus: Path) -> None:
    """What comparisons are made from is brought to what the classifier now answers."""
    texts = _texts(20)
    truth = np.zeros((20, 7), dtype=bool)
    ids = tuple(map(str, range(20)))
    kept = Predictions(
        ids=ids, sources=ids, labels=EMOTIONS.labels, truth=truth, probs=ottenok.load(model).predict_proba(texts)
    )
    save_predictions(predictions_file(model, "test"), kept)

    found = tune(model, corpus)

    assert found.decision.temperature != 1.0
    now = ottenok.load(model).predict_proba(texts)
    assert load_predictions(predictions_file(model, "test")).probs == pytest.approx(now, abs=1e-5)


def test_the_embedded_classifier_is_tuned_as_a_copy(tmp_path: Path) -> None:
    """`ottenok tune default` asks for a folder, and what it leaves there answers with the new temperature."""
    words = {"positive": "Отличный отель, спасибо!", "neutral": "Банк открыл отделение.", "negative": "Ужасная связь."}
    chance = random.Random(1)
    file, out = tmp_path / "rows.csv", tmp_path / "tuned"
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = [
            (f"{text} {number}", chance.choice([label, *words]))
            for number in range(40)
            for label, text in words.items()
        ]
        csv.writer(stream).writerows([("text", "label"), *rows])

    refused = CliRunner().invoke(command, ["default", str(file)])
    made = CliRunner().invoke(command, ["default", str(file), "-o", str(out)], catch_exceptions=False)

    assert isinstance(refused.exception, ConfigError)
    assert "-o FOLDER" in (refused.exception.hint or "")
    assert str(out) in made.stdout
    assert open_bundle(out, full=True).manifest.decision.temperature > 1.2
    text = words["positive"]
    assert max(ottenok.load(out)(text).probabilities.values()) < max(ottenok.load()(text).probabilities.values())


def test_the_command_tells_and_writes(model: Path, corpus: Path) -> None:
    """Sentences and the table for people, JSON for programs; an unknown metric is refused with the known ones."""
    arguments = [str(model), str(corpus), "--metric", "weighted_f1", "--one"]
    told = CliRunner().invoke(command, [*arguments, "--dry-run"], catch_exceptions=False).stdout
    tree = json.loads(CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False).stdout)

    assert "Thresholds for weighted_f1, one for all labels, fitted on 100 rows (mine, validation)" in told
    assert "Nothing was changed." in told
    assert [line.split()[0] for line in told.splitlines() if line.startswith(EMOTIONS.labels)] == list(EMOTIONS.labels)
    assert len(set(tree["decision"]["thresholds"])) == 1
    assert open_bundle(model).manifest.decision == Decision.from_json(tree["decision"])
    wrong = CliRunner().invoke(command, [str(model), str(corpus), "--metric", "f1"])
    assert wrong.exit_code == 2
    assert "macro_f1" in wrong.stderr


def test_a_fit_of_few_or_senseless_rows() -> None:
    """A temperature that only its own rows like is not kept; thresholds need more rows than folds."""
    rng = np.random.default_rng(0)
    decision = Decision(activation="sigmoid")
    logits, truth = rng.normal(size=(6, 7)), rng.random((6, 7)) < 0.5

    fit = fit_decision(Task.of(EMOTIONS, decision), logits, truth, options=TuningOptions())

    assert fit.report.temperature is not None
    assert fit.report.temperature.loss_after <= fit.report.temperature.loss_before
    tempered = probabilities(logits, fit.decision)
    assert (tempered.argmax(axis=1) == logits.argmax(axis=1)).all()
    with pytest.raises(DataError, match="no report"):
        TuningReport.from_json({"data": "x"})
