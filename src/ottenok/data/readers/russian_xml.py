"""Russian shared tasks in XML: SentiRuEval tweets and reviews, ROMIP news quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.config import parse
from ottenok.core.table import Table
from ottenok.data.readers.table import label_reader
from ottenok.data.readers.xml_stream import elements, text_of
from ottenok.tables.records import Shaper
from ottenok.tables.streams import open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec
    from ottenok.tables.records import Record, Rejected

__all__ = ["ReviewOptions", "XmlOptions", "read_reviews", "read_romip", "read_twitter"]


class XmlOptions(Table):
    """Options of every XML reader; the encoding is the one that the file declares.

    Attributes:
        member: Member of a ZIP archive; without it, an archive's only file.
    """

    member: str | None = None


class ReviewOptions(XmlOptions):
    """Options of the reader `sentirueval-reviews`, besides `member`.

    Attributes:
        category: The category whose sentiment is the label; `Whole` is the review's own.
    """

    category: str = "Whole"


def read_twitter(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read a phpMyAdmin dump of SentiRuEval tweets (reader kind `sentirueval-twitter`).

    The columns after `text` are companies; a value other than NULL is the sentiment towards that company. The labels of
    a tweet are its distinct values, in the order of the columns.
    """
    options = parse(XmlOptions, spec.options, file=str(path))
    shape = Shaper(label_reader(spec, label))
    with open_bytes(path, member=options.member) as stream:
        for row, table in elements(stream, "table", file=str(path)):
            text, values, companies = "", list[str](), False
            for column in table.iterfind("column"):
                if companies:
                    values.append(text_of(column))
                elif column.get("name") == "text":
                    text, companies = column.text or "", True
            labels = [value for value in values if value not in {"NULL", ""}]
            yield shape(row, [text, labels or None], clean=True)


def read_reviews(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read SentiRuEval-2015 restaurant and car reviews (reader kind `sentirueval-reviews`).

    The label is the sentiment of one category. `<meta>`, which names the author, is not looked at.
    """
    options = parse(ReviewOptions, spec.options, file=str(path))
    shape = Shaper(label_reader(spec, label))
    with open_bytes(path, member=options.member) as stream:
        for row, review in elements(stream, "review", file=str(path)):
            nodes = (one for one in review.iterfind("categories/category") if one.get("name") == options.category)
            sentiment = next((node.get("sentiment") for node in nodes), None)
            yield shape(row, [text_of(review.find("text")), sentiment], clean=True)


def read_romip(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read ROMIP-2012 news quotes (reader kind `romip`): `<sentence>` with `<speech>` and `<evaluation>`."""
    options = parse(XmlOptions, spec.options, file=str(path))
    shape = Shaper(label_reader(spec, label))
    with open_bytes(path, member=options.member) as stream:
        for row, sentence in elements(stream, "sentence", file=str(path)):
            yield shape(row, [text_of(sentence.find("speech")), text_of(sentence.find("evaluation"))], clean=True)
