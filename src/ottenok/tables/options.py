"""Options that the readers of text files share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.table import Table
from ottenok.tables.encoding import detect_encoding
from ottenok.tables.streams import open_bytes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LineOptions"]


class LineOptions(Table):
    """Options of every reader of text.

    Attributes:
        encoding: As Python names it, or `auto`.
        member: Member of a ZIP archive; without it, an archive's only file.
    """

    encoding: str = "utf-8-sig"
    member: str | None = None

    def resolve(self, path: Path) -> str:
        """Return the encoding, found out if it is `auto`."""
        if self.encoding != "auto":
            return self.encoding
        with open_bytes(path, member=self.member) as stream:
            return detect_encoding(stream, file=str(path))
