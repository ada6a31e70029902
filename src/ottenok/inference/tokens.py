"""From texts to batches of token ids.

Nothing is cut away silently: a long text becomes several windows. Windows of the same number of tokens share a batch,
so nothing is ever padded. Padding costs time, and it costs exactness too: arithmetic in another shape rounds in another
way, and int8 models turn a last digit into a step. Windows of one length are computed alike in any company, so a text's
logits are its own.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ottenok.core.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from tokenizers import Tokenizer

    from ottenok.core.language import Reading

__all__ = ["TokenBatch", "Tokeniser", "Windows", "cut_batches", "read_tokenizer", "slices"]

_T = TypeVar("_T")
# Characters of the texts that are held at once.
_MOST_CHARACTERS = 4 << 20
# A tokenizer needs some 150 bytes for a character while it works: so many it gets at once, and longer texts in slices.
_LONG = 1 << 17
_SLICE = 1 << 16
# Characters that hardly have more tokens than a window.
_SHORT = 64
_MOST_BYTES = 256 << 20
# Characters before and after a slice that it is tokenised with.
_CONTEXT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatch:
    """Windows of one length, ready for a model: there is no padding, so every token counts.

    Attributes:
        ids: int64 `[rows, tokens]`, special tokens included.
        rows: int64 `[rows]`: each row's place among the windows of the request; two rows may be the same window.
    """

    ids: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of several texts, text after text.

    Attributes:
        ids: Token ids of each window, special tokens included, as a list or array.
        texts: int64 `[windows]`: the number of the text that each belongs to, never falling.
        weights: float64 `[windows]`: tokens of each, without the special ones; at least 1.
        counts: int64 `[texts]`: windows of each text that are read; 0 for a text without anything to read.
        truncated: bool `[texts]`: whether windows were left out.
        unknown: float64 `[texts]`: share of tokens that the vocabulary does not have.
        readings: The language of each text; empty where nobody asked.
    """

    ids: Sequence[Sequence[int]]
    texts: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.float64]
    readings: Sequence[Reading] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _TextWindows:
    ids: Sequence[Sequence[int]]
    truncated: bool
    unknown: float


