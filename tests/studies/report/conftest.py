"""Runs to report on: folders as training leaves them, made in code, so that no model has to be trained or run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.bundle.manifest import (
    BundleManifest,
    DataFacts,
    LicenceFacts,
    SchemeFacts,
    SourceFacts,
    TaskFacts,
    TrainingFacts,
)
from ottenok.core.schemes import load_scheme
from ottenok.studies.reporting import report
from ottenok.tasks.decision import Decision, probabilities
from ottenok.tasks.predictions import Predictions, predictions_file, save_predictions
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task
from toys import write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.core.schemes import LabelScheme
    from ottenok.studies.reporting import WrittenReport

ATTACK = '<script>alert(1)</script><img src="https://example.org/x" onerror=alert(2)>'
# A mark that turns the direction of what follows, a control, and half a character.
TURNED = "тихо \u202e\u2067\x07 и громко"
_TEXTS = (ATTACK, TURNED, "Какая гадость эта ваша заливная рыба!", "今天的菜真好吃！", "x" * 900)
_ROWS = 90


@dataclass(frozen=True)
class Run:
    """A run's folder, its corpus's, and what its model gave."""

    folder: Path
    corpus: Path
    scheme: LabelScheme
    rows: Predictions


def _rows(scheme: LabelScheme, decision: Decision) -> Predictions:
    rng = np.random.default_rng(7)
    count = len(scheme.labels)
    if scheme.kind == "multi-label":
        truth = rng.random((_ROWS, count)) < 0.4
    else:
        truth = np.eye(count, dtype=bool)[rng.integers(count, size=_ROWS)]
    sources = tuple(rng.choice(["reviews", "твиты", "评论"], _ROWS).tolist())
    return Predictions(
        ids=tuple(f"{source}/0/{row}" for row, source in enumerate(sources)),
        sources=sources,
        labels=scheme.labels,
        truth=truth,
        probs=probabilities(rng.normal(size=(_ROWS, count)) + 1.5 * truth, decision),
    )


def _manifest(scheme: LabelScheme, decision: Decision, rows: Predictions) -> BundleManifest:
    several = scheme.kind == "multi-label"
    other = evaluate(
        Task.of(scheme, Decision(activation=decision.activation)),
        rows.truth,
        np.full(rows.probs.shape, 0.4, dtype=np.float32),
        sources=rows.sources,
        options=EvaluationOptions(system="majority", resamples=0),
    )
    unknown = LicenceFacts(id="unknown", commercial=None)
    sources = (
        SourceFacts(
            name="reviews",
            title="Reviews <b>bold</b>",
            rows={"train": 40, "test": 50},
            homepage="https://example.org/reviews",
            licence=LicenceFacts(id="CC-BY-NC-4.0", commercial=False),
            files={"reviews/train.csv": "a" * 64},
        ),
        SourceFacts(name="评论", homepage="javascript:alert(3)", rows={"train": 2}, licence=unknown),
    )
    return BundleManifest(
        name="small <model>",
        tasks=(
            TaskFacts(
                name=scheme.name,
                scheme=SchemeFacts.of(scheme),
                problem_type="multi-label" if several else "multi-class",
                decision=decision,
            ),
        ),
        max_length=64,
        recipe={"name": "small", "run": {"metric": "macro_f1"}},
        data=DataFacts(name="mine", sources=sources, dropped={"duplicate": 12}),
        training=TrainingFacts(epochs=2, seconds=90.0, texts=80, tokens=900, parameters=5000, device="cpu"),
        baselines={"test": {scheme.name: (other.to_json(),)}},
        versions={"ottenok": "0.1.0"},
        licence=LicenceFacts(id="MIT", commercial=True),
        notes=("Temperature 1.500, fitted on 90 validation rows: log loss 0.9 before, 0.8 after.",),
    )


def make_run(home: Path, scheme_name: str, decision: Decision) -> Run:
    """Write the folder of a finished run and that of its corpus."""
    scheme = load_scheme(scheme_name)
    rows = _rows(scheme, decision)
    folder, corpus = home / "run", home / "corpus"
    write_bundle(folder, _manifest(scheme, decision, rows))
    save_predictions(predictions_file(folder, "test"), rows)
    epochs = [
        {"epoch": 1.0, "train_loss": 0.9, "loss": 0.8, "macro_f1": 0.6, "mae": 0.5, "minutes": 0.7},
        {"epoch": 2.0, "train_loss": 0.6, "loss": 0.7, "macro_f1": 0.5, "mae": 0.4, "minutes": 0.8},
    ]
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in epochs), encoding="utf-8")
    corpus.mkdir()
    labels = [[label for label, there in zip(scheme.labels, row, strict=True) if there] for row in rows.truth]
    table = {
        "id": rows.ids,
        "text": [_TEXTS[row % len(_TEXTS)] for row in range(_ROWS)],
        "labels": labels,
        "source": rows.sources,
        "part": pa.nulls(_ROWS, pa.string()),
        "language": ["ru"] * _ROWS,
        "split": ["test"] * _ROWS,
    }
    pq.write_table(pa.table(table), corpus / "corpus.parquet")
    (corpus / "manifest.json").write_text(json.dumps({"name": "mine", "scheme": scheme_name}), encoding="utf-8")
    return Run(folder=folder, corpus=corpus, scheme=scheme, rows=rows)


@pytest.fixture(scope="session")
def one_label(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of three ordered labels."""
    return make_run(tmp_path_factory.mktemp("one"), "sentiment-3", Decision(activation="softmax"))


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of five labels that may come together, with thresholds."""
    decision = Decision(activation="sigmoid", thresholds=(0.5, 0.45, 0.6, 0.55, 0.4))
    return make_run(tmp_path_factory.mktemp("several"), "cedr-5", decision)


def _report(run: Run) -> WrittenReport:
    return report(run.folder, run.folder.parent / "report", data=run.corpus, mistakes=40, resamples=50)


@pytest.fixture(scope="session")
def written(one_label: Run) -> WrittenReport:
    """Return the report of the run of three labels, with texts."""
    return _report(one_label)


@pytest.fixture(scope="session")
def written_several(several: Run) -> WrittenReport:
    """Return the report of the run of five labels, with texts."""
    return _report(several)
