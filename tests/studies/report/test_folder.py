"""A report's folder: what is in it, what may be replaced, and where it may not be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn import metrics

from ottenok.core.errors import BundleError, ConfigError, DataError
from ottenok.studies.reporting import report
from ottenok.tasks.predictions import predictions_file, save_predictions
from toys import fake_classifier

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Run

    from ottenok.studies.reporting import WrittenReport

_QUICK: dict[str, Any] = {"resamples": 0, "mistakes": 3}


def _numbers(written: WrittenReport) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(written.numbers.read_text(encoding="utf-8"))
    return tree


def _bare(run: Run, home: Path, *, keep: tuple[str, ...] = ()) -> Path:
    """Return a copy of a run's folder with the manifest, the model and nothing but `keep`."""
    folder = home / "bare"
    (folder / "onnx").mkdir(parents=True)
    for name in ("ottenok.json", "tokenizer.json", "onnx/model.onnx", *keep):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((run.folder / name).read_bytes())
    return folder


def test_every_plot_is_there_in_three_forms(written: WrittenReport) -> None:
    """Each plot is an SVG, a PNG and numbers, under one name, and there is nothing else."""
    folder = written.page.parent
    names = set(_numbers(written)["plots"])
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    assert written.plots == len(names) > 8
    plots = {f"plots/{name}{suffix}" for name in names for suffix in (".svg", ".png")}
    assert files == {"report.html", "report.json"} | plots
    for name in names:
        assert (folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (folder / "plots" / f"{name}.svg").read_text(encoding="utf-8")
        assert "<text" in svg
        assert "var(" not in svg


def test_the_numbers_are_those_of_the_predictions(several: Run, written_several: WrittenReport) -> None:
    """report.json has the areas, the counts and the chosen thresholds that follow from the predictions."""
    tree, rows = _numbers(written_several), several.rows
    plots = tree["plots"]
    first = rows.labels[0]
    assert plots["roc-test"]["numbers"][first]["auc"] == pytest.approx(
        metrics.roc_auc_score(rows.truth[:, 0], rows.probs[:, 0]), abs=1e-6
    )
    assert plots["pr-test"]["numbers"][first]["ap"] == pytest.approx(
        metrics.average_precision_score(rows.truth[:, 0], rows.probs[:, 0]), abs=1e-6
    )
    assert [plots[f"threshold-test-{i}"]["numbers"]["chosen"] for i in range(1, 6)] == [0.5, 0.45, 0.6, 0.55, 0.4]
    answer = rows.probs >= np.float32([0.5, 0.45, 0.6, 0.55, 0.4])
    recall = (answer & rows.truth)[:, 0].sum() / rows.truth[:, 0].sum()
    assert plots["together-test"]["numbers"]["cells"][0][0] == pytest.approx(recall, abs=1e-5)
    assert tree["temperature"] == 1.5
    assert set(plots["reliability-test"]["numbers"]) == {"after the temperature", "before it"}


def test_no_texts_are_in_the_numbers(written: WrittenReport) -> None:
    """Texts are on the page alone; report.json names the rows of the mistakes."""
    text = written.numbers.read_text(encoding="utf-8")

    assert written.has_texts
    assert "заливная" not in text
    assert len(_numbers(written)["mistakes"]["test-mistakes"]) > 5


def test_the_same_run_gives_the_same_bytes(one_label: Run, tmp_path: Path) -> None:
    """Nothing in a report depends on the time or on chance; an earlier report is replaced."""
    first = report(one_label.folder, tmp_path / "a", **_QUICK)
    before = {path.name: path.read_bytes() for path in first.page.parent.rglob("*") if path.is_file()}
    again = report(one_label.folder, tmp_path / "a", **_QUICK)

    assert {path.name: path.read_bytes() for path in again.page.parent.rglob("*") if path.is_file()} == before


def test_what_is_no_report_is_not_replaced(one_label: Run, tmp_path: Path) -> None:
    """A folder with a user's files is refused before any work, and stays as it was; so is a file."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.md").write_text("years of work", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"thesis\.md"):
        report(one_label.folder, tmp_path / "mine")
    with pytest.raises(ConfigError, match="this is a file"):
        report(one_label.folder, tmp_path / "mine" / "thesis.md")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.md"]


def test_a_report_is_not_put_into_the_model(one_label: Run) -> None:
    """Whoever gets the model's folder would get the texts, and its checksums would break."""
    for place in (one_label.folder, one_label.folder / "report"):
        with pytest.raises(ConfigError, match="inside the model"):
            report(one_label.folder, place)


def test_a_model_alone_has_a_report_too(one_label: Run, tmp_path: Path) -> None:
    """Without history and predictions the page says what is missing and how to get it."""
    written = report(_bare(one_label, tmp_path), tmp_path / "out", **_QUICK)
    text = written.page.read_text(encoding="utf-8")

    assert written.plots == 0
    assert "no history.jsonl" in text
    assert "Nothing was measured" in text
    assert "CC-BY-NC-4.0" in text


def test_without_a_corpus_mistakes_have_no_texts(one_label: Run, tmp_path: Path) -> None:
    """The rows of the mistakes are named, and the page says how to see their texts."""
    folder = _bare(one_label, tmp_path, keep=("predictions/test.parquet",))
    written = report(folder, tmp_path / "out", **_QUICK)
    text = written.page.read_text(encoding="utf-8")

    assert not written.has_texts
    assert "blockquote dir" not in text
    assert "again with --data CORPUS to see them" in text
    assert _numbers(written)["mistakes"]["test-mistakes"][0]["id"] in text


def test_a_model_is_run_on_data_that_it_was_not_measured_on(
    one_label: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the user's is classified, comes first, and shows its texts; what training kept follows."""
    monkeypatch.setattr("ottenok.studies.reporting.load_bundle", lambda _bundle: fake_classifier())
    file = tmp_path / "rows.csv"
    lines = ["text,label", *(f"текст номер {i},{('negative', 'neutral', 'positive')[i % 3]}" for i in range(30))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    written = report(one_label.folder, tmp_path / "out", data=file, resamples=0, mistakes=2)
    tree, text = _numbers(written), written.page.read_text(encoding="utf-8")

    assert list(tree["reports"]) == ["named", "test"]
    assert tree["reports"]["named"]["rows"] == 30
    assert "номер" in text
    assert "classified for this report with fake" in text


def test_a_split_that_training_did_not_measure_is_run(
    one_label: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with validation predictions alone is classified on the test rows of its corpus when that is named."""
    monkeypatch.setattr("ottenok.studies.reporting.load_bundle", lambda _bundle: fake_classifier())
    folder = _bare(one_label, tmp_path)
    save_predictions(predictions_file(folder, "validation"), one_label.rows.take(range(40)))
    written = report(folder, tmp_path / "out", data=one_label.corpus, resamples=0, mistakes=1)
    tree = _numbers(written)

    assert {name: found["rows"] for name, found in tree["reports"].items()} == {"test": 90, "validation": 40}
    assert [found["system"] for found in tree["baselines"]["test"]] == ["majority"]


def test_predictions_of_another_model_are_refused(one_label: Run, several: Run, tmp_path: Path) -> None:
    """Columns of other labels never pass for the model's own."""
    folder = _bare(one_label, tmp_path)
    save_predictions(predictions_file(folder, "test"), several.rows)

    with pytest.raises(DataError, match="another model"):
        report(folder, tmp_path / "out", **_QUICK)


def test_a_damaged_history_is_named(one_label: Run, tmp_path: Path) -> None:
    """A line that is no JSON gives an error with the file, not a traceback."""
    folder = _bare(one_label, tmp_path)
    (folder / "history.jsonl").write_text('{"epoch": 1', encoding="utf-8")

    with pytest.raises(DataError, match=r"history\.jsonl"):
        report(folder, tmp_path / "out", **_QUICK)


def test_a_loss_that_overflowed_is_no_number(one_label: Run, tmp_path: Path) -> None:
    """NaN in the history is drawn as a gap and written as null: the file stays JSON."""
    folder = _bare(one_label, tmp_path)
    (folder / "history.jsonl").write_text('{"epoch": 1.0, "train_loss": NaN, "loss": 0.5}\n', encoding="utf-8")
    tree = _numbers(report(folder, tmp_path / "out", **_QUICK))

    assert tree["history"] == [{"epoch": 1.0, "train_loss": None, "loss": 0.5}]


def test_no_model_no_report(tmp_path: Path) -> None:
    """A folder that is no classifier is named."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="no classifier"):
        report(tmp_path / "empty", tmp_path / "out")
