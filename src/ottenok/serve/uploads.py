"""Tables that the page is given: read by the same readers as everywhere, and handed back as rows."""

from __future__ import annotations

from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from ottenok.core.errors import OttenokError
from ottenok.serve.refused import Refused
from ottenok.tables.labels import Fault, as_text
from ottenok.tables.options import TableOptions
from ottenok.tables.table import open_table

__all__ = ["MAX_ROWS", "UploadedTable", "read_upload"]

# Rows that are handed to a browser; whole files are for `ottenok classify`.
MAX_ROWS = 100_000
UploadedTable = dict[str, Any]


def read_upload(name: str, content: bytes) -> UploadedTable:
    """Read an uploaded table.

    Args:
        name: The file's name: its ending may tell the format. A `.txt` file without other signs is a text a line.
        content: Its bytes, in any format and encoding that the commands read.

    Returns:
        `columns` (names), `rows` (lists of texts or None, at most `MAX_ROWS`), `text_column` (place of the column whose
        cells are longest, or None), `rejected` (rows that could not be read), `cut` (whether rows were left out),
        `format`, `encoding` and `notes` (what was found out, in sentences).

    Raises:
        Refused: It can't be read, or has no rows.
    """
    stream = BytesIO(content)
    stream.name = PurePosixPath(name.replace("\\", "/")).name[:200] or "table"
    lines = stream.name.lower().endswith(".txt") and content.lstrip()[:1] not in {b"{", b"["}
    # A separator that no text has: each line is one cell.
    options = TableOptions(format="csv", delimiter="\x1f", quote="", header=False) if lines else TableOptions()
    rows: list[list[str | None]] = []
    rejected, cut = 0, False
    try:
        table = open_table(stream, options)
        for block in table.blocks():
            rejected += len(block.rejects)
            rows += ([_cell(cell) for cell in row] for row in zip(*block.cells, strict=True))
            if len(rows) > MAX_ROWS:
                cut = True
                break
    except OttenokError as error:
        raise Refused(str(error)) from error
    rows = rows[:MAX_ROWS]
    if not rows:
        raise Refused(f"{stream.name} has no rows that can be read.")
    lengths = [sum(len(cell) for cell in column if cell) for column in zip(*rows[:1000], strict=True)]
    return {
        "format": table.format,
        "encoding": table.encoding,
        "columns": ["text"] if lines else [str(column) for column in table.columns],
        "rows": rows,
        "text_column": lengths.index(max(lengths)) if any(lengths) else None,
        "rejected": rejected,
        "cut": cut,
        "notes": list(table.notes),
    }


def _cell(value: object) -> str | None:
    """Return a cell as a text that JSON can hold; None: it is missing, or no text."""
    if value is None:
        return None
    try:
        found = value if isinstance(value, str) else as_text(value, "text")
    except Fault:
        return str(value)
    return found.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
