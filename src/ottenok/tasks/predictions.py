"""A system's probabilities on labelled rows, as a file: what comparisons, reports and thresholds are made from.

One Parquet file per set of rows, with a line per row: its id, its source, for every label whether it is true and the
probability that the system gave. No texts, so that such files may be handed on where the texts may not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.files import atomic_path
from ottenok.core.lazy import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from ottenok.tasks.task import Task

__all__ = ["PREDICTIONS", "Predictions", "load_predictions", "prediction_files", "predictions_file", "save_predictions"]

# Folder of a run's predictions, one file per split.
PREDICTIONS = "predictions"

# Raised when an older ottenok could read a newer file wrongly.
_FORMAT = 1
_FACTS = b"ottenok.predictions"
_TRUE, _SCORE = "true:", "p:"
# Probabilities are float32; rounding may put one a hair above 1.
_SLACK = 1e-5
_AGAIN = "Write the file again: it was altered, or is not whole."


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a system said about some rows, before any threshold.

    Attributes:
        ids: Of the rows, as in their corpus; all different.
        sources: Name of each row's source; `""` where it is unknown.
        labels: In the order of the columns of `truth` and `probs`.
        truth: bool `[rows, labels]`.
        probs: float32 `[rows, labels]` in 0..1, from `Task.probabilities`.
        system: Name of the system.
        scheme: Name of the label scheme.
        task: Name of the task; "" in files of older versions.
        languages: Code of each row's language; empty in files of older versions.
    """

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    labels: tuple[str, ...]
    truth: npt.NDArray[np.bool_]
    probs: npt.NDArray[np.float32]
    system: str = ""
    scheme: str = ""
    task: str = ""
    languages: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Predictions:
        """Return the given rows, in the given order."""
        places = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in places),
            sources=tuple(self.sources[i] for i in places),
            languages=tuple(self.languages[i] for i in places) if self.languages else (),
            truth=self.truth[places],
            probs=self.probs[places],
        )

    def in_order(self, labels: Sequence[str]) -> Predictions:
        """Return the same with the columns in the order of `labels`, which are the same ones."""
        places = [self.labels.index(label) for label in labels]
        return replace(self, labels=tuple(labels), truth=self.truth[:, places], probs=self.probs[:, places])


def predictions_file(folder: str | Path, split: str = "test", *, task: str | None = None) -> Path:
    """Return where a run keeps its predictions for a split (`validation`, `test`).

    Args:
        folder: Of the run.
        split: Of its corpus.
        task: Which of the run's several tasks; None for a run with one task.
    """
    return Path(folder) / PREDICTIONS / (f"{split}.parquet" if task is None else f"{split}.{task}.parquet")


def prediction_files(folder: str | Path, split: str, tasks: Sequence[Task]) -> dict[str, Path]:
    """Return where a run keeps the predictions of each of its tasks, by name; the files need not be there."""
    several = len(tasks) > 1
    return {task.name: predictions_file(folder, split, task=task.name if several else None) for task in tasks}


