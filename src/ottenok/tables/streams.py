"""A file's bytes, or those of a ZIP archive's member, with guards against archives made to explode."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from ottenok.core.config import suggest
from ottenok.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["check_archive", "open_bytes", "seekable"]

# Texts shrink five to twenty times. A member that grows more than 200 times and by much is no text.
_MAX_RATIO = 200
_SMALL = 16 << 20
_ENCRYPTED = 0x1


@contextmanager
def open_bytes(path: Path, *, member: str | None = None) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes; of a ZIP archive, the member `member` or its only file.

    Raises:
        DataError: The archive is encrypted, holds no such member or several files, or is a ZIP bomb.
    """
    if member is None and path.suffix.lower() != ".zip":
        with path.open("rb") as stream:
            yield stream
        return
    with _archive(path) as archive:
        info = _member(archive, member, file=str(path))
        _check_member(info, file=str(path))
        with archive.open(info) as stream:
            yield stream


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    if not zipfile.is_zipfile(path):
        raise DataError("this is not a ZIP archive, or it is damaged", hint="Fetch the file again.", file=str(path))
    with zipfile.ZipFile(path) as archive:
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


def _check_member(info: zipfile.ZipInfo, *, file: str) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise DataError(
            f"the archive's member {info.filename!r} is encrypted",
            hint="Unpack it yourself and name the file.",
            file=file,
        )
    if info.file_size > _SMALL and info.file_size > _MAX_RATIO * max(info.compress_size, 1):
        raise DataError(
            f"the archive's member {info.filename!r} unpacks from {info.compress_size:,} to {info.file_size:,} bytes;"
            " no text does, so it is taken for a ZIP bomb",
            hint="If you trust it, unpack it yourself and name the file.",
            file=file,
        )


def check_archive(stream: IO[bytes], *, file: str) -> None:
    """Apply the guards against encryption and ZIP bombs to every member of a ZIP-based document such as XLSX.

    Raises:
        DataError: It is no ZIP archive, or a member is refused.
    """
    if not zipfile.is_zipfile(stream):
        raise DataError("this is not an XLSX workbook, or it is damaged", file=file, hint="Save it again as .xlsx.")
    stream.seek(0)
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            _check_member(info, file=file)
    stream.seek(0)


@contextmanager
def seekable(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a stream that can jump at no cost: a ZIP's member is copied out first."""
    if not isinstance(raw, zipfile.ZipExtFile):
        yield raw
        return
    with tempfile.SpooledTemporaryFile(max_size=16 << 20) as copy:
        shutil.copyfileobj(raw, copy)
        copy.seek(0)
        yield copy
