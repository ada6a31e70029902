"""What a run says and keeps of the decision that it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError, SchemeError
from ottenok.core.progress import Silent
from ottenok.recipes.train import TrainRecipe
from ottenok.tasks.decision import probabilities

pytest.importorskip("torch")
from ottenok.studies.cards import rewrite_card
from ottenok.training.run import train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.data.corpus import Corpus

pytestmark = pytest.mark.train

_BASE: dict[str, Any] = {
    "name": "toy",
    "text": {"max_length": 32},
    "model": {"pooling": "mean"},
    "optim": {"lr": 3e-3, "head_lr": 1e-2},
    "schedule": {"epochs": 1},
    "batch": {"size": 8},
    "run": {"precision": "fp32", "checkpoint_minutes": 100.0},
}
_DECISION = {"thresholds": {"metric": "weighted_f1"}, "empty": "neutral", "exclusive": "neutral"}


class _Heard(Silent):
    """Keeps every note."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        """Keep it."""
        self.notes.append(message)


def _recipe(encoder: Path, **over: Any) -> TrainRecipe:
    return parse(TrainRecipe, merge(merge(_BASE, {"model": {"encoder": str(encoder)}}), over))


def test_thresholds_are_told_and_kept(make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path) -> None:
    """The run tells thresholds and F1 of each label before and after; manifest and card keep them."""
    heard, corpus = _Heard(), make_corpus(rows=400, scheme="emotions-7")
    fitted = train(_recipe(tiny, decision=_DECISION), corpus=corpus, out=tmp_path / "out", progress=heard)

    assert fitted is not None
    manifest = fitted.bundle.manifest
    report = manifest.tuning_report()
    counts = manifest.answers[manifest.tasks[0].name]
    assert counts.rows
    assert counts.data.endswith(", validation")
    assert report is not None
    assert report.thresholds is not None
    assert report.thresholds.metric == "weighted_f1"
    assert report.thresholds.thresholds == manifest.decision.thresholds
    assert (manifest.decision.empty, manifest.decision.exclusive) == ("neutral", "neutral")
    sentence = next(note for note in heard.notes if note.startswith("Thresholds for weighted_f1"))
    assert sentence in manifest.notes
    table = heard.notes[heard.notes.index(sentence) + 1 :]
    assert table[0].startswith("label")
    assert "threshold before" in table[0]
    assert [line.split()[0] for line in table[1:8]] == list(report.labels)
    card = rewrite_card(fitted.bundle).read_text(encoding="utf-8")
    assert "### Tuning, label by label" in card
    assert "`neutral` stands alone" in card


def test_reliability_before_the_temperature_outlives_it(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """The temperature is in the weights, and the reports still hold the bins from before it."""
    over = {"loss": {"label_smoothing": 0.4}, "schedule": {"epochs": 3}}
    fitted = train(_recipe(tiny, **over), corpus=toy_corpus, out=tmp_path / "out")

    assert fitted is not None
    tuning = fitted.bundle.manifest.tuning_report()
    assert tuning is not None
    found = tuning.temperature
    assert found is not None
    assert found.folded
    assert fitted.bundle.manifest.decision.temperature == 1.0
    assert fitted.logits is not None
    raw = probabilities(fitted.logits * found.temperature, fitted.bundle.manifest.decision)
    for split in ("validation", "test"):
        report = fitted.report(split)
        assert report.calibration is not None
        assert report.uncalibrated is not None
        assert report.calibration != report.uncalibrated
    before = fitted.report("validation").uncalibrated
    assert before is not None
    assert sum(np.multiply(before.overall.count, before.overall.claimed)) == pytest.approx(
        raw.max(axis=1).sum(), rel=1e-4
    )


@pytest.mark.parametrize(
    ("decision", "error", "words"),
    [
        ({"thresholds": {}}, ConfigError, "one label a row"),
        ({"exclusive": "neutral"}, None, ""),
    ],
)
def test_one_label_schemes_have_no_thresholds(
    decision: dict[str, Any], error: Any, words: str, toy_corpus: Corpus, tiny: Path, tmp_path: Path
) -> None:
    """Thresholds are refused before anything is learned; policies of multi-label answers mean nothing there."""
    recipe = _recipe(tiny, decision=decision, schedule={"max_steps": 1})
    if error is None:
        assert train(recipe, corpus=toy_corpus, out=tmp_path / "out") is not None
        return
    with pytest.raises(error, match=words):
        train(recipe, corpus=toy_corpus, out=tmp_path / "out")
    assert not (tmp_path / "out" / "history.jsonl").exists()


@pytest.mark.parametrize("key", ["empty", "exclusive"])
def test_a_policy_names_a_label(make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path, key: str) -> None:
    """A misspelt label is refused before anything is learned, with the nearest."""
    corpus = make_corpus(rows=60, scheme="emotions-7")
    with pytest.raises(SchemeError, match="Did you mean 'neutral'"):
        train(_recipe(tiny, decision={key: "neutrall"}), corpus=corpus, out=tmp_path / "out")
