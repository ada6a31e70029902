"""XML dumps: SentiRuEval, ROMIP and NLPCC, in small files of the published forms, and XML made to harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ottenok.core.errors import ConfigError, DataError
from ottenok.data.card import ReaderSpec
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path

XML_KINDS = ["sentirueval-twitter", "sentirueval-reviews", "romip", "nlpcc-weibo"]

TWITTER = """<?xml version="1.0" encoding="utf-8"?>
<!-- phpMyAdmin XML Dump -->
<pma_xml_export version="1.0" xmlns:pma="http://www.phpmyadmin.net/some_doc_url/">
  <pma:structure_schemas><pma:database name="x"><pma:table name="t">CREATE TABLE `t`;</pma:table></pma:database>
  </pma:structure_schemas>
  <database name="x">
    <table name="t">
      <column name="id">1</column><column name="user">ivan_petrov</column>
      <column name="text">Банк &lt;А&gt; лучше банка Б</column>
      <column name="a">1</column><column name="b">-1</column><column name="c">NULL</column>
    </table>
    <table name="t">
      <column name="id">2</column><column name="user">ivan_petrov</column>
      <column name="text">Открыл счёт в А и Б</column>
      <column name="a">0</column><column name="b">0</column><column name="c">NULL</column>
    </table>
    <table name="t">
      <column name="id">3</column><column name="user">ivan_petrov</column>
      <column name="text">Ни о ком</column>
      <column name="a">NULL</column><column name="b">NULL</column><column name="c">NULL</column>
    </table>
  </database>
</pma_xml_export>
"""

REVIEWS = """<?xml version="1.0" ?>
<reviews>
  <review id="1">
    <meta><object>Кафе</object><user>ivan_petrov</user><date>1.1.2011</date></meta>
    <scores><food>8</food></scores>
    <text>Вкусно &amp; недорого</text>
    <aspects><aspect category="Whole" sentiment="negative" term="x"/></aspects>
    <categories><category name="Food" sentiment="both"/><category name="Whole" sentiment="positive"/></categories>
  </review>
  <review id="2"><meta><user>ivan_petrov</user></meta><text>Без оценки</text><categories/></review>
  <review id="3"><categories><category name="Whole" sentiment="positive"/></categories></review>
</reviews>
"""

ROMIP = """<?xml version="1.0" encoding="windows-1251"?>
<document>
  <sentence id="0">
    <speech type="direct">
      &quot;Всё будет
      хорошо&quot;, - сказал министр.
    </speech>
    <evaluation>
      +-
    </evaluation>
    <url>http://example.org/?a=1&amp;b=2</url>
  </sentence>
</document>
"""

WEIBO = """<?xml version="1.0" encoding="UTF-8"?>
<TestData>
  <weibo id="1" emotion-type1="happiness" emotion-type2="none">
    <sentence id="1" opinionated="Y" emotion-1-type="happiness" emotion-2-type="like">今天真开心！</sentence>
    <sentence id="2" opinionated="N">明天上班。</sentence>
  </weibo>
  <weibo id="2" emotion-type2="none"><sentence id="1" opinionated="Y">嗯。</sentence></weibo>
</TestData>
"""


def _read(folder: Path, kind: str, content: str | bytes, **options: str) -> list[Record | Rejected]:
    path = folder / "data.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read(path, ReaderSpec.model_validate({"kind": kind, "options": options})))


def test_tweets_have_the_distinct_values_of_their_companies(tmp_path: Path) -> None:
    """Columns after the text are companies; NULL is not mentioned, and a tweet about none has no label."""
    assert _read(tmp_path, "sentirueval-twitter", TWITTER) == [
        Record(row=1, text="Банк <А> лучше банка Б", labels=("1", "-1")),
        Record(row=2, text="Открыл счёт в А и Б", labels=("0",)),
        Rejected(row=3, reason="missing label", content="Ни о ком |"),
    ]


def test_reviews_have_the_sentiment_of_one_category(tmp_path: Path) -> None:
    """The whole review by default, another category by option; aspects are not looked at."""
    assert _read(tmp_path, "sentirueval-reviews", REVIEWS) == [
        Record(row=1, text="Вкусно & недорого", labels=("positive",)),
        Rejected(row=2, reason="missing label", content="Без оценки |"),
        Rejected(row=3, reason="empty text", content="| positive"),
    ]
    assert _read(tmp_path, "sentirueval-reviews", REVIEWS, category="Food")[0] == Record(
        row=1, text="Вкусно & недорого", labels=("both",)
    )


def test_quotes_are_decoded_as_the_file_declares(tmp_path: Path) -> None:
    """ROMIP's windows-1251 is decoded, and white space around the values is taken off."""
    (row,) = _read(tmp_path, "romip", ROMIP.encode("windows-1251"))

    assert isinstance(row, Record)
    assert row.text.split() == ['"Всё', "будет", 'хорошо",', "-", "сказал", "министр."]
    assert row.labels == ("+-",)


