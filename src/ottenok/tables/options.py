"""What may be said of a table's form; what is not said is found out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

__all__ = ["MAX_EXPANSION", "MAX_RECORD", "Format", "TableOptions"]

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "xlsx"]

# Characters of one record. No text of the field comes near; a binary file or a bomb passes it soon.
MAX_RECORD = 8 << 20
# Bytes that a packed byte may unpack to. Texts shrink five to twenty times; what grows 200 times is no text.
MAX_EXPANSION = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    r"""How a table is read.

    Attributes:
        format: `csv`, `tsv`, `json`, `jsonl`, `parquet` or `xlsx`; None: by the file's name and first bytes.
        encoding: Of text formats, as Python names it; None or `auto`: found out.
        delimiter: Of CSV, one character; None or `auto`: found out (`,`, `;`, tab or `|`).
        quote: Of CSV, one character, or "" where quotes have no meaning; None: found out.
        escape: Whether `\"` within a quoted field of CSV is a quote, as Spark writes it; None: found out.
        header: Whether the first record holds the names of the columns; without, columns are named by their positions
            from 0. JSON and Parquet name their columns themselves.
        sheet: Of XLSX, a sheet's name, or its number from 1; None: the first one that has the wanted columns.
        skip_rows: Lines (of XLSX, rows) before the header that are passed over.
        member: File of a ZIP archive; None: its only one.
        class_names: Of Parquet, whether numbers that Hugging Face `datasets` gave to labels become their names.
        max_record: Characters that one record may have; a longer one is rejected.
        max_expansion: Times that a packed file may grow when it is unpacked.
    """

    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: bool | None = None
    header: bool = True
    sheet: str | int | None = None
    skip_rows: int = 0
    member: str | None = None
    class_names: bool = True
    max_record: int = MAX_RECORD
    max_expansion: int = MAX_EXPANSION

    def said(self) -> dict[str, Any]:
        """Return what differs from the defaults, as recipes hold a reader's options."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}
