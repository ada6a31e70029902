"""The card's tables come from the manifest alone, and an evaluation can be kept there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import BundleManifest, DataFacts, LicenceFacts, SchemeFacts, TaskFacts
from ottenok.core.errors import BundleError
from ottenok.core.schemes import load_scheme
from ottenok.studies.cards import card_tables, record, rewrite_card
from ottenok.studies.evaluation import Evaluation
from ottenok.studies.robustness import UnderNoise
from ottenok.tasks.decision import Decision
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.tasks.report import Report

SENTIMENT = load_scheme("sentiment-3")


def _report(system: str) -> Report:
    truth = np.eye(3, dtype=bool)[[0, 0, 1, 1, 2, 2]]
    return evaluate(
        Task.of(SENTIMENT, Decision(activation="softmax")),
        truth,
        np.eye(3)[[0, 1, 1, 1, 2, 2]],
        sources=["a", "a", "a", "b", "b", "b"],
        options=EvaluationOptions(system=system, resamples=0),
    )


def _evaluation(corpus: str | None = "mine", data: str = "mine, test") -> Evaluation:
    return Evaluation(
        data=data,
        corpus=corpus,
        split="test" if corpus else None,
        tasks={SENTIMENT.name: (_report("small"), _report("majority"))},
        left_out={},
        notes=(),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a bundle that was trained on the corpus `mine`."""
    made = tmp_path / "small"
    (made / "onnx").mkdir(parents=True)
    (made / "onnx" / "model.onnx").write_bytes(b"graph")
    (made / "tokenizer.json").write_text("{}", encoding="utf-8")
    manifest = BundleManifest(
        name="small",
        tasks=(
            TaskFacts(
                name=SENTIMENT.name,
                scheme=SchemeFacts.of(SENTIMENT),
                problem_type="multi-class",
                decision=Decision(activation="softmax"),
            ),
        ),
        max_length=64,
        data=DataFacts(name="mine"),
        metrics={"validation": {SENTIMENT.name: _report("small").to_json()}},
        licence=LicenceFacts(id="MIT", commercial=True),
    )
    write_manifest(made, manifest)
    return made


def test_answers_that_change_are_kept_and_shown(folder: Path) -> None:
    """What light changes of the texts did stands in the manifest and in the card, also without the reports."""
    noisy = (
        UnderNoise(name="clean", changed=0.0, texts=49, macro_f1=0.8),
        UnderNoise(name="upper:1", changed=1.0, texts=49, flips=3, macro_f1=0.7, difference=-0.1),
    )
    evaluation = replace(_evaluation(), under_noise={SENTIMENT.name: noisy})

    bundle = record(folder, evaluation, reports=False)
    assert "test" not in bundle.manifest.metrics
    heading = "### The corpus's test rows: when texts are changed"
    assert heading in (folder / "README.md").read_text(encoding="utf-8")
    assert "| upper:1 | 100% | 3 of 49 (6.1%) | 0.700 | -0.100 |" in (folder / "README.md").read_text(encoding="utf-8")
    earlier = bundle.manifest.with_earlier("tuning 1")
    assert list(earlier.robustness) == ["test, before tuning 1"]
    assert earlier.with_earlier("tuning 2").robustness == earlier.robustness


def test_an_evaluation_is_kept_and_shown(folder: Path) -> None:
    """Recording puts the reports into the manifest and the tables, baselines included, into the card."""
    bundle = record(folder, _evaluation())

    card = (folder / "README.md").read_text(encoding="utf-8")
    assert open_bundle(folder, full=True) == bundle
    assert set(bundle.manifest.metrics) == {"test", "validation"}
    assert "### The corpus's test rows\n" in card
    assert "|  | small | majority |" in card
    assert "### How far probabilities can be believed" in card
    assert "| The corpus's test rows | - | 0.1667 |" in card
    assert card.index("The corpus's test rows") < card.index("The corpus's validation rows")


def test_other_data_is_kept_under_its_own_name(folder: Path) -> None:
    """Rows of another corpus or of a file do not pass for the model's own test."""
    record(folder, _evaluation("other", "other, test"))
    bundle = record(folder, _evaluation(None, "reviews.csv"))

    assert set(bundle.manifest.metrics) == {"validation", "other, test", "reviews.csv"}
    assert next(iter(card_tables(bundle.manifest))).startswith("other, test")


def test_the_same_manifest_gives_the_same_card(folder: Path) -> None:
    """The card can be made again at any time, byte for byte."""
    first = rewrite_card(record(folder, _evaluation())).read_bytes()

    assert rewrite_card(open_bundle(folder)).read_bytes() == first


def test_a_model_of_other_tools_keeps_no_reports(folder: Path) -> None:
    """There is no manifest to keep them in."""
    (folder / "ottenok.json").unlink()
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    with pytest.raises(BundleError, match="keeps no reports"):
        record(folder, _evaluation())
