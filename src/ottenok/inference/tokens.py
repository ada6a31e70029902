"""From texts to batches of token ids.

Nothing is cut away silently: a long text becomes several windows. Windows of the same number of tokens share a batch,
so nothing is ever padded. Padding costs time, and it costs exactness too: arithmetic in another shape rounds in another
way, and int8 models turn a last digit into a step. Windows of one length are computed alike in any company, so a text's
logits are its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ottenok.core.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from tokenizers import Tokenizer

__all__ = ["TokenBatch", "Tokeniser", "Windows", "cut_batches", "read_tokenizer", "slices"]

_T = TypeVar("_T")
# Characters of the texts that are held at once.
_MOST_CHARACTERS = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatch:
    """Windows of one length, ready for a model: there is no padding, so every token counts.

    Attributes:
        ids: int64 `[rows, tokens]`, special tokens included.
        rows: int64 `[rows]`: each row's place among the windows of the request.
    """

    ids: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of several texts, text after text.

    Attributes:
        ids: Token ids of each window, special tokens included.
        texts: int64 `[windows]`: the number of the text that each belongs to, never falling.
        weights: float64 `[windows]`: tokens of each, without the special ones; at least 1.
        counts: int64 `[texts]`: windows of each text that are read; 0 for a text without anything to read.
        truncated: bool `[texts]`: whether windows were left out.
        unknown: float64 `[texts]`: share of tokens that the vocabulary does not have.
    """

    ids: list[list[int]]
    texts: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _TextWindows:
    ids: list[list[int]]
    truncated: bool
    unknown: float


class Tokeniser:
    """A tokenizer that divides long texts into overlapping windows, or keeps their ends.

    Args:
        tokenizer: Of the tokenizers library; its truncation and padding are set here.
        max_length: Most tokens of a window, special ones included.
        overlap: Tokens that neighbouring windows share.
        max_windows: Most windows of a text that are read; None: all.
        read_end: Whether one window is read of a text, its last.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        overlap: int,
        max_windows: int | None = None,
        read_end: bool = False,
    ) -> None:
        tokenizer.no_padding()
        # From the left, the first window is the text's end, and is full.
        tokenizer.enable_truncation(max_length, stride=overlap, direction="left" if read_end else "right")
        self._tokenizer = tokenizer
        self._special = tokenizer.num_special_tokens_to_add(is_pair=False)
        self._max_windows = 1 if read_end else max_windows
        self._unknown = _unknown_id(tokenizer)

    @property
    def identity(self) -> str:
        """What decides the windows besides the manifest: the tokenizer's sha256 and the limit."""
        digest = hashlib.sha256(self._tokenizer.to_str().encode())
        return f"{digest.hexdigest()} {self._max_windows}"

    def __call__(self, texts: Sequence[str]) -> Windows:
        """Tokenise normalised texts."""
        found = [self._divide(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        counts = np.array([len(text.ids) for text in found], dtype=np.int64)
        ids = [window for text in found for window in text.ids]
        return Windows(
            ids=ids,
            texts=np.repeat(np.arange(len(found), dtype=np.int64), counts),
            weights=np.array([len(window) - self._special for window in ids], dtype=np.float64),
            counts=counts,
            truncated=np.array([text.truncated for text in found], dtype=np.bool_),
            unknown=np.array([text.unknown for text in found], dtype=np.float64),
        )

    def _divide(self, encoding: Any) -> _TextWindows:  # noqa: ANN401 - tokenizers has no types
        every = [encoding.ids, *(part.ids for part in encoding.overflowing)]
        windows = [ids for ids in every if len(ids) > self._special]
        kept = windows[: self._max_windows]
        return _TextWindows(ids=kept, truncated=len(kept) < len(windows), unknown=self._unknown_share(kept))

    def _unknown_share(self, windows: list[list[int]]) -> float:
        if self._unknown is None or not windows:
            return 0.0
        tokens = sum(len(ids) - self._special for ids in windows)
        return sum(ids.count(self._unknown) for ids in windows) / tokens


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the unknown token; models that fall back to bytes have none."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    word = model.get("unk_token")
    return None if word is None else tokenizer.token_to_id(word)


def read_tokenizer(file: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Raises:
        BundleError: It can't be read as a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    # The library raises the bare Exception for every fault in a file.
    except Exception as error:
        raise BundleError(f"this is no tokenizer: {error}", file=str(file)) from error


def slices(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of at most `size` items, shorter ones where texts are long."""
    block: list[_T] = []
    held = 0
    for item in items:
        block.append(item)
        held += len(item) if isinstance(item, str) else 1
        if len(block) >= size or held >= _MOST_CHARACTERS:
            yield block
            block, held = [], 0
    if block:
        yield block


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
