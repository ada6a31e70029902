"""The file of records that could not be used, a JSON object per line; it is made only if there is one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from ottenok.tables.rows import Rejected

__all__ = ["RejectsFile"]


class RejectsFile:
    """Writes rejects as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def write(self, *, source: str, file: str, rejected: Rejected) -> None:
        """Write one reject: source, file, row, reason and the start of its content."""
        if self._stream is None:
            self._stream = self._path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        entry = {
            "source": source,
            "file": file,
            "row": rejected.row,
            "reason": rejected.reason,
            "content": rejected.content,
        }
        self._stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
