"""A file's bytes and lines: plain, packed, or in a ZIP archive, with guards against archives made to explode."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import shutil
import sys
import tempfile
import weakref
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from ottenok.core.errors import DataError
from ottenok.core.suggest import suggest
from ottenok.tables.encoding import Encoding, decoded_chunks, find_encoding
from ottenok.tables.options import MAX_EXPANSION, MAX_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from ottenok.tables.options import TableOptions

__all__ = ["PACKED", "LongLine", "Source", "lines_of", "open_bytes", "text_blocks", "too_long", "zstd"]

# Nothing that unpacks to less than this is taken for a bomb.
_SMALL = 16 << 20
_ENCRYPTED = 0x1
_ZIP = b"PK\x03\x04"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_MAGIC = {b"\x1f\x8b": "gzip", _ZSTANDARD: "zstd", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
# Endings of packed files; the ending before says what is in them.
PACKED = (".gz", ".zst", ".zstd", ".bz2", ".xz", ".zip")


class LongLine(str):
    """The start of a line that is longer than a record may be; the rest of it was passed over."""

    __slots__ = ()


class Source:
    """A file, or a stream, that can be read from its start more than once.

    A stream that can't jump back, such as standard input, is copied to a temporary file of its own first.

    Args:
        place: A path, or an open stream of bytes.
        member: File of a ZIP archive; None: its only one.
        max_expansion: Times that packed bytes may grow.

    Attributes:
        path: The file; None for a stream.
        file: How errors name it.
        name: The file's name in small letters, of an archive its member's, without the ending of what packed it.
        size: Bytes as they lie on the disk.
        packing: `gzip`, `zstd`, `bz2`, `xz`, `zip` or None.

    Raises:
        DataError: There is no such file, or it is a folder.
    """

    def __init__(
        self, place: str | Path | IO[bytes], *, member: str | None = None, max_expansion: int = MAX_EXPANSION
    ) -> None:
        self._member = member
        self._max_expansion = max_expansion
        self._copy: IO[bytes] | None = None
        if isinstance(place, str | Path):
            self.path: Path | None = Path(place)
            self.file = str(place)
            name = self.path.name
            if not self.path.exists():
                raise DataError("there is no such file", hint="Check the path.", file=self.file)
            if self.path.is_dir():
                raise DataError("this is a folder, not a file", hint="Name a file in it.", file=self.file)
            if not self.path.is_file():  # a pipe, which gives its bytes once
                with self.path.open("rb") as pipe:
                    self._keep(pipe)
        else:
            self.path = None
            name = Path(str(getattr(place, "name", ""))).name
            self.file = str(getattr(place, "name", "standard input")).replace("<stdin>", "standard input")
            self._keep(place)
        with self._raw() as stream:
            head = stream.read(8)
            stream.seek(0, io.SEEK_END)
            self.size = stream.tell()
        self.packing = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
        stem, dot, ending = name.lower().rpartition(".")
        # Browsers and tools that unpack what they fetch leave the ending of the packed file.
        if dot + ending in PACKED and (self.packing is not None or ending != "zip"):
            name = stem
        packed = member is not None or ending == "zip"
        if head.startswith(_ZIP) and not packed and ending not in {"xlsx", "xlsm"}:
            with self._raw() as raw, _archive(raw, self.file) as archive:
                packed = "[Content_Types].xml" not in archive.namelist()
        if packed:
            self.packing = "zip"
            with self.open() as stream:
                name = Path(str(stream.name)).name
        self.name = name.lower()

    def _keep(self, stream: IO[bytes]) -> None:
        # One file for the life of the source: a table may be read twice, once to learn its form.
        self._copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the source is forgotten
        weakref.finalize(self, self._copy.close)
        shutil.copyfileobj(stream, self._copy)

    @contextmanager
    def _raw(self) -> Iterator[IO[bytes]]:
        if self._copy is not None:
            self._copy.seek(0)
            yield self._copy
        elif self.path is not None:
            with self.path.open("rb") as stream:
                yield stream

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Give the bytes, unpacked.

        Raises:
            DataError: The archive is encrypted, damaged, holds no such member or several files, or is a bomb.
        """
        with self._raw() as raw:
            if self.packing is None:
                yield raw
            elif self.packing == "zip":
                with _archive(raw, self.file) as archive:
                    info = _member(archive, self._member, file=self.file)
                    _check_member(info, self._max_expansion, file=self.file)
                    with archive.open(info) as stream:
                        yield stream
            else:
                yield io.BufferedReader(_Unpacked(raw, self.packing, self._max_expansion, self.file), 1 << 16)

    @contextmanager
    def jump(self) -> Iterator[IO[bytes]]:
        """Give the bytes, unpacked, as a stream that can jump: what is packed is copied out first."""
        with self.open() as raw:
            if self.packing is None:
                yield raw
                return
            with tempfile.SpooledTemporaryFile(max_size=16 << 20) as copy:
                shutil.copyfileobj(raw, copy)
                copy.seek(0)
                yield cast("IO[bytes]", copy)

    def check_members(self, stream: IO[bytes]) -> None:
        """Apply the guards against encryption and bombs to every member of a ZIP-based document such as XLSX.

        Raises:
            DataError: It is no ZIP archive, or a member is refused.
        """
        if not zipfile.is_zipfile(stream):
            hint = "Save it again as .xlsx."
            raise DataError("this is not an XLSX workbook, or it is damaged", file=self.file, hint=hint)
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                _check_member(info, self._max_expansion, file=self.file)
        stream.seek(0)

    def bomb(self, what: str) -> DataError:
        """Return the error for data that unpack to more than texts do."""
        return _bomb(what, self._max_expansion, file=self.file)


