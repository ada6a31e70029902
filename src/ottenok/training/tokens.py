"""Texts as token ids, kept flat: 4 bytes a token and 8 a text, so millions of texts fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

__all__ = ["TokenTable", "encode_texts", "pad", "token_table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """Token ids of many texts.

    Attributes:
        ids: int32, all texts after each other, special tokens included.
        starts: int64 `[texts + 1]`: text i is `ids[starts[i]:starts[i + 1]]`.
        full: Texts that reach the length limit, so that most of them were cut.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    full: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.starts)

    def rows(self, indices: Sequence[int]) -> list[npt.NDArray[np.int32]]:
        """Return the ids of the given texts."""
        return [self.ids[self.starts[i] : self.starts[i + 1]] for i in indices]

    def take(self, rows: npt.NDArray[np.int64]) -> TokenTable:
        """Return some of the texts; `full` still counts all."""
        parts = self.rows(rows.tolist())
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        return TokenTable(ids=np.concatenate(parts), starts=np.concatenate([[0], np.cumsum(lengths)]), full=self.full)


def token_table(chunks: Iterable[list[list[int]]], max_length: int) -> TokenTable:
    """Keep the token ids of chunks of texts, a few thousand texts each, of at most `max_length` tokens a text."""
    parts: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    for rows in chunks:
        lengths += [len(row) for row in rows]
        parts.append(np.fromiter((token for row in rows for token in row), dtype=np.int32))
    return TokenTable(
        ids=np.concatenate(parts) if parts else np.empty(0, np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
        full=sum(length >= max_length for length in lengths),
    )


def encode_texts(tokenizer: Any, texts: list[str], max_length: int, *, keep_end: bool = False) -> list[list[int]]:  # noqa: ANN401
    """Return the token ids of each text, special ones included, at most `max_length` of them.

    Args:
        tokenizer: A transformers fast tokenizer.
        texts: Normalised texts.
        max_length: Most tokens, special ones included.
        keep_end: Whether a longer text loses its beginning, not its end.
    """
    # A text of which nothing is left as tokens still needs one, or its mean would be 0 / 0.
    filler = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id
    tokenizer.truncation_side = "left" if keep_end else "right"
    rows = tokenizer(
        texts, truncation=True, max_length=max_length, return_attention_mask=False, return_token_type_ids=False
    )["input_ids"]
    return [row or [filler] for row in rows]


def pad(rows: list[npt.NDArray[np.int32]], padding: int) -> dict[str, torch.Tensor]:
    """Return `input_ids` and `attention_mask`, int64 `[rows, longest]`, padded on the right with `padding`."""
    width = max(len(row) for row in rows)
    ids = np.full((len(rows), width), padding, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
