"""The epoch whose weights are kept is the best one by the metric that was asked for, whichever way is better."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.core.config import parse
from ottenok.recipes.train import TrainRecipe

torch = pytest.importorskip("torch")

from ottenok.training.run import train  # noqa: E402 - after the check for torch

if TYPE_CHECKING:
    from ottenok.data.corpus import Corpus

pytestmark = pytest.mark.train


def _recipe(encoder: Path, **run: Any) -> TrainRecipe:
    tree = {
        "name": "toy",
        "text": {"max_length": 32},
        "model": {"encoder": str(encoder), "pooling": "mean"},
        # So fast that later epochs are not better by themselves.
        "optim": {"learning_rate": 2e-2, "head_learning_rate": 5e-2},
        "schedule": {"num_train_epochs": 4, "lr_scheduler_type": "constant"},
        "batch": {"batch_size": 8},
        "decision": {"temperature": False},
        "run": {"precision": "fp32", "save_minutes": 100.0, **run},
    }
    return parse(TrainRecipe, tree)


@pytest.mark.parametrize(
    ("metric", "least"),
    [("calibration_error", True), ("mae", True), ("loss", True), ("macro_f1", False), ("cell_f1", False)],
)
def test_the_best_epoch_is_kept(metric: str, least: bool, toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """The report on validation rows is that of the epoch with the least error, or with the most of what is good."""
    fitted = train(_recipe(tiny, metric=metric, test=False), corpus=toy_corpus, out=tmp_path / "out")

    assert fitted is not None
    values = [epoch[metric] for epoch in fitted.epochs]
    assert len(set(values)) > 1
    wanted = min(values) if least else max(values)
    assert fitted.best == values.index(wanted)
    assert any(f"epoch {1 + fitted.best} of 4, the best by {metric}" in note for note in fitted.bundle.manifest.notes)
    report = fitted.report("validation")
    for name in ("macro_f1", "calibration_error"):
        assert report.value(name) == pytest.approx(fitted.epochs[fitted.best][name], abs=1e-4)


def test_nothing_that_training_writes_tells_where_it_was(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """No file of the finished folder, manifest, predictions and history included, holds a folder of this machine."""
    out = tmp_path / "out"
    assert train(_recipe(tiny), corpus=toy_corpus, out=out) is not None

    absolute = re.compile(rb"/(?:home|root|usr|tmp|opt|mnt|var|srv|Users|private)/[\w.\-]+/[\w.\-/]+|[A-Z]:\\\\\w+\\\\")
    files = [file for file in out.rglob("*") if file.is_file() and file.name != "run.json"]
    assert len(files) > 5
    for file in files:
        data = file.read_bytes()
        assert absolute.findall(data) == [], file.name
        for place in (sys.prefix, str(tmp_path), str(tiny), str(toy_corpus.folder), str(Path.home())):
            assert len(place) < 3 or place.encode() not in data, file.name
