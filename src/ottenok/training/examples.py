"""A corpus split as the trainer sees it: tokens, truth, sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from ottenok.core.progress import SILENT, Progress
from ottenok.tasks.decision import codes, indicator
from ottenok.text.normalise import normalise
from ottenok.training.tokens import TokenTable, encode_texts, pad, token_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Corpus, Split
    from ottenok.recipes.model import Problem
    from ottenok.text.normalise import TextOptions
    from ottenok.training.noise import RowNoise

__all__ = ["ExampleSet", "Examples", "Reading", "read_examples", "targets"]

_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """One split.

    Attributes:
        tokens: The texts.
        truth: bool `[rows, labels]`: which labels each row has.
        sources: Name of each row's source, `[rows]`.
        texts: The texts themselves, where noise is to be put into them; else None.
    """

    tokens: TokenTable
    truth: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.str_]
    texts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: npt.NDArray[np.int64]) -> Examples:
        """Return some of the rows, without their texts."""
        return Examples(tokens=self.tokens.take(rows), truth=self.truth[rows], sources=self.sources[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How texts become tokens.

    Attributes:
        tokenizer: Of the encoder.
        max_length: Most tokens of a text, special ones included.
        keep_end: Whether a longer text loses its beginning, not its end.
        text: How texts are normalised that the corpus has otherwise; None: they are read as they are.
        keep: Whether the texts are kept.
    """

    tokenizer: Any
    max_length: int
    keep_end: bool = False
    text: TextOptions | None = None
    keep: bool = False

    def normal(self, texts: list[str]) -> list[str]:
        """Return the texts as the model is to see them."""
        return texts if self.text is None else [normalise(text, self.text) for text in texts]

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of normalised texts."""
        return encode_texts(self.tokenizer, texts, self.max_length, keep_end=self.keep_end)


def read_examples(
    corpus: Corpus,
    split: Split,
    *,
    scheme: LabelScheme,
    reading: Reading,
    progress: Progress = SILENT,
) -> Examples:
    """Read and tokenise one split of a corpus, chunk by chunk.

    Raises:
        SchemeError: A row's labels are not the scheme's.
        MissingExtraError: Emoji are to be named, and the package `emoji` is not installed.
    """
    labels: list[Sequence[str]] = []
    sources: list[str] = []
    kept: list[str] = []

    def texts() -> Iterator[list[str]]:
        for chunk in map(reading.normal, _chunks(corpus, split, labels, sources, progress)):
            kept.extend(chunk if reading.keep else ())
            yield chunk

    progress.start(f"reading {split}", total=None, unit="texts")
    try:
        tokens = token_table(map(reading.encode, texts()), reading.max_length)
    finally:
        progress.finish()
    return Examples(
        tokens=tokens,
        truth=indicator(labels, scheme),
        sources=np.array(sources, dtype=np.str_),
        texts=tuple(kept) if reading.keep else None,
    )


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
        noise: Reads some rows with noise; None: all are read as they are.
    """

    def __init__(
        self,
        tokens: TokenTable,
        answers: npt.NDArray[np.int64] | npt.NDArray[np.float32],
        padding: int,
        *,
        noise: RowNoise | None = None,
    ) -> None:
        self.tokens = tokens
        self.answers = answers
        self.padding = padding
        self.noise = noise

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        rows = self.tokens.rows(indices)
        if self.noise is not None:
            for place, ids in self.noise(indices).items():
                rows[place] = np.array(ids, dtype=np.int32)
        batch = pad(rows, self.padding)
        batch["labels"] = torch.from_numpy(self.answers[indices])
        return batch
