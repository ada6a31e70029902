"""Sets kept as lines of text: label and text in a line, labels in a file of their own, sentences in CoNLL-U."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.core.table import Table
from ottenok.tables.labels import Fault
from ottenok.tables.records import Record, Rejected, Shaper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["AlignedOptions", "LabelledLineOptions", "read_aligned", "read_conllu", "read_labelled"]

# Blanks on either side of a Han character, as a segmenter leaves them.
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3000-\u303f\uff00-\uffef"
_HAN_BLANK = re.compile(f"(?<=[{_HAN}])[ \t]+|[ \t]+(?=[{_HAN}])")
# Blanks that joining words puts where Russian has none.
_LOOSE = re.compile(r" (?=[,.!?:;…)\]»%])|(?<=[(\[«]) ")


class LabelledLineOptions(Table):
    """Options of the reader `labelled-lines`.

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


def read_labelled(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read lines `label,text`, perhaps with fields before the label (reader kind `labelled-lines`)."""
    options = parse(LabelledLineOptions, spec.options, file=str(path))
    lines = (line for line in _lines(path) if line and not line.isspace())
    if options.header:
        next(lines, None)
    row = 0
    for line in lines:
        if options.comment and line.startswith(options.comment):
            continue
        row += 1
        fields = line.split(options.separator, options.skip + 1)
        if len(fields) < options.skip + 2:
            yield Rejected(row=row, reason="too few fields", content="")  # what is there may be an id
            continue
        text = fields[-1]
        for mark in options.remove:
            text = text.replace(mark, "")
        if options.join_han:
            text = _HAN_BLANK.sub("", text)
        yield _record(row, text, label or fields[-2].strip())


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
    for line in (*_lines(path), ""):
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
