"""Which rows form which batch: by seed and epoch alone, so a resumed run continues with the very batch it missed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch.utils.data import Sampler

from ottenok.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

__all__ = ["EpochRows", "LengthBatches", "length_order"]


class EpochRows(Protocol):
    """Chooses the rows of an epoch: the balance plan."""

    def __call__(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return row indices, repeats allowed; as many in every epoch."""


def length_order(lengths: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    """Cut all rows into batches of `size`, longest texts first, so that padding is least."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


class LengthBatches(Sampler[list[int]]):
    """Batches of rows of about equal length, in random order.

    The epoch's rows are shuffled, cut into pools of `pool` batches, sorted by length within each pool and cut into
    batches, which are then shuffled over the whole epoch. The number of batches is the same in every epoch, which
    exact resuming rests on. With several processes each takes its share of every batch.

    Args:
        lengths: Tokens of each row.
        rows: The rows of an epoch.
        size: Rows in a batch, on each process.
        pool: Batches that are sorted together.
        seed: The order depends on it and on the epoch, on nothing else.
        rank: This process.
        world: All processes.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        rows: EpochRows,
        *,
        size: int,
        pool: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__()
        self.lengths = lengths
        self.rows = rows
        self.size = size * world
        self.pool = pool
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0
        self.count = len(rows(0))

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is for, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.count / self.size)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches():
            # Every process must have a row of every batch, or they would wait for each other for ever.
            shared = batch if len(batch) >= self.world else np.resize(batch, self.world)
            yield shared[self.rank :: self.world].tolist()

    def _batches(self) -> list[npt.NDArray[np.int64]]:
        random = np.random.default_rng([self.seed, self.epoch])
        rows = self.rows(self.epoch)
        if len(rows) != self.count:
            raise DataError(f"epoch {self.epoch + 1} has {len(rows)} rows, the first had {self.count}")
        rows = random.permutation(rows)
        span = self.size * self.pool
        batches = [batch for start in range(0, len(rows), span) for batch in self._cut(rows[start : start + span])]
        return [batches[place] for place in random.permutation(len(batches))]

    def _cut(self, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        if self.pool > 1:
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
        return [rows[start : start + self.size] for start in range(0, len(rows), self.size)]