def save_predictions(path: str | Path, predictions: Predictions) -> Path:
    """Write predictions as Parquet, whole or not at all.

    The columns are `id`, `source`, `language` where languages are known, and for each label `true:LABEL` (boolean) and
    `p:LABEL` (float32).

    Returns:
        The file.

    Raises:
        DataError: Lengths or shapes differ, an id occurs twice, or a probability is none.
        MissingExtraError: pyarrow is not installed.
    """
    with need("parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    path = Path(path)
    _check(predictions, file=str(path))
    columns: dict[str, Any] = {
        "id": pa.array(predictions.ids, pa.string()),
        "source": pa.array(predictions.sources, pa.string()).dictionary_encode(),
    }
    if predictions.languages:
        columns["language"] = pa.array(predictions.languages, pa.string()).dictionary_encode()
    for i, label in enumerate(predictions.labels):
        columns[f"{_TRUE}{label}"] = pa.array(predictions.truth[:, i])
        columns[f"{_SCORE}{label}"] = pa.array(predictions.probs[:, i].astype(np.float32))
    facts = {
        "format": _FORMAT,
        "labels": list(predictions.labels),
        "system": predictions.system,
        "scheme": predictions.scheme,
        "task": predictions.task,
    }
    table = pa.table(columns).replace_schema_metadata({_FACTS: json.dumps(facts, ensure_ascii=False).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return path


def load_predictions(path: str | Path) -> Predictions:
    """Read what `save_predictions` wrote, and check it.

    Raises:
        DataError: The file is absent, no Parquet file, holds no predictions or ones of a newer ottenok, or they
            contradict themselves.
        MissingExtraError: pyarrow is not installed.
    """
    with need("parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    file = str(path)
    if not Path(path).is_file():
        raise DataError(
            "there is no such file of predictions",
            hint="Training writes one per split; for a model that has none: ottenok evaluate MODEL DATA --predictions",
            file=file,
        )
    try:
        # Neither a data set of several files nor memory-mapped: this one file, checked when it is read.
        with pq.ParquetFile(path) as source:
            table = source.read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"this is no Parquet file: {str(error).splitlines()[0]}", hint=_AGAIN, file=file) from error
    try:
        facts = json.loads((table.schema.metadata or {})[_FACTS])
        version, names = int(facts["format"]), facts["labels"]
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            "this Parquet file holds no predictions of ottenok",
            hint="Give a file that `ottenok train` or `ottenok evaluate --predictions` wrote.",
            file=file,
        ) from error
    if version > _FORMAT:
        raise DataError(
            f"these predictions have format {version}, and this ottenok reads formats up to {_FORMAT}",
            hint="Upgrade with: pip install --upgrade ottenok",
            file=file,
        )
    if not isinstance(names, list) or not names or not all(isinstance(label, str) for label in names):
        raise DataError(f"expected the labels' names, found {names!r}", hint=_AGAIN, file=file, key="labels")
    labels = tuple(names)
    language = ["language"] if "language" in table.column_names else []
    needed = ["id", "source", *language, *(f"{mark}{label}" for label in labels for mark in (_TRUE, _SCORE))]
    if missing := [name for name in needed if name not in table.column_names]:
        raise DataError(f"the column {missing[0]!r} is missing", hint=_AGAIN, file=file, key=missing[0])
    if empty := [name for name in needed if table.column(name).null_count]:
        raise DataError("found rows without a value", hint=_AGAIN, file=file, key=empty[0])
    found = Predictions(
        ids=tuple(table.column("id").to_pylist()),
        sources=tuple(table.column("source").to_pylist()),
        labels=labels,
        truth=_matrix(table, _TRUE, labels, np.bool_, file),
        probs=_matrix(table, _SCORE, labels, np.float32, file),
        system=str(facts.get("system", "")),
        scheme=str(facts.get("scheme", "")),
        task=str(facts.get("task", "")),
        languages=tuple(table.column("language").to_pylist()) if "language" in table.column_names else (),
    )
    _check(found, file=file)
    return found


def _matrix(table: pa.Table, mark: str, labels: tuple[str, ...], dtype: type, file: str) -> npt.NDArray[Any]:
    found = np.empty((table.num_rows, len(labels)), dtype=dtype)
    for i, label in enumerate(labels):
        column = table.column(f"{mark}{label}").to_numpy()
        if column.dtype != np.dtype(dtype):
            raise DataError(
                f"expected {np.dtype(dtype)}, found {column.dtype}", hint=_AGAIN, file=file, key=f"{mark}{label}"
            )
        found[:, i] = column
    return found


def _check(predictions: Predictions, *, file: str) -> None:
    rows, labels = len(predictions.ids), len(predictions.labels)
    for name, numbers in (("truth", predictions.truth), ("probs", predictions.probs)):
        if numbers.shape != (rows, labels):
            raise DataError(f"expected shape [{rows}, {labels}], found {list(numbers.shape)}", file=file, key=name)
    for name, values in (("sources", predictions.sources), ("languages", predictions.languages or predictions.sources)):
        if len(values) != rows:
            raise DataError(f"found {len(values)} {name} for {rows} rows", file=file, key=name)
    if len(set(predictions.labels)) < labels:
        raise DataError("two labels have the same name", file=file, key="labels")
    if len(set(predictions.ids)) < rows:
        raise DataError("an id occurs twice: rows can't be told apart", file=file, key="id")
    wrong = ~(np.isfinite(predictions.probs) & (predictions.probs >= -_SLACK) & (predictions.probs <= 1.0 + _SLACK))
    if wrong.any():
        row, label = (int(place) for place in np.argwhere(wrong)[0])
        value = predictions.probs[row, label]
        raise DataError(
            f"found {value}, which is no probability",
            file=file,
            row=row + 1,
            key=f"{_SCORE}{predictions.labels[label]}",
        )
