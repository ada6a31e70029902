"""Evaluating a model on a corpus and on a user's own file, beside the baselines."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ottenok.bundle.manifest import SchemeFacts
from ottenok.cli.main import cli
from ottenok.core.errors import ConfigError, DataError, SchemeError
from ottenok.core.schemes import load_scheme
from ottenok.data.corpus import COLUMNS
from ottenok.studies.evaluation import evaluate
from ottenok.studies.rows import Columns, Rows, task_rows
from ottenok.tables.options import TableOptions
from ottenok.tasks.decision import Decision
from ottenok.tasks.predictions import load_predictions
from ottenok.tasks.report import Report
from ottenok.tasks.task import Task
from ottenok.training.inputs import Places
from toys import fake_classifier, tiny_manifest, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.core.schemes import LabelScheme

SENTIMENT = load_scheme("sentiment-3")
GOOD, BAD, PLAIN = "очень хороший фильм", "очень плохой фильм", "фильм идёт два часа"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Return places that hold nothing."""
    return Places(cache=tmp_path / "cache")


def _corpus(folder: Path, scheme: str = "sentiment-3", names: tuple[str, ...] = SENTIMENT.labels) -> Path:
    """Write a corpus of three splits and two sources, one of which has no neutral texts."""
    texts = dict(zip(names, (BAD, PLAIN, GOOD), strict=False))
    rows = []
    for split, count in (("train", 8), ("validation", 4), ("test", 6)):
        for i in range(count):
            for source in ("news", "shops"):
                for label in names if source == "news" else (names[0], names[-1]):
                    number = f"{source}/{split}/{label}/{i}"
                    rows.append((number, f"{texts[label]} {i}", [label], source, None, "ru", split))
    folder.mkdir(parents=True)
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)})
    pq.write_table(table, folder / "corpus.parquet")
    own = {"kind": "multi-class", "labels": names, "values": [], "titles": {}, "source": ""}
    manifest = {"name": "small", "scheme": scheme, "label_scheme": own, "recipe": {"text": {}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def read_rows(data: Path, scheme: LabelScheme, *, places: Places) -> Rows:
    """Read the rows of one task of a model."""
    task = Task(name=scheme.name, scheme=scheme, problem="multi-class", decision=Decision(activation="softmax"))
    return next(iter(task_rows(data, [task], places=places).values()))


def _file(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def test_a_corpus_gives_the_model_and_both_baselines(tmp_path: Path, places: Places) -> None:
    """All three systems are measured on the same rows of the test split, and the linear one has learned from train."""
    found = evaluate(fake_classifier(), _corpus(tmp_path / "c"), places=places, resamples=50)

    assert [report.system for report in found.reports] == ["fake", "majority", "TF-IDF linear"]
    assert {report.rows for report in found.reports} == {30}
    assert found.data == "small, test"
    assert found.reports[2].value("accuracy") == 1.0
    assert found.reports[0].metrics["accuracy"].low is not None
    assert any("fitted on 40 of 40 training rows" in note for note in found.notes)


def test_a_model_and_data_are_enough(tmp_path: Path) -> None:
    """Without more said it is the test split, with baselines and intervals."""
    found = evaluate(fake_classifier(), _corpus(tmp_path / "c"))

    assert (found.split, len(found.reports), found.reports[0].resamples) == ("test", 3, 1000)


def test_the_tables_show_what_the_published_cards_do(tmp_path: Path, places: Places) -> None:
    """Labels, systems, sources; a source without neutral texts brings the second macro F1 along."""
    found = evaluate(fake_classifier(), _corpus(tmp_path / "c"), places=places, resamples=0)

    tables = found.tables()

    assert list(tables) == [
        "fake on small, test",
        "fake on small, test: figures",
        "fake on small, test: macro F1 per source",
        "fake on small, test: macro F1 per source, over the labels that it has",
    ]
    assert tables["fake on small, test"].header == ("", *SENTIMENT.labels, "macro avg", "weighted avg")
    assert [row[0] for row in tables["fake on small, test: macro F1 per source"].rows] == ["news", "shops"]
    assert tables["fake on small, test: figures"].header == ("", "fake", "majority", "TF-IDF linear")


def test_json_holds_every_report(tmp_path: Path, places: Places) -> None:
    """The JSON is strict, and its reports can be read back."""
    found = evaluate(fake_classifier(), _corpus(tmp_path / "c"), places=places, resamples=20)

    tree = json.loads(json.dumps(found.to_json(), allow_nan=False))

    assert tuple(Report.from_json(report) for report in tree["reports"]) == found.reports


def test_predictions_can_be_kept(tmp_path: Path, places: Places) -> None:
    """The file holds the probabilities that the report is made from, by the corpus's ids, and no texts."""
    file = tmp_path / "model" / "predictions" / "test.parquet"
    spec: dict[str, Any] = {"places": places, "resamples": 0, "baselines": False, "predictions": file}
    found = evaluate(fake_classifier(), _corpus(tmp_path / "c"), **spec)

    kept = load_predictions(file)
    assert kept.labels == SENTIMENT.labels
    assert kept.ids[0] == "news/test/negative/0"
    assert set(kept.sources) == {"news", "shops"}
    right = (kept.probs.argmax(axis=1) == kept.truth.argmax(axis=1)).mean()
    assert right == pytest.approx(found.reports[0].value("accuracy"))
    evaluate(fake_classifier(), _file(tmp_path / "own.csv", [(GOOD, "positive"), (BAD, "negative")]), **spec)
    assert load_predictions(file).ids == ("own.csv/1", "own.csv/2")


def test_another_split_can_be_chosen(tmp_path: Path, places: Places) -> None:
    """The validation split is measured without being tuned on."""
    spec: dict[str, Any] = {"places": places, "split": "validation", "baselines": False, "resamples": 0}

    found = evaluate(fake_classifier(), _corpus(tmp_path / "c"), **spec)

    assert found.reports[0].rows == 20
    assert len(found.reports) == 1


def test_a_corpus_of_stars_is_mapped_for_a_sentiment_model(tmp_path: Path, places: Places) -> None:
    """Labels of another scheme are led to the model's where a sound map is known."""
    folder = _corpus(tmp_path / "c", "stars-5", ("Star_1", "Star_3", "Star_5"))

    rows = read_rows(folder, SENTIMENT, places=places)

    assert rows.test.truth.sum(axis=0).tolist() == [12, 6, 12]


def test_a_corpus_of_other_labels_is_refused(tmp_path: Path, places: Places) -> None:
    """Labels that lead nowhere are named, with those that the model has."""
    folder = _corpus(tmp_path / "c", "own", ("sport", "politics", "weather"))

    with pytest.raises(SchemeError, match="politics, sport, weather, which the model does not give"):
        read_rows(folder, SENTIMENT, places=places)


def test_a_foreign_spelling_is_compared_by_meaning(tmp_path: Path, places: Places) -> None:
    """A model that says POSITIVE, in another order, is measured on a corpus that says positive."""
    classifier = fake_classifier()
    plain = evaluate(classifier, _corpus(tmp_path / "c"), places=places, resamples=0)
    scheme = SchemeFacts.of(SENTIMENT).model_copy(
        update={"labels": ("NEG", "NEU", "POS"), "canonical": SENTIMENT.labels}
    )

    shouted = evaluate(fake_classifier(scheme), tmp_path / "c", places=places, resamples=0)

    assert shouted.reports == plain.reports


def test_a_file_of_ones_own_is_measured_too(tmp_path: Path, places: Places) -> None:
    """Columns can be named; labels may be Russian; rows that can't be used are counted; there are no baselines."""
    file = _file(
        tmp_path / "mine.csv",
        [(GOOD, "позитивный"), (BAD, "негативный"), (PLAIN, "нейтральный"), ("", "позитивный")],
        ("отзыв", "оценка"),
    )
    spec: dict[str, Any] = {"places": places, "columns": Columns(text="отзыв", label="оценка"), "resamples": 0}

    found = evaluate(fake_classifier(), file, **spec)

    assert found.reports[0].rows == 3
    assert found.left_out == {"empty text": 1}
    assert len(found.reports) == 1
    assert any("no baselines" in note for note in found.notes)


def test_a_file_for_a_model_with_labels_of_its_own(tmp_path: Path, places: Places) -> None:
    """A custom scheme's labels are matched by name."""
    file = _file(tmp_path / "mine.csv", [("гол забили", "sport"), ("дождь идёт", "weather")])
    scheme = SchemeFacts(name="custom", kind="multi-class", labels=("weather", "sport", "politics")).scheme()

    rows = read_rows(file, scheme, places=places)

    assert rows.test.truth.tolist() == [[False, True, False], [True, False, False]]


def test_a_file_with_strange_labels_is_refused(tmp_path: Path, places: Places) -> None:
    """A label that the model has not is no silent miss."""
    file = _file(tmp_path / "mine.csv", [("гол забили", "sport"), ("дождь идёт", "weather")])

    with pytest.raises(SchemeError, match="sport"):
        read_rows(file, SENTIMENT, places=places)


@pytest.mark.parametrize(
    "columns",
    [Columns(label_map={"a": "positive"}), Columns(text="отзыв"), Columns(table=TableOptions(encoding="cp1251"))],
)
def test_what_is_said_of_a_file_is_refused_for_a_corpus(tmp_path: Path, places: Places, columns: Columns) -> None:
    """Rather than left out silently: a corpus has its labels and texts."""
    with pytest.raises(ConfigError, match="this is a corpus"):
        evaluate(fake_classifier(), _corpus(tmp_path / "c"), columns=columns, places=places)


def test_an_empty_split_is_refused(tmp_path: Path, places: Places) -> None:
    """A corpus without the split says which one is missing."""
    folder = _corpus(tmp_path / "c")
    table = pq.read_table(folder / "corpus.parquet")
    pq.write_table(table.filter(pc.not_equal(table["split"], "test")), folder / "corpus.parquet")

    with pytest.raises(DataError, match="the corpus has no test rows"):
        read_rows(folder, SENTIMENT, places=places)


def test_several_columns_of_labels_are_all_read(tmp_path: Path) -> None:
    """`--label joy --label anger`, typed: each column counts, and not the last alone."""
    model = write_bundle(tmp_path / "model", tiny_manifest("emotions-7"))
    names = load_scheme("emotions-7").labels
    rows = [[text, *(int(at == place) for at in range(len(names)))] for place, text in enumerate(["а", "б", "в"])]
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["text", *names], *rows])
    labels = [part for name in names for part in ("--label", name)]
    options = ["--no-baselines", "--resamples", "0", "--json"]
    done = CliRunner().invoke(cli, ["evaluate", str(model), str(tmp_path / "a.csv"), *labels, *options])

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["reports"][0]["labels"]
    assert [one["support"] for one in found] == [1, 1, 1, 0, 0, 0, 0]