class Tokeniser:
    """A tokenizer that divides long texts into overlapping windows, or keeps their ends.

    Memory does not follow the length of a text: very long ones are tokenised slice by slice, each with some text
    before and after it, and cut at the edge of a token.

    Args:
        tokenizer: Of the tokenizers library; its truncation and padding are set here.
        max_length: Most tokens of a window, special ones included.
        overlap: Tokens that neighbouring windows share.
        max_windows: Most windows of a text that are read; None: all.
        read_end: Whether one window is read of a text, its last.

    Raises:
        BundleError: The tokenizer's special tokens leave no place for others.
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
        self._max_length = max_length
        self._special = tokenizer.num_special_tokens_to_add(is_pair=False)
        self._size = max_length - self._special
        if self._size <= overlap:
            raise BundleError(
                f"the tokenizer adds {self._special} tokens to each text, and windows overlap by {overlap}, "
                f"which leaves nothing of {max_length}"
            )
        # What a user writes is text, also where it is spelt like a special token.
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        # From the left, the first window is the text's end, and is full.
        tokenizer.enable_truncation(max_length, stride=overlap, direction="left" if read_end else "right")
        self._tokenizer = tokenizer
        self._unknown = _unknown_id(tokenizer)
        self._ends = _special_ends(tokenizer)
        self._overlap = overlap
        self._read_end = read_end
        self._max_windows = 1 if read_end else max_windows
        self._untruncated: Tokenizer | None = None
        self._lock = Lock()

    @property
    def identity(self) -> str:
        """What decides the windows besides the manifest: the tokenizer's sha256 and the limit."""
        digest = hashlib.sha256(self._tokenizer.to_str().encode())
        return f"{digest.hexdigest()} {self._max_windows}"

    def limited(self, *, max_length: int | None = None, max_windows: int | None = None) -> Tokeniser:
        """Return a tokeniser that reads less: shorter windows, fewer of them; None: as this one.

        Raises:
            BundleError: The tokenizer's special tokens leave no place for others.
        """
        length = min(self._max_length, max_length or self._max_length)
        return Tokeniser(
            copy.deepcopy(self._tokenizer),
            max_length=length,
            overlap=self._overlap if length == self._max_length else 0,
            max_windows=max_windows or self._max_windows,
            read_end=self._read_end,
        )

    def count_windows(self, text: str) -> int:
        """Return in about how many windows a normalised text would be read whole; 1 if in one."""
        windows = self([text])
        if not windows.truncated[0]:
            return max(1, int(windows.counts[0]))
        slices = self([text[start : start + _SHORT] for start in range(0, len(text), _SHORT)])
        return max(2, -int(-slices.weights.sum() // self._size))

    @property
    def parts_read(self) -> slice:
        """Which windows of a text are read."""
        return slice(-1, None) if self._read_end else slice(self._max_windows)

    @property
    def bare(self) -> tuple[int, ...]:
        """The tokens of a text without any: the special ones; where there are none, the unknown one."""
        before, after = self._ends or ((), ())
        return (*before, *after) or (self._unknown or 0,)

    def __call__(self, texts: Sequence[str]) -> Windows:
        """Tokenise normalised texts."""
        found: list[_TextWindows] = []
        # A block ends with the text that fills it, so that a very long one is always the last.
        for block in slices(texts, len(texts), characters=_LONG):
            long = block.pop() if len(block[-1]) > _LONG and self._ends is not None else None
            found += map(self._divide, self._tokenizer.encode_batch_fast(block))
            if long is not None:
                found.append(self._divide_long(long))
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
        tokens = sum(len(ids) - self._special for ids in kept)
        strange = 0 if self._unknown is None else sum(ids.count(self._unknown) for ids in kept)
        return _TextWindows(ids=kept, truncated=len(kept) < len(windows), unknown=strange / tokens if tokens else 0.0)

    def _divide_long(self, text: str) -> _TextWindows:
        """Do for a very long text what `_divide` does, in memory for a few slices and for the windows that are read."""
        step = self._size - self._overlap
        # One more than is read tells whether something is left unread.
        wanted = None if self._max_windows is None else self._size + (self._max_windows - 1) * step + 1
        first = max(0, len(text) - _SLICE) if self._read_end else 0
        parts: list[npt.NDArray[np.int32]] = []
        held = 0
        for part in self._pieces(text, first):
            parts.append(part)
            held += len(part)
            if wanted is not None and held >= wanted and not self._read_end:
                break
        if first and held <= self._size:
            # The last slice holds hardly anything that the tokenizer keeps.
            first, parts = 0, list(self._pieces(text, 0))
        tokens = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
        if self._read_end:
            truncated, starts = first > 0 or len(tokens) > self._size, [max(0, len(tokens) - self._size)]
        else:
            starts = list(range(0, max(1, len(tokens) - self._overlap), step))[: self._max_windows]
            truncated = starts[-1] + self._size < len(tokens)
        cut = [tokens[start : start + self._size] for start in starts] if len(tokens) else []
        before, after = self._ends or ((), ())
        read = sum(len(window) for window in cut)
        strange = 0 if self._unknown is None else sum(int((window == self._unknown).sum()) for window in cut)
        return _TextWindows(
            ids=[np.concatenate([before, window, after]).astype(np.int32) for window in cut],  # type: ignore[misc]
            truncated=truncated and bool(cut),
            unknown=strange / read if read else 0.0,
        )

    def _pieces(self, text: str, position: int) -> Iterator[npt.NDArray[np.int32]]:
        """Yield the ids of a text's tokens from a position on, without special ones, slice by slice.

        A slice is tokenised with context on both sides, which goes again: what stands at the edge of what the
        tokenizer sees may be divided otherwise than in the whole text.
        """
        with self._lock:
            if self._untruncated is None:
                self._untruncated = copy.deepcopy(self._tokenizer)
                self._untruncated.no_truncation()
                self._untruncated.encode_special_tokens = True
        while position < len(text):
            begin, end = max(0, position - _CONTEXT), position + _SLICE
            seen = text[begin : end + _CONTEXT]
            # As a batch of one: alone a text is tokenised under Python's lock, and other threads wait.
            (encoding,) = self._untruncated.encode_batch([seen], add_special_tokens=False)
            starts = begin + np.array([start for start, _ in encoding.offsets], dtype=np.int64)
            ids = np.array(encoding.ids, dtype=np.int32)
            cut = len(text)
            if begin + len(seen) < len(text):
                # Best at a word's edge: there no tokenizer divides otherwise for what stands on the other side.
                edges = starts[(starts > position) & (starts <= end)][-_CONTEXT:]
                spaces = [edge for edge in edges.tolist() if text[edge - 1].isspace() or text[edge].isspace()]
                cut = spaces[-1] if spaces else int(edges[-1]) if len(edges) else end
            yield ids[(starts >= position) & (starts < cut)]
            position = cut


def _special_ends(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the special tokens before and after a text's own; None if that can't be told."""
    for probe in "aа中1":
        bare = tokenizer.encode(probe, add_special_tokens=False).ids
        whole = tokenizer.encode(probe).ids
        if bare and len(whole) - len(bare) == tokenizer.num_special_tokens_to_add(is_pair=False):
            for place in range(len(whole) - len(bare) + 1):
                if whole[place : place + len(bare)] == bare:
                    return tuple(whole[:place]), tuple(whole[place + len(bare) :])
    return None


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the unknown token; models that fall back to bytes have none."""
    word = getattr(tokenizer.model, "unk_token", None)
    if word is not None:
        found: int | None = tokenizer.token_to_id(word)
        return found
    try:
        # Of a Unigram model, which does not tell: what it makes of a character that no vocabulary has.
        (token,) = tokenizer.model.tokenize("\U0010ffff")
    # Bytes in its place are several; a model that knows neither raises the library's bare Exception.
    except Exception:  # noqa: BLE001
        return None
    return int(token.id)


def read_tokenizer(file: Path, text: str | None = None) -> Tokenizer:
    """Read a `tokenizer.json` so that no text can be spelt like a special token.

    Args:
        file: Where it is.
        text: What is taken in its place, for files that others disagree with.

    Raises:
        BundleError: It can't be read as a tokenizer, or is too large for one.
    """
    from tokenizers import Tokenizer

    size = file.stat().st_size
    if size > _MOST_BYTES:
        raise BundleError(f"a tokenizer of {size / 1e6:.0f} MB is too large to be one", file=str(file))
    try:
        data = file.read_bytes() if text is None else text.encode()
        # Vocabularies hold special tokens too, and models find them there: each gets a name that no text can have,
        # since a zero never comes through `normalise`. Its number stays. Unigram models always find them.
        if b'"Unigram"' in data:
            start = data.find(b"[", data.find(b'"added_tokens"'))
            added = []
            if start > 0:
                # The whole would take long to read; these few stand at its beginning.
                try:
                    added = json.JSONDecoder().raw_decode(data[start : start + _SLICE].decode(errors="ignore"))[0]
                except ValueError:
                    added = json.JSONDecoder().raw_decode(data[start:].decode())[0]
            data = _hidden(data, [token["content"] for token in added if token.get("special")])
        tokenizer = Tokenizer.from_buffer(data)
        tokenizer.encode_special_tokens = True
        special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
        leaking = [
            word
            for word in special
            if not word.startswith("\0")
            and tokenizer.token_to_id(word) in tokenizer.encode(f"a {word} a{word}a", add_special_tokens=False).ids
        ]
        if leaking:
            tokenizer = Tokenizer.from_buffer(_hidden(data, leaking))
    except RecursionError as error:
        raise BundleError("this is no tokenizer: it is nested too deeply", file=str(file)) from error
    # The library raises the bare Exception for every fault in a file.
    except Exception as error:
        raise BundleError(f"this is no tokenizer: {error}", file=str(file)) from error
    return tokenizer


def _hidden(data: bytes, words: Iterable[str]) -> bytes:
    for word in words:
        shown, hidden = (json.dumps(name, ensure_ascii=False).encode() for name in (word, "\0" + word))
        data = data.replace(shown, hidden)
    return data


def slices(items: Iterable[_T], size: int, *, characters: int = _MOST_CHARACTERS) -> Iterator[list[_T]]:
    """Yield lists of at most `size` items, shorter ones where they have so many characters."""
    block: list[_T] = []
    held = 0
    for item in items:
        block.append(item)
        held += len(item) if isinstance(item, str) else 1
        if len(block) >= size or held >= characters:
            yield block
            block, held = [], 0
    if block:
        yield block


def cut_batches(windows: Windows, *, tokens: int, pairs: bool = False) -> Iterator[TokenBatch]:
    """Yield batches of at most `tokens` tokens (or of one or two windows), short windows first.

    Args:
        windows: What to divide.
        tokens: Budget of a batch.
        pairs: Whether no batch has a single row: a window that would be alone is in its batch twice.
    """
    lengths = np.array([len(ids) for ids in windows.ids], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    edges = np.flatnonzero(np.diff(lengths[order])) + 1
    for alike in np.split(order, edges):
        if not len(alike):
            return
        size = max(1 + pairs, tokens // int(lengths[alike[0]]))
        for start in range(0, len(alike), size):
            rows = alike[start : start + size]
            rows = np.repeat(rows, 2) if pairs and len(rows) == 1 else rows
            yield TokenBatch(ids=np.array([windows.ids[row] for row in rows], dtype=np.int64), rows=rows)
