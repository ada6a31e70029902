"""Decoded text in bounded pieces: chunks, and blocks of lines."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from ottenok.core.errors import DataError
from ottenok.tables.division import MAX_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BlockLines", "Piece", "line_blocks", "lines_of", "text_chunks", "too_long", "unpaired_quotes"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of decoded text.

    Attributes:
        text: The text, line ends as in the file.
        clean: False if the text may hold NUL characters, or undecodable bytes as surrogates U+DC80..U+DCFF.
    """

    text: str
    clean: bool


class _Decoder:
    """Decodes bytes piece by piece: strictly as long as that works, then with undecodable bytes as surrogates."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._strict = True

    def __call__(self, data: bytes, *, final: bool) -> Piece:
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError:
            if not self._strict:
                raise
            self._relax()
            return self(data, final=final)
        return Piece(text=text, clean=self._strict and "\0" not in text)

    def _relax(self) -> None:
        state = self._decoder.getstate()
        self._decoder = codecs.getincrementaldecoder(self._encoding)(errors="surrogateescape")
        self._decoder.setstate(state)
        self._strict = False


def _check_encoding(encoding: str, file: str) -> None:
    try:
        "a".encode(encoding)
    except (LookupError, UnicodeError) as error:
        raise DataError(
            f"there is no text encoding {encoding!r}",
            hint="Use utf-8, windows-1251, gb18030 or auto.",
            file=file,
            key="encoding",
        ) from error


def text_chunks(stream: IO[bytes], *, encoding: str, file: str) -> Iterator[Piece]:
    """Decode a stream in chunks of about 1 MiB.

    Raises:
        DataError: There is no such encoding, or the bytes can't be decoded even with surrogates for the faulty ones.
    """
    _check_encoding(encoding, file)
    decode = _Decoder(encoding)
    try:
        while data := stream.read(_CHUNK):
            yield decode(data, final=False)
        yield decode(b"", final=True)
    except UnicodeError as error:
        raise DataError(f"the file is not {encoding}: {error}", hint="Try encoding auto.", file=file) from error


def line_blocks(stream: IO[bytes], *, encoding: str, file: str) -> Iterator[tuple[list[str], bool]]:
    r"""Yield blocks of whole lines (line ends kept; `\n`, `\r\n` and `\r` end a line) and whether each is clean.

    Raises:
        DataError: As `text_chunks`, or a line is longer than `MAX_RECORD` characters.
    """
    rest, number, carried = "", 0, True
    for piece in text_chunks(stream, encoding=encoding, file=file):
        lines = list(io.StringIO(rest + piece.text, newline=""))
        # The last line may go on in the next chunk, and a last "\r" may be half of a "\r\n".
        rest = lines.pop() if lines else ""
        if len(rest) > MAX_RECORD:
            raise too_long(number + len(lines) + 1, file=file)
        number += len(lines)
        yield lines, piece.clean and carried
        # The rest began in this piece only if a line ended in it.
        carried = piece.clean and (carried or bool(lines))
    if rest:
        yield [rest], carried


class BlockLines:
    """The lines of blocks one by one, and whether every block until now was clean.

    Once unclean, always looked at: a line that is read again may come from an earlier block.

    Args:
        blocks: From `line_blocks`.
    """

    def __init__(self, blocks: Iterable[tuple[list[str], bool]]) -> None:
        self._blocks = blocks
        self.clean = True

    def __iter__(self) -> Iterator[str]:
        for lines, clean in self._blocks:
            self.clean = self.clean and clean
            yield from lines


def lines_of(stream: IO[bytes], *, encoding: str, file: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a stream without their ends, blank ones left out, and whether each is clean."""
    for lines, clean in line_blocks(stream, encoding=encoding, file=file):
        for line in lines:
            if line and not line.isspace():
                yield line.rstrip("\r\n"), clean


def too_long(row: int, *, file: str) -> DataError:
    """Return the error for a record that no text is as long as."""
    return DataError(
        f"the record is longer than {MAX_RECORD:,} characters",
        hint="Check that this is the right file and reader; a text of this length must be divided first.",
        file=file,
        row=row,
    )


def unpaired_quotes(file: str) -> DataError:
    """Return the error for a file whose quotes make no sense."""
    return DataError(
        "the quotes in this file do not pair up",
        hint='If quotes have no meaning in it, set the reader\'s option quote = "".',
        file=file,
    )
