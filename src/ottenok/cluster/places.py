"""Where the tables of a job are: files, folders, globs and addresses of object stores, through pyarrow's file systems.

What pyarrow does not know (`local://`, `http://`, …) goes through fsspec. A file is named by its system's address and
its path, so that a worker on another machine can open it again.
"""

from __future__ import annotations

import fnmatch
import io
import re
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

from ottenok.core.errors import DataError, InputError
from ottenok.core.files import atomic_path
from ottenok.core.lazy import require
from ottenok.tables.table import is_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Folder", "Input", "find_inputs", "is_address", "open_folder", "shown"]

_ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]+://", re.IGNORECASE)
_KEYS = re.compile(r"://[^/@]*@")
_GLOB = re.compile(r"[*?\[]")
# Their writes appear when they are complete, and not before.
_WHOLE = {"s3", "gcs", "abfs"}
# Bytes of a file that are held in memory before it is written to a store.
_HELD = 64 << 20


def is_address(place: str) -> bool:
    """Whether this names a place by `scheme://`."""
    return _ADDRESS.match(place) is not None


def shown(place: str) -> str:
    """Return an address as it may be shown and written down: without the names and keys that may stand in it."""
    return _KEYS.sub("://", place)


@cache
def _system(address: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it.

    Raises:
        InputError: Nothing knows such addresses.
    """
    import pyarrow as pa
    from pyarrow import fs

    if not is_address(address):
        return fs.LocalFileSystem(), str(Path(address).absolute())
    try:
        system, path = fs.FileSystem.from_uri(address)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        try:
            other, path = require("fsspec.core", extra="ray").url_to_fs(address)
        except (ValueError, ImportError) as unknown:
            raise InputError(
                f"nothing here can open such an address: {unknown}",
                hint="Known are file, s3, gs, abfss and hdfs, and what fsspec has a package for.",
                file=shown(address),
            ) from error
        system = fs.PyFileSystem(fs.FSSpecHandler(other))
    return system, path.rstrip("/") or path


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A table to be read.

    Attributes:
        address: By which its file system is found.
        path: In that system.
        size: Bytes.
        changed: When it was last written, in nanoseconds; 0 where that is not known.
    """

    address: str
    path: str
    size: int
    changed: int

    @contextmanager
    def open(self) -> Iterator[Path | IO[bytes]]:
        """Give it as the reader of tables takes it: a path of this machine, or a stream with a name."""
        system, _ = _system(self.address)
        if system.type_name == "local":
            yield Path(self.path)
            return
        with system.open_input_stream(self.path, compression=None) as stream:
            yield cast("IO[bytes]", _Named(stream, self.path))


class _Named(io.RawIOBase):
    """A stream that says what it is called: a table's format is told by that."""

    def __init__(self, stream: Any, name: str) -> None:  # noqa: ANN401 - pyarrow has no types
        self._stream = stream
        self.name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the buffer is always this
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def find_inputs(place: str) -> list[Input]:
    """Return the tables that a file, a folder, a glob or an address names, by their paths.

    Of a folder all files are taken, in its folders too; but for those whose name, or whose folder's, begins with `_` or
    `.`, as other tools write them beside their data.

    Raises:
        InputError: There is nothing, or a file that can't be a table.
    """
    import pyarrow as pa
    from pyarrow import fs

    pattern = _GLOB.search(place.partition("?")[0] if is_address(place) else place)
    if pattern is not None and not is_address(place) and Path(place).exists():
        pattern = None
    # A query such as s3's ?endpoint_override= belongs to the system, not to the path.
    base, question, query = place.partition("?") if is_address(place) else (place, "", "")
    root = base[: pattern.start()].rpartition("/")[0] if pattern else base
    if pattern and not root and not is_address(place):
        root = "/" if base.startswith("/") else "."
    address = f"{root}{question}{query}"
    system, path = _system(address)
    try:
        facts = system.get_file_info(path)
        if facts.type == fs.FileType.Directory:
            found = system.get_file_info(fs.FileSelector(path, recursive=True))
        elif facts.type == fs.FileType.NotFound:
            found = []
        else:
            found = [facts]
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"this can't be looked into: {str(error)[:300]}", file=shown(place)) from error
    files = [one for one in found if one.type == fs.FileType.File]
    if pattern:
        # `**` may stand for several folders, `*` is within one.
        wanted = base[pattern.start() :] if not root else base[len(root) :].lstrip("/")
        files = [one for one in files if _matches(one.path[len(path) :].lstrip("/"), wanted)]
    elif found != [facts]:
        files = [
            one
            for one in files
            if not any(part.startswith(("_", ".")) for part in PurePosixPath(one.path[len(path) :]).parts)
        ]
        for one in files:
            if not is_file_name(Path(one.path)):
                raise InputError(
                    "this file of the folder is no table that is known",
                    hint="Name the tables with a glob, such as 'FOLDER/**/*.csv', or move it away.",
                    file=one.path,
                )
    if not files:
        raise InputError(
            "there is no such file, or the folder has no tables", hint="Check the address.", file=shown(place)
        )
    return [
        Input(address=address, path=one.path, size=one.size or 0, changed=one.mtime_ns or 0)
        for one in sorted(files, key=lambda one: one.path)
    ]


