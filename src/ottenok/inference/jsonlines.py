"""JSONL files: rows keep their bytes, and the answers are added before each closing brace."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import InputError
from ottenok.inference.records import detect_encoding, open_lines
from ottenok.inference.table import BLOCK_CHARACTERS, Block, Reject, excerpt, fault_of, refuse_clash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.inference.answers import AnswerColumns
    from ottenok.inference.options import FileOptions

__all__ = ["JsonLinesFile"]


class JsonLinesFile:
    """A file with one JSON object a line; blank lines are skipped.

    Args:
        path: The file.
        text: The key of the text.
        columns: The answers' keys.
        options: Of these, only the encoding counts here.

    Raises:
        InputError: The file can't be read.
    """

    def __init__(self, path: Path, text: str, columns: AnswerColumns, options: FileOptions) -> None:
        self._path = path
        self._text = text
        self._columns = columns
        self._encoding = options.encoding or detect_encoding(path)

    def blocks(self, rows: int) -> Iterator[Block]:
        """Read the file in blocks of at most so many rows."""
        texts: list[str] = []
        records: list[str] = []
        rejects: list[Reject] = []
        size = row = seen = 0
        with open_lines(self._path, self._encoding) as lines:
            for line in lines:
                raw = line.strip()
                if not raw:
                    continue
                row += 1
                found = self._read(row, raw)
                if isinstance(found, Reject):
                    rejects.append(found)
                else:
                    texts.append(found)
                    records.append(raw)
                    seen += 1
                size += len(raw)
                if len(texts) + len(rejects) >= rows or size >= BLOCK_CHARACTERS:
                    yield Block(rows=len(texts) + len(rejects), texts=texts, records=records, rejects=rejects)
                    texts, records, rejects, size = [], [], [], 0
        if row and not seen:
            raise InputError(f"no row has a text under {self._text!r}", file=str(self._path), key="--text")
        if texts or rejects:
            yield Block(rows=len(texts) + len(rejects), texts=texts, records=records, rejects=rejects)

    def _read(self, row: int, raw: str) -> str | Reject:
        try:
            record = json.loads(raw)
        except (ValueError, RecursionError):
            return Reject(row=row, reason="not JSON", content=excerpt(raw))
        if not isinstance(record, dict):
            return Reject(row=row, reason="no JSON object", content=excerpt(raw))
        refuse_clash(list(record), self._columns, file=str(self._path))
        if self._text not in record:
            return Reject(row=row, reason=f"no key {self._text!r}", content=excerpt(raw))
        text = record[self._text]
        reason = fault_of(text, encoding=self._encoding)
        return Reject(row=row, reason=reason, content=excerpt(text)) if reason else str(text)

    def write_part(self, part: Path, block: Block, answers: Sequence[Sequence[Any]]) -> None:
        """Write the rows of a block, each with its answer."""
        with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            for raw, answer in zip(block.records, answers, strict=True):
                added = json.dumps(dict(zip(self._columns.names, answer, strict=True)), ensure_ascii=False)
                stream.write(f"{raw[:-1].rstrip()}, {added[1:]}\n")

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the parts, one after the other."""
        with out.open("wb") as stream:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, stream)
