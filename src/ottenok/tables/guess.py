"""Which reader a user's own file wants, by its name and, where a name says too little, its first byte."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ottenok.core.errors import DataError
from ottenok.tables.streams import open_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Option", "guess_reader", "is_file_name"]

Option = str | int | bool | list[str]

_CSV: dict[str, Option] = {"delimiter": "auto", "encoding": "auto"}
_TEXT: dict[str, Option] = {"encoding": "auto"}
_KINDS: dict[str, tuple[str, dict[str, Option]]] = {
    ".csv": ("csv", _CSV),
    ".tsv": ("csv", _CSV),
    ".tab": ("csv", _CSV),
    ".txt": ("csv", _CSV),
    ".jsonl": ("jsonl", _TEXT),
    ".ndjson": ("jsonl", _TEXT),
    ".json": ("json", _TEXT),
    ".parquet": ("parquet", {"class_names": True}),
    ".pq": ("parquet", {"class_names": True}),
    ".xlsx": ("xlsx", {}),
    ".xlsm": ("xlsx", {}),
}
_ADVICE = {
    ".xls": "Open it in a spreadsheet program and save it as .xlsx or .csv.",
    ".ods": "Open it in a spreadsheet program and save it as .xlsx or .csv.",
    ".gz": "Unpack it first (gunzip).",
    ".bz2": "Unpack it first (bunzip2).",
    ".7z": "Unpack it first.",
    ".rar": "Unpack it first.",
}
_MARKS = frozenset(b"\xef\xbb\xbf \t\r\n")


def is_file_name(path: Path) -> bool:
    """Whether a name ends as the files do that are known here, so that it is no hub name."""
    suffix = path.suffix.lower()
    return suffix in _KINDS or suffix in _ADVICE or suffix == ".zip"


def guess_reader(path: Path, *, member: Option | None = None) -> tuple[str, Mapping[str, Option]]:
    """Return the kind of reader for a file, by the end of its name, and the options that find out the rest.

    Of a ZIP archive, the member decides. A `.json` file that does not begin with `[` is read as JSON lines.

    Raises:
        DataError: The name tells nothing, or there are several files in the archive.
    """
    member = str(member) if member else None
    name = (member or _only_member(path)) if path.suffix.lower() == ".zip" else path.name
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in _KINDS:
        known = f"Known kinds: {', '.join(_KINDS)}, .zip of one of them."
        raise DataError(
            f"the kind of file {suffix or name!r} is not known", hint=_ADVICE.get(suffix, known), file=str(path)
        )
    kind, options = _KINDS[suffix]
    if kind == "json" and _first_byte(path, member) != b"[":
        kind = "jsonl"
    return kind, options | ({"member": member} if member else {})


def _only_member(path: Path) -> str:
    try:
        with open_bytes(path) as stream:
            return str(stream.name)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"the archive can't be read: {error}", hint="Fetch it again.", file=str(path)) from error


def _first_byte(path: Path, member: str | None) -> bytes:
    with open_bytes(path, member=member) as stream:
        return bytes(byte for byte in stream.read(1024) if byte not in _MARKS)[:1]