def _matches(path: str, pattern: str) -> bool:
    """Whether a path fits a glob, part by part; `**` fits any number of parts."""
    parts, wanted = path.split("/"), pattern.split("/")
    if not wanted[0:1] or wanted == [""]:
        return not path
    fits = {0}
    for part in parts:
        after: set[int] = set()
        for place in fits:
            while place < len(wanted) and wanted[place] == "**":
                after.add(place)
                place += 1  # noqa: PLW2901 - the pattern goes on behind it
            if place < len(wanted) and fnmatch.fnmatchcase(part, wanted[place]):
                after.add(place + 1)
        fits = after
    return any(all(rest == "**" for rest in wanted[place:]) for place in fits)


class Folder:
    """A folder that is written, here or in an object store; it pickles by its address.

    Args:
        address: Path or address.

    Attributes:
        address: As given, absolute.
        local: Its path on this machine; None elsewhere.
    """

    def __init__(self, address: str) -> None:
        self._system, self._path = _system(address)
        self.address = address if is_address(address) else self._path
        self.local = Path(self._path) if self._system.type_name == "local" else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Folder, (self.address,)

    def path(self, name: str) -> str:
        """Return the path of a file in it, as the file system takes it."""
        return f"{self._path}/{name}"

    def files(self, below: str = "") -> dict[str, int]:
        """Return the names of the files in it, or in a folder of it, and their bytes."""
        from pyarrow import fs

        place = f"{self._path}/{below}".rstrip("/")
        found = self._system.get_file_info(fs.FileSelector(place, allow_not_found=True))
        return {one.base_name: one.size for one in found if one.type == fs.FileType.File}

    def names(self) -> set[str]:
        """Return the names of what is in it, but for those that begin with a dot."""
        from pyarrow import fs

        found = self._system.get_file_info(fs.FileSelector(self._path, allow_not_found=True))
        return {one.base_name for one in found if not one.base_name.startswith(".")}

    @contextmanager
    def write(self, name: str) -> Iterator[Any]:
        """Give a stream for a file in it, which is there when it is whole, and replaces what had its name."""
        if self.local is not None:
            with atomic_path(self.local / name) as temporary, temporary.open("wb") as stream:
                yield stream
            return
        place = self.path(name)
        self._system.create_dir(place.rpartition("/")[0], recursive=True)
        head, _, last = place.rpartition("/")
        # A stream of a store is closed also by an error, and then half a file would be there for a whole one.
        with tempfile.SpooledTemporaryFile(max_size=_HELD) as held:
            yield held
            held.seek(0)
            whole = self._system.type_name in _WHOLE
            target = place if whole else f"{head}/.{last}.{uuid.uuid4().hex[:8]}.part"
            with self._system.open_output_stream(target, compression=None) as stream:
                shutil.copyfileobj(held, stream, 1 << 20)
            if not whole:
                self._system.move(target, place)

    def read(self, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Open a file in it for reading; it can jump.

        Raises:
            OSError: It is not there.
        """
        return self._system.open_input_file(self.path(name))

    def read_text(self, name: str) -> str | None:
        """Return a file's text; None if it is not there."""
        try:
            with self.read(name) as stream:
                return bytes(stream.read()).decode()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"this can't be read: {str(error)[:300]}", file=self.path(name)) from error

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole, or not at all."""
        with self.write(name) as stream:
            stream.write(text.encode())

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._system.delete_file(self.path(name))
        except FileNotFoundError:
            return

    def remove_folder(self, name: str) -> None:
        """Remove a folder in it with all that it holds, if it is there."""
        try:
            self._system.delete_dir(self.path(name))
        except FileNotFoundError:
            return


def open_folder(address: str) -> Folder:
    """Return a folder to be written.

    Raises:
        InputError: The address can't be opened, or names a file.
    """
    folder = Folder(address)
    if folder.local is not None and folder.local.exists() and not folder.local.is_dir():
        raise InputError("the output is a file, and a cluster writes a folder", hint="Name a folder.", file=address)
    return folder
