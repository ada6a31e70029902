"""The third pass: the kept rows, text by text, into the corpus's Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ottenok.core.progress import SILENT, stage
from ottenok.data.corpus import corpus_columns
from ottenok.data.dedupe import TEST, TRAIN, VALIDATION
from ottenok.data.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress
    from ottenok.data.clean import Cleaned
    from ottenok.data.harmonise import TaskLabels
    from ottenok.data.inputs import Inputs
    from ottenok.data.ledger import Codes, Ledger
    from ottenok.data.spill import Spill

__all__ = ["SPLIT_NAMES", "RowWriter"]

SPLIT_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
_LABELS = pa.list_(pa.string())


class RowWriter:
    """Writes the rows that are kept, in the order in which they were read."""

    def __init__(
        self, *, ledger: Ledger, cleaned: Cleaned, inputs: Inputs, tasks: Sequence[TaskLabels], languages: Codes
    ) -> None:
        self._ledger = ledger
        self._cleaned = cleaned
        self._places = [(inputs.names[file.source], file.number) for file in inputs.files]
        self._tasks = tasks
        self._languages = languages
        columns = corpus_columns([task.name for task in tasks] if len(tasks) > 1 else [])
        self._schema = pa.schema([(name, _LABELS if name.startswith("labels") else pa.string()) for name in columns])

    def write(self, spill: Spill, path: Path, progress: Progress = SILENT) -> None:
        """Write the corpus file."""
        start = 0
        with (
            stage(progress, "writing", total=len(self._ledger), unit="rows"),
            pq.ParquetWriter(path, self._schema, compression="zstd") as sink,
        ):
            for batch in spill.batches():
                kept = np.flatnonzero(self._cleaned.reason[start : start + len(batch)] == Reason.KEPT)
                if len(kept):
                    sink.write_batch(self._batch(batch.take(pa.array(kept)), start + kept))
                start += len(batch)
                progress.advance(len(batch))

    def _batch(self, texts: pa.RecordBatch, rows: NDArray[np.int64]) -> pa.RecordBatch:
        ledger, cleaned = self._ledger, self._cleaned
        places = [self._places[file] for file in ledger.file[rows].tolist()]
        columns = [
            [
                f"{source}/{number}/{row}"
                for (source, number), row in zip(places, ledger.row[rows].tolist(), strict=True)
            ],
            texts.column("text"),
            *(
                [task.values[code] if code >= 0 else None for code in cleaned.labels[rows, place].tolist()]
                for place, task in enumerate(self._tasks)
            ),
            [source for source, _ in places],
            texts.column("part"),
            [self._languages.values[code][0] for code in ledger.language[rows]],
            [SPLIT_NAMES[split] for split in cleaned.split[rows].tolist()],
        ]
        return pa.record_batch(columns, schema=self._schema)
