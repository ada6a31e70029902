"""The texts that lie on the disk while a corpus is built."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from ottenok.data.rows import open_staging, write_staging

if TYPE_CHECKING:
    from pathlib import Path


def test_texts_come_back_by_row_number(tmp_path: Path) -> None:
    """Keys are those of the rows asked for, wherever they lie; all rows come back in order."""
    rows = 40_000
    with write_staging(tmp_path / "texts.arrow") as staging:
        for number in range(rows):
            staging.add(f"Текст {number}", f"текст{number}", f"часть {number}" if number % 3 else None)
    chosen = np.array(sorted(random.Random(1).sample(range(rows), 500)), dtype=np.int64)
    with open_staging(tmp_path / "texts.arrow") as staging:
        assert staging.keys(chosen) == [f"текст{number}" for number in chosen]
        assert staging.keys(chosen[:0]) == []
        batches = list(staging.batches())
        assert len(batches) > 2
        assert [text for batch in batches for text in batch.column("text").to_pylist()][39_999] == "Текст 39999"
        assert batches[0].column("part").to_pylist()[:2] == [None, "часть 1"]


def test_long_texts_make_small_batches(tmp_path: Path) -> None:
    """A batch is bounded by characters too, so that megabytes in a row do not pile up in memory."""
    with write_staging(tmp_path / "texts.arrow") as staging:
        for number in range(12):
            staging.add("ы" * 1_000_000, str(number), None)
    with open_staging(tmp_path / "texts.arrow") as staging:
        assert [len(batch) for batch in staging.batches()] == [4, 4, 4]
        assert staging.keys(np.arange(12)) == [str(number) for number in range(12)]


def test_an_empty_staging_is_empty(tmp_path: Path) -> None:
    """No rows, no batches."""
    with write_staging(tmp_path / "texts.arrow"):
        pass
    with open_staging(tmp_path / "texts.arrow") as staging:
        assert list(staging.batches()) == []
        assert staging.keys(np.empty(0, dtype=np.int64)) == []
