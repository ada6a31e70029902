"""Comparison of a graph with the model that it was made from, on token ids of many shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.lazy import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["TOLERANCE", "Sample", "largest_difference", "sample_batches"]

# Of logits: a probability then differs by less than a third of it.
TOLERANCE = 1e-4
_SHAPES = ((1, 1), (1, 2), (3, 7), (5, 33), (2, 128), (1, 512))
_FIRST_WORD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Token ids and their mask, int64 `[rows, tokens]`; rows end in padding, each in another length of it."""

    ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]


def sample_batches(vocabulary: int, *, padding: int, max_length: int, seed: int = 0) -> Iterator[Sample]:
    """Yield batches of random ids, from one token to the longest text, with and without padding.

    Args:
        vocabulary: Ids are below it.
        padding: The id of padding.
        max_length: Most tokens.
        seed: Of the ids.
    """
    random = np.random.default_rng(seed)
    for rows, tokens in _SHAPES:
        width = min(tokens, max_length)
        ids = random.integers(min(_FIRST_WORD, vocabulary - 1), vocabulary, size=(rows, width))
        lengths = np.maximum(1, width - 3 * np.arange(rows))
        mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
        yield Sample(ids=np.where(mask == 1, ids, padding), mask=mask)


def largest_difference(file: Path, sample: Sample, expected: npt.NDArray[np.float32]) -> float:
    """Return the largest difference between a graph's logits and the expected ones; infinite if one is not finite."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"input_ids": sample.ids, "attention_mask": sample.mask})
    difference = float(np.abs(np.asarray(logits) - expected).max())
    return difference if np.isfinite(difference) else float("inf")
