"""Disk space in a study of many arms: whose weights stay, and which run is the best on validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ottenok.bundle.folder import read_manifest
from ottenok.bundle.manifest import MANIFEST
from ottenok.tasks.metrics import best, goodness
from ottenok.training.folder import HISTORY_FILE, read_history

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ottenok.studies.study_recipe import ArmRun

__all__ = ["best_epoch", "has_weights", "spare_disk"]

_WEIGHTS = (".safetensors", ".onnx", ".onnx_data")


def best_epoch(folder: Path, metric: str) -> int | None:
    """Return the position of a run's best epoch by a measure of its history; None if it has none."""
    rows = read_history(folder) if (folder / HISTORY_FILE).is_file() else []
    values = [row[metric] for row in rows if metric in row]
    return best(metric, values) if len(values) == len(rows) else None


def spare_disk(study: Path, runs: Sequence[ArmRun], weights: Literal["keep", "best", "none"]) -> None:
    """Delete the weights and graphs that a study does not keep; manifests, predictions and figures stay.

    Args:
        study: Folder of the study.
        runs: Its runs.
        weights: `keep` all, those of the `best` finished run by its own measure on validation rows, or `none`.
    """
    if weights == "keep":
        return
    done = [run for run in runs if (study / run.folder / MANIFEST).is_file()]
    kept = _best(study, done) if weights == "best" else None
    for run in done:
        if run.folder != kept:
            _delete(study / run.folder)


def _best(study: Path, runs: Sequence[ArmRun]) -> str | None:
    scores = {}
    for run in runs:
        folder, metric = study / run.folder, run.recipe.run.metric
        epoch = best_epoch(folder, metric)
        if epoch is not None:
            scores[run.folder] = goodness(metric, read_history(folder)[epoch][metric])
    return max(scores, key=lambda name: scores[name]) if scores else None


def has_weights(folder: Path) -> bool:
    """Say whether a finished run still has all weights that its manifest names."""
    return all((folder / name).is_file() for name in _weights(folder))


def _weights(folder: Path) -> list[str]:
    return [name for name in read_manifest(folder).files if name.endswith(_WEIGHTS)]


def _delete(folder: Path) -> None:
    for name in _weights(folder):
        (folder / name).unlink(missing_ok=True)