def test_weibos_are_read_whole_or_by_sentences(tmp_path: Path) -> None:
    """A weibo joins its sentences; a sentence without opinion is `none`, one without its emotion a reject."""
    assert _read(tmp_path, "nlpcc-weibo", WEIBO) == [
        Record(row=1, text="今天真开心！明天上班。", labels=("happiness",)),
        Rejected(row=2, reason="missing label", content="嗯。 |"),
    ]
    assert _read(tmp_path, "nlpcc-weibo", WEIBO, level="sentence") == [
        Record(row=1, text="今天真开心！", labels=("happiness",)),
        Record(row=2, text="明天上班。", labels=("none",)),
        Rejected(row=3, reason="missing label", content="嗯。 |"),
    ]


def test_reviews_that_only_look_like_xml_are_read(tmp_path: Path) -> None:
    """Bare `<` and `&` in a text, a label in the tag or from the file, and a review that is never closed."""
    content = (
        '\ufeff<review id="0"  label="1">\r\n\r\n好看 & 便宜 <3\r\n第二段\r\n</review>\r\n\r\n'
        '<review id="1" label="0">没有结束\r\n'
        '<review id="2" label="0">不好</review>\r\n'
        '<review id="3">\r\n没有标签\r\n</review>\r\n'
        '<review id="4" label="0">\r\n\r\n</review>\r\n'
    )

    assert _read(tmp_path, "nlpcc-reviews", content) == [
        Record(row=1, text="好看 & 便宜 <3\n第二段", labels=("1",)),
        Rejected(row=2, reason="unclosed review", content="没有结束"),
        Record(row=3, text="不好", labels=("0",)),
        Rejected(row=4, reason="missing label", content="没有标签 |"),
        Rejected(row=5, reason="empty text", content="| 0"),
    ]


@pytest.mark.parametrize("kind", XML_KINDS)
@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "ха"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">',
        '<!ENTITY a SYSTEM "file:///etc/passwd">',
        '<!ENTITY % a SYSTEM "http://localhost:1/x.dtd"> %a;',
    ],
)
def test_entities_are_refused(tmp_path: Path, kind: str, declaration: str) -> None:
    """Bombs and entities that point outside are refused before anything is expanded or fetched."""
    content = f'<?xml version="1.0"?><!DOCTYPE x [{declaration}]><x>&b;</x>'

    with pytest.raises(DataError, match="declares entities") as caught:
        _read(tmp_path, kind, content)

    assert caught.value.file == str(tmp_path / "data.xml")


@pytest.mark.parametrize("kind", XML_KINDS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not well-formed"),
        (b"<a><b></a>", "not well-formed"),
        ("<a>да</a>".encode("windows-1251"), "not well-formed"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "not well-formed"),
        (b'<?xml version="1.0" encoding="gb18030"?><a/>', "not well-formed"),
        (b"<a>\0</a>", "not well-formed"),
        (b"<a/>", "holds no element"),
        (b"<a>" * 50_000, "not well-formed"),
        (b"<a>" + b"x" * (34 << 20), "longer than"),
    ],
)
def test_xml_that_is_not_what_it_should_be_is_one_error(
    tmp_path: Path, kind: str, content: bytes, message: str
) -> None:
    """Not well-formed, of another form, nested without end or endless: each is one `DataError`."""
    with pytest.raises(DataError, match=message):
        _read(tmp_path, kind, content)


def test_a_break_in_the_middle_names_the_record(tmp_path: Path) -> None:
    """What stands before the break is read; the error has the number of the record in which it is."""
    cut = TWITTER[: TWITTER.index("Ни о ком")]
    path = tmp_path / "data.xml"
    path.write_text(cut, encoding="utf-8")
    rows = read(path, ReaderSpec(kind="sentirueval-twitter"))
    seen = [next(rows), next(rows)]

    with pytest.raises(DataError) as caught:
        next(rows)

    assert [row.row for row in seen] == [1, 2]
    assert caught.value.row == 3


def test_a_file_that_holds_no_review_is_one_error(tmp_path: Path) -> None:
    """Another file given to the reader of pseudo-XML is refused."""
    with pytest.raises(DataError, match="holds no <review>"):
        _read(tmp_path, "nlpcc-reviews", "id,text\n1,да\n")


@pytest.mark.parametrize(("kind", "option"), [("nlpcc-weibo", {"level": "word"}), ("romip", {"encoding": "utf-8"})])
def test_a_wrong_option_is_refused(tmp_path: Path, kind: str, option: dict[str, str]) -> None:
    """Options that a reader does not have, and values that it does not know, are refused."""
    with pytest.raises(ConfigError):
        _read(tmp_path, kind, ROMIP, **option)
