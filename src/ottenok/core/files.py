"""Files that are either whole or absent, and their checksums."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["atomic_folder", "atomic_path", "atomic_write_text", "sha256_file"]

_CHUNK = 1 << 20


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` on success, delete it on any failure.

    The rename is atomic on one file system, so a reader never sees half a file and Ctrl-C leaves the old one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers that choose a format by it must see the target's.
    temporary = target.with_name(f".{target.stem}.{uuid4().hex[:8]}.part{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target`; put it in the place of `target` on success, delete it on any failure.

    What was at `target` stays until the new folder is whole. A folder can't be replaced in one step, so between two
    renames there is a moment without either; the old one then still lies beside it, with the suffix `.old`.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{target.name}.{uuid4().hex[:8]}"
    temporary, old = target.with_name(f"{stem}.part"), target.with_name(f"{stem}.old")
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            target.replace(old)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not target.exists():
            old.replace(target)
        shutil.rmtree(old, ignore_errors=True)


def atomic_write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 with LF line ends, atomically and flushed to the disk."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def sha256_file(path: Path) -> str:
    """Return the lower-case hex sha256 of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
