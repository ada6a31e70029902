"""The texts that lie on the disk while a corpus is built."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from ottenok.data.spill import open_spill, write_spill

if TYPE_CHECKING:
    from pathlib import Path


def test_texts_come_back_by_row_number(tmp_path: Path) -> None:
    """Keys are those of the rows asked for, wherever they lie; all rows come back in order."""
    rows = 40_000
    with write_spill(tmp_path / "texts.arrow") as spill:
        for number in range(rows):
            spill.add(f"Текст {number}", f"текст{number}", f"часть {number}" if number % 3 else None)
    chosen = np.array(sorted(random.Random(1).sample(range(rows), 500)), dtype=np.int64)
    with open_spill(tmp_path / "texts.arrow") as spill:
        assert spill.keys(chosen) == [f"текст{number}" for number in chosen]
        assert spill.keys(chosen[:0]) == []
        batches = list(spill.batches())
        assert len(batches) > 2
        assert [text for batch in batches for text in batch.column("text").to_pylist()][39_999] == "Текст 39999"
        assert batches[0].column("part").to_pylist()[:2] == [None, "часть 1"]


def test_long_texts_make_small_batches(tmp_path: Path) -> None:
    """A batch is bounded by characters too, so that megabytes in a row do not pile up in memory."""
    with write_spill(tmp_path / "texts.arrow") as spill:
        for number in range(12):
            spill.add("ы" * 1_000_000, str(number), None)
    with open_spill(tmp_path / "texts.arrow") as spill:
        assert [len(batch) for batch in spill.batches()] == [4, 4, 4]
        assert spill.keys(np.arange(12)) == [str(number) for number in range(12)]


def test_an_empty_spill_is_empty(tmp_path: Path) -> None:
    """No rows, no batches."""
    with write_spill(tmp_path / "texts.arrow"):
        pass
    with open_spill(tmp_path / "texts.arrow") as spill:
        assert list(spill.batches()) == []
        assert spill.keys(np.empty(0, dtype=np.int64)) == []