class _Unpacked(io.RawIOBase):
    """Bytes unpacked as they are read, as long as they do not grow past all measure."""

    def __init__(self, raw: IO[bytes], packing: str, max_expansion: int, file: str) -> None:
        self._raw = raw
        self._file = file
        self._max_expansion = max_expansion
        self._given = 0
        self._stream: IO[bytes]
        self._faults: tuple[type[Exception], ...] = (lzma.LZMAError,)
        if packing == "zstd":
            module = zstd()
            self._faults = (module.ZstdError,)
            self._stream = cast("IO[bytes]", module.ZstdFile(raw))
        elif packing == "gzip":
            self._stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
        elif packing == "bz2":
            self._stream = cast("IO[bytes]", bz2.BZ2File(raw))
        else:
            self._stream = cast("IO[bytes]", lzma.LZMAFile(raw))  # noqa: SIM115 - it lives as long as this does

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._stream.read(len(buffer))
        except self._faults as error:
            raise OSError(str(error)) from error
        buffer[: len(data)] = data
        self._given += len(data)
        if self._given > _SMALL and self._given > self._max_expansion * max(self._raw.tell(), 1):
            raise _bomb(f"the file unpacks to over {self._given:,} bytes", self._max_expansion, file=self._file)
        return len(data)


def zstd() -> Any:  # noqa: ANN401 - a module
    """Return the module that packs and unpacks zstd: Python's own from 3.14 on, and what it was made of before."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def open_bytes(path: Path, *, member: str | None = None) -> AbstractContextManager[IO[bytes]]:
    """Open a file for reading bytes, unpacked; see `Source.open`."""
    return Source(path, member=member).open()


@contextmanager
def _archive(raw: IO[bytes], file: str) -> Iterator[zipfile.ZipFile]:
    if not zipfile.is_zipfile(raw):
        raise DataError("this is not a ZIP archive, or it is damaged", hint="Fetch the file again.", file=file)
    raw.seek(0)
    with zipfile.ZipFile(raw) as archive:
        yield archive


def _member(archive: zipfile.ZipFile, name: str | None, *, file: str) -> zipfile.ZipInfo:
    # Archives made on a Mac carry a resource fork of each file beside it.
    files = {
        info.filename: info
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith("__MACOSX/")
    }
    if name is None and len(files) == 1:
        return next(iter(files.values()))
    if name is None:
        raise DataError(
            f"the archive holds {len(files)} files, and none was chosen",
            hint=f"Set the reader's option member to one of: {', '.join(sorted(files)[:20])}." if files else None,
            file=file,
            key="member",
        )
    if name not in files:
        hint = suggest(name, list(files)[:1000])
        raise DataError(f"the archive has no member {name!r}", hint=hint, file=file, key="member")
    return files[name]


def _check_member(info: zipfile.ZipInfo, max_expansion: int, *, file: str) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise DataError(
            f"the archive's member {info.filename!r} is encrypted",
            hint="Unpack it yourself and name the file.",
            file=file,
        )
    if info.file_size > _SMALL and info.file_size > max_expansion * max(info.compress_size, 1):
        raise _bomb(
            f"the archive's member {info.filename!r} unpacks from {info.compress_size:,} to {info.file_size:,} bytes",
            max_expansion,
            file=file,
        )


def _bomb(what: str, max_expansion: int, *, file: str) -> DataError:
    return DataError(
        f"{what}; texts do not grow over {max_expansion:,} times, so it is taken for a bomb",
        hint="If you trust it, raise the limit with --max-expansion.",
        file=file,
        key="max_expansion",
    )


def text_blocks(stream: IO[bytes], encoding: Encoding, *, file: str, limit: int) -> Iterator[tuple[list[str], bool]]:
    r"""Yield blocks of whole lines (line ends kept; `\n`, `\r\n` and `\r` end a line) and whether each is clean.

    Clean lines hold no NUL characters, and no undecodable bytes as surrogates U+DC80..U+DCFF. A line of more than
    `limit` characters comes as a `LongLine`, its start.

    Raises:
        DataError: The bytes can't be decoded even with surrogates for the faulty ones.
    """
    rest, long, carried = "", "", True
    for text, clean in decoded_chunks(stream, encoding, file=file):
        lines = list(io.StringIO(rest + text, newline=""))
        # The last line may go on in the next chunk, and a last "\r" may be half of a "\r\n".
        rest = lines.pop() if lines else ""
        if long and lines:
            lines[0], long = LongLine(long), ""
        if len(rest) > limit:
            long, rest = long or rest[:1000], rest[-1:] if rest.endswith("\r") else "…"
        if limit < len(text) or any(len(line) > limit for line in lines):
            lines = [LongLine(line[:1000]) if len(line) > limit else line for line in lines]
        yield lines, clean and carried
        # The rest began in this piece only if a line ended in it.
        carried = clean and (carried or bool(lines))
    if rest or long:
        yield [LongLine(long) if long else rest], carried


def lines_of(path: Path, options: TableOptions, *, limit: int = MAX_RECORD) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a file without their ends, blank ones left out, and whether each is clean.

    Raises:
        DataError: As `Source` and `text_blocks`.
    """
    source = Source(path, member=options.member, max_expansion=options.max_expansion)
    encoding = find_encoding(source, options.encoding)
    with source.open() as stream:
        for lines, clean in text_blocks(stream, encoding, file=source.file, limit=limit):
            for line in lines:
                if line and not line.isspace():
                    yield line if isinstance(line, LongLine) else line.rstrip("\r\n"), clean


def too_long(row: int, *, file: str, limit: int = MAX_RECORD) -> DataError:
    """Return the error for a record that no text is as long as."""
    return DataError(
        f"the record is longer than {limit:,} characters",
        hint="Check that this is the right file and format; divide such texts, or raise the limit with --max-record.",
        file=file,
        row=row,
        key="max_record",
    )
