"""The runs of a comparison: found in folders, grouped by recipe, brought to the same rows in the same order."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.bundle.folder import read_manifest
from ottenok.bundle.manifest import MANIFEST
from ottenok.core.errors import ConfigError, DataError
from ottenok.tasks.decision import chosen
from ottenok.tasks.predictions import load_predictions, predictions_file
from ottenok.training.folder import FREE_KEYS, completed, flat

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.tasks.predictions import Predictions

__all__ = ["STUDY_FILE", "Group", "Run", "align", "find_runs", "group_runs", "in_order", "read_runs"]

# In a study's folder: which folders are its arms, and what tables call them.
STUDY_FILE = "study.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A trained model and what it said about some rows.

    Attributes:
        folder: Where it is.
        title: As tables call it, if its study says so.
        manifest: Its `ottenok.json`.
        predictions: Of the split.
    """

    folder: Path
    title: str | None
    manifest: BundleManifest
    predictions: Predictions

    @property
    def seed(self) -> int | None:
        """The seed of its recipe."""
        seed = self.manifest.recipe.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def answers(self) -> npt.NDArray[np.bool_]:
        """Its answers, bool `[rows, labels]`, by its own decision."""
        scheme = self.manifest.scheme.canonical_scheme()
        own = in_order(self.predictions, scheme.labels)
        answer = chosen(own.probs, scheme, self.manifest.decision)
        return answer[:, [scheme.labels.index(label) for label in self.predictions.labels]]

    def recipe_key(self) -> str:
        """Return what is equal for runs of one recipe on one corpus that differ in their seed alone."""
        whole = flat(completed(self.manifest.recipe))
        recipe = {key: value for key, value in whole.items() if key not in {*FREE_KEYS, "seed"}}
        data = self.manifest.data
        corpus = None if data is None else [data.name, data.rows, data.recipe]
        return json.dumps([recipe, corpus], sort_keys=True, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The runs of one recipe.

    Attributes:
        name: As tables call it; no two groups have the same.
        runs: At least one, by seed.
    """

    name: str
    runs: tuple[Run, ...]


def find_runs(places: Sequence[str | Path]) -> list[Path]:
    """Return the folders of runs: those given, and those in the studies given, each once.

    Raises:
        DataError: A folder is absent, or holds no finished run.
    """
    found: dict[Path, Path] = {}
    for place in map(Path, places):
        inside = [place] if (place / MANIFEST).is_file() else _inside(place)
        if not inside:
            raise DataError(
                "there is no finished run here" if place.is_dir() else "there is no such folder",
                hint="Give folders that `ottenok train` or `ottenok study` wrote.",
                file=str(place),
            )
        for folder in inside:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _inside(place: Path) -> list[Path]:
    """Return the runs in a folder: in the order of a study's arms, else by name."""
    listed = [place / name for name in _titles(place)] or (sorted(place.iterdir()) if place.is_dir() else [])
    return [folder for folder in listed if (folder / MANIFEST).is_file()]


def _titles(study: Path) -> dict[str, str]:
    """Return the titles of a study's folders; nothing if this is no study."""
    file = study / STUDY_FILE
    if not file.is_file():
        return {}
    try:
        arms: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["arms"]
        return {str(arm["folder"]): str(arm["title"]) for arm in arms}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"this study can't be read: {error!r}", file=str(file)) from error


def read_runs(folders: Sequence[Path], split: str) -> list[Run]:
    """Read manifests and predictions.

    Raises:
        BundleError: A manifest can't be read.
        DataError: A run has no predictions for this split, or they are not those of its manifest.
    """
    runs = []
    for folder in folders:
        manifest = read_manifest(folder)
        predictions = load_predictions(predictions_file(folder, split))
        if set(predictions.labels) != set(manifest.scheme.canonical_scheme().labels):
            raise DataError(
                f"these predictions have other labels than {MANIFEST}", file=str(predictions_file(folder, split))
            )
        title = _titles(folder.parent).get(folder.name)
        runs.append(Run(folder=folder, title=title, manifest=manifest, predictions=predictions))
    return runs


