"""Windows to batches: windows of the same number of tokens share a batch, so nothing is ever padded.

Padding costs time, and it costs exactness too: arithmetic in another shape rounds in another way, and int8 models turn
a last digit into a step. Windows of one length are computed alike in any company, so a text's scores are its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.inference.tokens import TokenBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.inference.tokens import Windows

__all__ = ["cut_batches"]


def cut_batches(windows: Windows, *, tokens: int) -> Iterator[TokenBatch]:
    """Yield batches of at most `tokens` tokens (or of one window), short windows first.

    Args:
        windows: What to divide.
        tokens: Budget of a batch.
    """
    lengths = np.array([len(ids) for ids in windows.ids], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    edges = np.flatnonzero(np.diff(lengths[order])) + 1
    for alike in np.split(order, edges):
        if not len(alike):
            return
        size = max(1, tokens // int(lengths[alike[0]]))
        for start in range(0, len(alike), size):
            rows = alike[start : start + size]
            yield TokenBatch(ids=np.array([windows.ids[row] for row in rows], dtype=np.int64), rows=rows)
