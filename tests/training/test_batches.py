"""Batches by length: every row once, the same order again, fair shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import DataError

pytest.importorskip("torch")
from ottenok.training.dataset import LengthBatches, length_order

pytestmark = pytest.mark.train


def _batches(lengths: list[int], **options: int) -> LengthBatches:
    rows = np.arange(len(lengths), dtype=np.int64)
    settings_ = {"size": 4, "pool": 3, "seed": 0, **options}
    return LengthBatches(np.array(lengths, dtype=np.int64), lambda _: rows, **settings_)  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60),
    size=st.integers(1, 7),
    pool=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_an_epoch_has_every_row_once(lengths: list[int], size: int, pool: int, epoch: int) -> None:
    """No row is lost or repeated, no batch is too large, and their number is what was announced."""
    batches = _batches(lengths, size=size, pool=pool)
    found = batches.epoch(epoch)

    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    assert max(map(len, found)) <= size
    assert len(found) == len(batches)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    """Asked again, an epoch has the same batches, which resuming rests on; other epochs and seeds have others."""

    def order(epoch: int, seed: int) -> list[list[int]]:
        return _batches(list(range(1, 41)), seed=seed).epoch(epoch)

    assert order(1, 5) == order(1, 5)
    assert order(1, 5) != order(2, 5)
    assert order(1, 5) != order(1, 6)


def test_sorting_by_length_saves_padding() -> None:
    """Batches from sorted pools hold far fewer padding places than batches at random."""
    lengths = np.random.default_rng(0).integers(5, 100, size=1600)

    def places(pool: int) -> int:
        batches = _batches(lengths.tolist(), size=16, pool=pool).epoch(0)
        return sum(len(batch) * int(lengths[batch].max()) for batch in batches)

    assert places(50) < 1.1 * lengths.sum()
    assert places(1) > 1.5 * lengths.sum()


@pytest.mark.parametrize("rows", [24, 25, 31])
def test_processes_share_every_batch(rows: int) -> None:
    """Three processes have equally many batches, none is empty, and together they see every row."""
    shares = [_batches(list(range(1, rows + 1)), size=2, rank=rank, world=3).epoch(0) for rank in range(3)]

    assert len({len(share) for share in shares}) == 1
    assert all(batch for share in shares for batch in share)
    assert {row for share in shares for batch in share for row in batch} == set(range(rows))


def test_an_epoch_of_another_size_is_refused() -> None:
    """A plan that changes its length between epochs would break the count that resuming rests on."""
    batches = LengthBatches(np.ones(9, dtype=np.int64), lambda epoch: np.arange(9 - epoch), size=4, pool=1, seed=0)
    with pytest.raises(DataError, match="epoch 2 has 8 rows"):
        batches.epoch(1)


def test_length_order_goes_from_long_to_short() -> None:
    """Scoring starts with the longest texts, and every text is there."""
    order = length_order(np.array([3, 9, 1, 9, 5]), 2)

    assert [batch.tolist() for batch in order] == [[1, 3], [4, 0], [2]]
