"""Chinese NLPCC evaluations: Weibo emotions in XML, product reviews in a format that only looks like XML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.data.readers.lines import LineOptions
from ottenok.data.readers.russian_xml import XmlOptions
from ottenok.data.readers.table import label_reader
from ottenok.data.readers.xml_stream import elements, text_of
from ottenok.tables.options import MAX_RECORD
from ottenok.tables.records import Record, Rejected, Shaper, excerpt
from ottenok.tables.streams import lines_of, open_bytes, too_long

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["WeiboOptions", "read_reviews", "read_weibo"]

_OPEN = re.compile(r"^\s*<review\b([^>]*)>")
_CLOSE = re.compile(r"</review>\s*$")
_LABEL = re.compile(r"""\blabel\s*=\s*["']?([^"'\s>]*)""")


class WeiboOptions(XmlOptions):
    """Options of the reader `nlpcc-weibo`, besides `member`.

    Attributes:
        level: A record is a whole `weibo` with its first emotion, or each `sentence` with its own.
    """

    level: Literal["weibo", "sentence"] = "weibo"


def read_weibo(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read NLPCC-2014 emotions (reader kind `nlpcc-weibo`). A sentence without opinion has the label `none`."""
    options = parse(WeiboOptions, spec.options, file=str(path))
    shape = Shaper(label_reader(spec, label))
    with open_bytes(path, member=options.member) as stream:
        for row, element in elements(stream, options.level, file=str(path)):
            if options.level == "weibo":
                text = "".join(sentence.text or "" for sentence in element.iterfind("sentence"))
                emotion = element.get("emotion-type1")
            else:
                text = text_of(element)
                emotion = element.get("emotion-1-type") if element.get("opinionated") == "Y" else "none"
            yield shape(row, [text, emotion], clean=True)


def read_reviews(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read `<review id="1" label="0">` blocks that are no XML: texts hold bare `<` and `&` (kind `nlpcc-reviews`).

    The label is the attribute, or the file's.
    """
    options = parse(LineOptions, spec.options, file=str(path)).table()
    shape = Shaper(label_reader(spec, label))
    blocks = _blocks(lines_of(path, options), file=str(path))
    for row, block in enumerate(blocks, start=1):
        text = "\n".join(block.lines).strip()
        if block.fault:
            yield Rejected(row=row, reason=block.fault, content=excerpt(text))
        else:
            yield shape(row, [text, block.label], clean=block.clean)


@dataclass(slots=True, kw_only=True)
class _Block:
    """One review as far as it is read; `fault` says why it can't be used."""

    label: str | None = None
    clean: bool = True
    fault: str | None = "unclosed review"
    lines: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, line: str, *, clean: bool) -> bool:
        """Add a line; True if it ends the review."""
        whole = _CLOSE.search(line)
        text = line[: whole.start()] if whole else line
        self.clean = self.clean and clean
        self.size += len(text)
        self.lines.append(text)
        if whole:
            self.fault = None
        return whole is not None


def _blocks(lines: Iterable[tuple[str, bool]], *, file: str) -> Iterator[_Block]:
    block: _Block | None = None
    row = 0
    for line, clean in lines:
        opening = _OPEN.match(line)
        if opening is not None:
            if block is not None:
                yield block
            row += 1
            label = _LABEL.search(opening[1])
            block = _Block(label=label[1] if label else None)
        if block is None:
            continue  # between reviews there is nothing but, at most, an outer element's tags
        if block.add(line[opening.end() :] if opening else line, clean=clean):
            yield block
            block = None
        elif block.size > MAX_RECORD:
            raise too_long(row, file=file)
    if block is not None:
        yield block
    if not row:
        raise DataError("the file holds no <review>", hint="Choose the reader of its format.", file=file)
