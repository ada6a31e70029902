"""A corpus split as the trainer sees it: tokens, truth, sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ottenok.core.progress import SILENT, Progress
from ottenok.decision.labels import codes, indicator
from ottenok.training.tokens import TokenTable, encode, pad

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Corpus, Split
    from ottenok.models.options import Problem

__all__ = ["ExampleSet", "Examples", "read_examples", "targets"]

_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """One split.

    Attributes:
        tokens: The texts.
        truth: bool `[rows, labels]`: which labels each row has.
        sources: Name of each row's source, `[rows]`.
    """

    tokens: TokenTable
    truth: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: npt.NDArray[np.int64]) -> Examples:
        """Return some of the rows."""
        return Examples(tokens=self.tokens.take(rows), truth=self.truth[rows], sources=self.sources[rows])


def read_examples(
    corpus: Corpus,
    split: Split,
    *,
    scheme: LabelScheme,
    tokenizer: Any,  # noqa: ANN401 - one class per family
    max_length: int,
    progress: Progress = SILENT,
) -> Examples:
    """Read and tokenise one split of a corpus, chunk by chunk.

    Raises:
        SchemeError: A row's labels are not the scheme's.
    """
    labels: list[Sequence[str]] = []
    sources: list[str] = []
    progress.start(f"reading {split}", total=None, unit="texts")
    try:
        tokens = encode(tokenizer, _chunks(corpus, split, labels, sources, progress), max_length)
    finally:
        progress.finish()
    return Examples(tokens=tokens, truth=indicator(labels, scheme), sources=np.array(sources, dtype=np.str_))


def _chunks(
    corpus: Corpus, split: Split, labels: list[Sequence[str]], sources: list[str], progress: Progress
) -> Iterator[list[str]]:
    """Yield the split's texts; labels and sources are put into the given lists on the way."""
    import pyarrow.compute as pc

    for batch in corpus.batches(_CHUNK, columns=("text", "labels", "source", "split")):
        part = batch.filter(pc.equal(batch.column("split"), split))
        if part.num_rows:
            labels += part.column("labels").to_pylist()
            sources += part.column("source").to_pylist()
            yield part.column("text").to_pylist()
            progress.advance(part.num_rows)


def targets(
    truth: npt.NDArray[np.bool_], problem: Problem, values: Sequence[float]
) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
    """Return what the loss compares scores with.

    Args:
        truth: bool `[rows, labels]`.
        problem: What is learned.
        values: The labels' places on the scale, for a regression.

    Returns:
        int64 `[rows]` codes (multi-class, ordinal), float32 `[rows, labels]` (multi-label), float32 `[rows]` values
        (regression).
    """
    if problem == "multi-label":
        return truth.astype(np.float32)
    if problem == "regression":
        return np.asarray(values, dtype=np.float32)[codes(truth)]
    return codes(truth)


class ExampleSet(Dataset[Any]):
    """Tokens and targets as torch wants them: a batch is asked for at once and comes padded.

    Args:
        tokens: The texts.
        answers: See `targets`.
        padding: The padding token's id.
    """

    def __init__(
        self, tokens: TokenTable, answers: npt.NDArray[np.int64] | npt.NDArray[np.float32], padding: int
    ) -> None:
        self.tokens = tokens
        self.answers = answers
        self.padding = padding

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        batch = pad(self.tokens.rows(indices), self.padding)
        batch["labels"] = torch.from_numpy(self.answers[indices])
        return batch
