"""How a file is read and its output written."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FileOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    r"""How a file is read and its output written.

    Attributes:
        delimiter: Of CSV and TSV, one character; None: found out (`,`, `;`, tab or `|`).
        quote: Of CSV and TSV, one character, or "" where quotes have no meaning; None: found out.
        header: Whether the first record holds the names of the columns.
        encoding: Of text files; None: UTF-8, or what the byte order mark says.
        prefix: Of the names of the answers' columns.
        resume: Go on where an interrupted run of the same file and model stopped; False begins again.
        overwrite: Replace an output file that exists.
    """

    delimiter: str | None = None
    quote: str | None = None
    header: bool = True
    encoding: str | None = None
    prefix: str = "predicted_"
    resume: bool = True
    overwrite: bool = False
