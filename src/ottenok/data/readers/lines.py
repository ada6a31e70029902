"""Sets kept as lines of text: label and text in a line, labels in a file of their own, sentences in CoNLL-U."""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.core.table import Table
from ottenok.data.readers.table import label_reader
from ottenok.tables.labels import Fault
from ottenok.tables.options import TableOptions
from ottenok.tables.records import Record, Rejected, Shaper, excerpt
from ottenok.tables.streams import LongLine, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = [
    "AlignedOptions",
    "LabelFirstOptions",
    "LineOptions",
    "read_aligned",
    "read_conllu",
    "read_label_first",
    "read_smp",
]

# Blanks on either side of a Han character, as a segmenter leaves them.
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3000-\u303f\uff00-\uffef"
_HAN_BLANK = re.compile(f"(?<=[{_HAN}])[ \t]+|[ \t]+(?=[{_HAN}])")
# Blanks that joining words puts where Russian has none.
_LOOSE = re.compile(r" (?=[,.!?:;…)\]»%])|(?<=[(\[«]) ")


class LineOptions(Table):
    """Options of the readers of lines.

    Attributes:
        encoding: As Python names it, or `auto`.
        member: Member of a ZIP archive; without it, an archive's only file.
    """

    encoding: str = "utf-8-sig"
    member: str | None = None

    def table(self) -> TableOptions:
        """The same as options of a table."""
        return TableOptions(encoding=self.encoding, member=self.member)


class LabelFirstOptions(LineOptions):
    """Options of the reader `label-first`, besides `encoding` and `member`.

    Attributes:
        separator: What stands between the fields; the text may hold it too.
        skip: Fields before the label, such as an id.
        header: Whether the first line names the fields.
        comment: How lines begin that are no records; "": there are none.
        remove: Strings to take out of the text, such as the brackets of a mark-up.
        join_han: Whether blanks beside Chinese characters go, for texts that were cut into words.
    """

    separator: str = ","
    skip: int = 0
    header: bool = False
    comment: str = ""
    remove: tuple[str, ...] = ()
    join_han: bool = False


def read_label_first(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read lines `label,text` without quoting, perhaps with fields before the label (reader kind `label-first`)."""
    options = parse(LabelFirstOptions, spec.options, file=str(path))

    def divide(line: str) -> list[str]:
        fields = line.split(options.separator, options.skip + 1)[options.skip :]
        if len(fields) < 2:
            return []
        text = fields[1]
        for mark in options.remove:
            text = text.replace(mark, "")
        return [_HAN_BLANK.sub("", text) if options.join_han else text, fields[0]]

    shape = Shaper(label_reader(spec, label))
    lines = islice(lines_of(path, options.table()), options.header, None)
    rows = (one for one in lines if not options.comment or not one[0].startswith(options.comment))
    yield from _shaped(rows, divide, shape, shown=not options.skip)


def read_smp(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read lines `id,content,label`, divided at the first and the last comma (reader kind `smp-text`)."""

    def divide(line: str) -> list[str]:
        text, comma, found = line.partition(",")[2].rpartition(",")
        return [text, found] if comma else []

    options = parse(LineOptions, spec.options, file=str(path))
    yield from _shaped(lines_of(path, options.table()), divide, Shaper(label_reader(spec, label)))


def _shaped(
    lines: Iterator[tuple[str, bool]], divide: Callable[[str], list[str]], shape: Shaper, *, shown: bool = True
) -> Iterator[Record | Rejected]:
    for row, (line, clean) in enumerate(lines, start=1):
        fields = [] if isinstance(line, LongLine) else divide(line)
        if fields:
            yield shape(row, fields, clean=clean)
        else:  # of a line that begins with an id nothing is shown
            yield Rejected(row=row, reason="too few fields", content=excerpt(line) if shown else "")


class AlignedOptions(Table):
    """Options of the reader `aligned-lines`.

    Attributes:
        labels: Name of the file beside the texts that has the label of each line on the same line.
    """

    labels: str


def read_aligned(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read a text a line, whose labels are the lines of another file of the folder (reader kind `aligned-lines`).

    Raises:
        DataError: The files have different numbers of lines, or there is no file of labels.
    """
    beside = path.parent / parse(AlignedOptions, spec.options, file=str(path)).labels
    if not beside.is_file():
        raise DataError(f"the file of its labels, {beside.name}, is not beside it", file=str(path))
    labels = _lines(beside)
    row = 0
    for row, text in enumerate(_lines(path), start=1):
        found = next(labels, None)
        if found is None:
            raise DataError(f"it has more lines than the file of its labels, {beside.name}", file=str(path), row=row)
        yield _record(row, text, label or found.strip())
    if next(labels, None) is not None:
        raise DataError(f"it has fewer lines than the file of its labels, {beside.name}", file=str(path), row=row)


def read_conllu(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:  # noqa: ARG001 - as every reader
    """Read the sentences of a CoNLL-U file: their `# text`, else their words joined (reader kind `conllu`)."""
    row = 0
    text: str | None = None
    words: list[str] = []
    covered = 0  # the last word that a range such as 3-4 stands for
    for line in chain(_lines(path), [""]):
        if line.startswith("#"):
            name, _, value = line[1:].partition("=")
            text = value.strip() if name.strip() == "text" else text
        elif line:
            number, _, rest = line.partition("\t")
            first, _, last = number.partition("-")
            if first.isdigit() and (last or int(first) > covered):
                words.append(rest.partition("\t")[0])
                covered = int(last) if last else covered
        elif words:
            row += 1
            yield _record(row, text or _LOOSE.sub("", " ".join(words)), label)
            text, words, covered = None, [], 0


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without their ends, a byte order mark left out, undecodable bytes as surrogates."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        for line in stream:
            yield line.rstrip("\n")


def _record(row: int, text: str, label: str | None) -> Record | Rejected:
    def labels(_cells: object) -> tuple[str, ...]:
        if label == "":
            raise Fault("missing label")
        return () if label is None else (label,)

    return Shaper(labels)(row, [text], clean=False)
