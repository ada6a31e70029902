"""Files that are either whole or absent, locks between processes, and checksums.

What is being written has a name of its process beside the target. Leftovers of processes that are no more are swept
when the same target is written again; nothing that ottenok did not write is ever removed.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import platform
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING
from uuid import uuid4
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LockedError", "atomic_folder", "atomic_path", "atomic_write_text", "flush", "locked", "sha256_file"]

_CHUNK = 1 << 20
# No room left, on the disk, in a quota, or under a limit on the size of files.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Machine, process, and a number of its own; the machine, because folders are shared and process numbers are not.
_TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.(?:part|old)(?:\.[^.]*)?$")


class LockedError(Exception):
    """Another process holds the lock.

    Args:
        path: The lock's file.
        pid: Number of the process, if the file says so.
    """

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is locked by {'another process' if pid is None else f'process {pid}'}")
        self.pid = pid


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` on success, delete it on any failure.

    The rename is atomic on one file system, and what was written is on the disk before it: a reader never sees half a
    file, and Ctrl-C or a power cut leaves the old one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    # The suffix stays last: writers that choose a format by it must see the target's.
    temporary = target.with_name(f"{_stem(target)}.part{target.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(target)
        if sys.platform != "win32":
            # The new name too must outlive a power cut; not every file system lets a folder be flushed.
            with suppress(OSError):
                descriptor = os.open(target.parent, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
    except OSError as error:
        # A full disk is noticed in a write, which does not know its file.
        if error.errno in _FULL and not error.filename:
            error.filename = str(target)
        raise
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
    _sweep(target)
    stem = _stem(target)
    temporary, old = target.with_name(f"{stem}.part"), target.with_name(f"{stem}.old")
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            target.replace(old)
        temporary.replace(target)
    except OSError as error:
        if error.errno in _FULL and not error.filename:
            error.filename = str(target)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not target.exists():
            old.replace(target)
        shutil.rmtree(old, ignore_errors=True)


def _machine() -> str:
    return f"{crc32(platform.node().encode()):08x}"


def _stem(target: Path) -> str:
    return f".{_short(target.name)}.{_machine()}-{os.getpid()}-{uuid4().hex[:8]}"


def _short(name: str) -> str:
    """Return a name to which 60 bytes can be added: file systems take 255."""
    raw = os.fsencode(name)
    return name if len(raw) <= 190 else f"{crc32(raw):08x}"


def _sweep(target: Path) -> None:
    """Remove what dead processes of this machine left of writing `target`, and put back a folder that they moved."""
    name = f".{_short(target.name)}"
    for leftover in target.parent.glob(f"{glob.escape(name)}.*"):
        match = _TEMPORARY.fullmatch(leftover.name.removeprefix(name))
        if match is None or match[1] != _machine() or sys.platform == "win32":  # os.kill would end the process there
            continue
        try:
            os.kill(int(match[2]), 0)
        except ProcessLookupError:
            pass
        except PermissionError:
            continue  # alive, and another user's
        else:
            continue
        with suppress(OSError):
            if leftover.suffix == ".old" and not target.exists():
                leftover.replace(target)
            elif leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock on `file`, which is made and holds the number of this process; the system frees it however it ends.

    Raises:
        LockedError: Another process holds it.
    """
    try:
        stream = _opened(file)
    except KeyboardInterrupt:
        # It may be there already, and nobody's.
        with suppress(OSError, LockedError):
            _opened(file, make=False).close()
            file.unlink()
        raise
    try:
        stream.seek(0)
        stream.truncate()
        stream.write(str(os.getpid()).encode())
        stream.flush()
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        stream.close()


def _opened(file: Path, *, make: bool = True) -> IO[bytes]:
    """Open a file and lock it.

    Raises:
        FileNotFoundError: It is not there, and is not to be made.
        LockedError: Another process holds it.
    """
    while True:
        if make:
            file.parent.mkdir(parents=True, exist_ok=True)
        try:
            stream = file.open("a+b" if make else "r+b")
        except FileNotFoundError:  # its folder went away with the run that held it
            if make:
                continue
            raise
        held = False
        try:
            if sys.platform == "win32":
                import msvcrt

                stream.seek(1 << 30)  # the lock of a region there forbids reading it
                msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed the file between the opening and the lock.
            with suppress(FileNotFoundError):
                held = os.path.samestat(os.fstat(stream.fileno()), file.stat())
            if held:
                return stream
        except OSError as error:
            stream.seek(0)
            told = stream.read(20)
            raise LockedError(file, int(told) if told.isdigit() else None) from error
        finally:
            if not held:
                stream.close()


def flush(stream: IO[bytes] | IO[str]) -> None:
    """Write what a stream holds back through to the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def atomic_write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8 with LF line ends, atomically and flushed to the disk."""
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def sha256_file(path: Path) -> str:
    """Return the lower-case hex sha256 of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
