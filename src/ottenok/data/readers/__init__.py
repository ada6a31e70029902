"""Readers: one published or personal file in, `Record | Rejected` out, a row at a time.

A reader is named by `ReaderSpec.kind` and found in `READERS`; another one is added by adding a line there. Readers hold
at most a block of the file in memory. They read the text, the labels and the sub-source of a row and nothing else:
author and user columns never leave them, not even in what is kept of a rejected record.

A record that can't be used becomes a `Rejected` with its number and a short reason. A file that can't be read at all,
or that is not what its spec says, is one `DataError`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError, DataError
from ottenok.core.lazy import load_object
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["READERS", "Reader", "read"]

# (path, spec, file-level label or None) -> rows
Reader = Callable[..., Iterator[Record | Rejected]]

READERS: dict[str, str] = {
    "aligned-lines": "ottenok.data.readers.lines:read_aligned",
    "conllu": "ottenok.data.readers.lines:read_conllu",
    "csv": "ottenok.data.readers.table:read_table",
    "csv-pairs": "ottenok.data.readers.aspects:read_pairs",
    "dimabsa": "ottenok.data.readers.aspects:read_dimabsa",
    "hub": "ottenok.data.readers.table:read_table",
    "json": "ottenok.data.readers.table:read_table",
    "jsonl": "ottenok.data.readers.table:read_table",
    "label-first": "ottenok.data.readers.lines:read_label_first",
    "nlpcc-reviews": "ottenok.data.readers.nlpcc:read_reviews",
    "nlpcc-weibo": "ottenok.data.readers.nlpcc:read_weibo",
    "parquet": "ottenok.data.readers.table:read_table",
    "romip": "ottenok.data.readers.russian_xml:read_romip",
    "sentirueval-reviews": "ottenok.data.readers.russian_xml:read_reviews",
    "sentirueval-twitter": "ottenok.data.readers.russian_xml:read_twitter",
    "smp-text": "ottenok.data.readers.lines:read_smp",
    "table": "ottenok.data.readers.table:read_table",
    "tsv": "ottenok.data.readers.table:read_table",
    "xlsx": "ottenok.data.readers.table:read_table",
}

# What the standard library raises on bytes that are not what they claim to be, wherever in a file it meets them.
_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, UnicodeError)


def read(path: Path, spec: ReaderSpec, *, label: str | None = None) -> Iterator[Record | Rejected]:
    """Read one file.

    Args:
        path: The file.
        spec: The reader's kind, the columns and the reader's options.
        label: The label of every row, for files whose name is the label; no label column is then needed.

    Yields:
        The file's records in its order, each as a `Record` or a `Rejected` with its 1-based number. Blank lines are no
        records and are not counted, except in spreadsheets, where a row keeps its number on the sheet.

    Raises:
        ConfigError: There is no such reader, or it has no such option.
        DataError: The file can't be read, has no such column, or is not of this kind. Raised while iterating.
    """
    if spec.kind not in READERS:
        raise ConfigError(f"there is no reader {spec.kind!r}", hint=suggest(spec.kind, READERS), key="reader.kind")
    return _guarded(load_object(READERS[spec.kind], extra="data"), path, spec, label)


def _guarded(reader: Reader, path: Path, spec: ReaderSpec, label: str | None) -> Iterator[Record | Rejected]:
    if not path.exists():
        raise DataError("there is no such file", hint="Check the path.", file=str(path))
    if path.is_dir():
        raise DataError("this is a folder, not a file", hint="Name a file in it.", file=str(path))
    try:
        yield from reader(path, spec, label=label)
    except _UNREADABLE as error:
        raise DataError(
            f"the file can't be read as {spec.kind}: {error}",
            hint="It may be damaged, or of another kind; fetch it again, or choose another reader.",
            file=str(path),
        ) from error