def group_runs(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Put runs together whose recipes differ in the seed alone.

    A second run with the same seed measures nothing that the first does not: it is a group of its own.
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        key, number = run.recipe_key(), 0
        while any(other.seed == run.seed for other in groups.get((key, number), [])):
            number += 1
        groups.setdefault((key, number), []).append(run)
    parts = [tuple(sorted(part, key=lambda run: run.seed or 0)) for part in groups.values()]
    names = [part[0].title or part[0].manifest.name for part in parts]
    return tuple(
        Group(name=name if names.count(name) == 1 else f"{name} ({part[0].folder.name})", runs=part)
        for name, part in zip(names, parts, strict=True)
    )


def align(runs: Sequence[Run], *, common: bool) -> tuple[list[Run], list[str]]:
    """Bring the predictions of all runs to the same rows, in the order and with the labels of the first run.

    Args:
        runs: What to bring together.
        common: Take the rows that all runs have, with the same truth, instead of refusing what differs.

    Returns:
        The runs, and what was left out, a sentence each.

    Raises:
        ConfigError: Labels differ, or the numbers of labels that a row may have.
        DataError: Rows differ, or no row is common.
    """
    _check_labels(runs)
    first = runs[0]
    ordered = [replace(run, predictions=in_order(run.predictions, first.predictions.labels)) for run in runs]
    if not common:
        for run in ordered[1:]:
            _refuse_unlike(first, run)
    kept = _common_ids([run.predictions for run in ordered])
    if not kept:
        raise DataError("these runs have no row in common", hint="Compare runs on the same test rows.")
    notes = []
    for run in ordered:
        if len(kept) < len(run.predictions):
            left = len(run.predictions) - len(kept)
            notes.append(f"{left:,} of the {len(run.predictions):,} rows of {run.folder.name} are left out.")
    return [replace(run, predictions=_rows(run.predictions, kept)) for run in ordered], notes


def _check_labels(runs: Sequence[Run]) -> None:
    first = runs[0].manifest.scheme.canonical_scheme()
    for run in runs[1:]:
        scheme = run.manifest.scheme.canonical_scheme()
        several = [one.kind == "multi-label" for one in (first, scheme)]
        if set(scheme.labels) != set(first.labels) or several[0] != several[1]:
            raise ConfigError(
                f"{run.folder.name} answers in the labels {', '.join(scheme.labels)} ({scheme.kind}), and "
                f"{runs[0].folder.name} in {', '.join(first.labels)} ({first.kind})",
                hint="Compare models of one label scheme.",
            )


def in_order(predictions: Predictions, labels: tuple[str, ...]) -> Predictions:
    """Return predictions with their columns in the order of `labels`, which are the same ones."""
    if predictions.labels == labels:
        return predictions
    places = [predictions.labels.index(label) for label in labels]
    return replace(predictions, labels=labels, truth=predictions.truth[:, places], probs=predictions.probs[:, places])


def _refuse_unlike(first: Run, other: Run) -> None:
    """Refuse runs with other test rows, and say which rows these are."""
    one, two = first.predictions, other.predictions
    only = [sorted(set(a.ids) - set(b.ids)) for a, b in ((one, two), (two, one))]
    hint = "Train on corpora with the same test rows, or compare on the rows that all have: --common"
    if any(only):
        parts = [
            f"{len(ids):,} only in {run.folder.name} (the first: {ids[0]})"
            for ids, run in zip(only, (first, other), strict=True)
            if ids
        ]
        raise DataError(f"the rows differ: {', '.join(parts)}", hint=hint)
    place = {row: i for i, row in enumerate(two.ids)}
    unlike = np.flatnonzero((one.truth != two.truth[[place[row] for row in one.ids]]).any(axis=1))
    if len(unlike):
        row = one.ids[int(unlike[0])]
        said = [
            f"{_named(a.truth[a.ids.index(row)], a.labels)} in {run.folder.name}"
            for a, run in ((one, first), (two, other))
        ]
        raise DataError(f"{len(unlike):,} rows have other labels: {row} is {' and '.join(said)}", hint=hint)


def _named(truth: npt.NDArray[np.bool_], labels: tuple[str, ...]) -> str:
    return ", ".join(label for label, there in zip(labels, truth, strict=True) if there) or "without a label"


def _common_ids(sets: Sequence[Predictions]) -> list[str]:
    """Return the ids that all have with the same truth, in the first one's order."""
    first = sets[0]
    kept = dict(zip(first.ids, map(bytes, first.truth), strict=True))
    for other in sets[1:]:
        truth = dict(zip(other.ids, map(bytes, other.truth), strict=True))
        kept = {row: value for row, value in kept.items() if truth.get(row) == value}
    return list(kept)


def _rows(predictions: Predictions, ids: Sequence[str]) -> Predictions:
    if tuple(ids) == predictions.ids:
        return predictions
    place = {row: i for i, row in enumerate(predictions.ids)}
    return predictions.take([place[row] for row in ids])
