"""The cards: sound by themselves, true of the real files, and fit for the formats of the sets that are not at hand."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ottenok.core.errors import DataError
from ottenok.core.schemes import load_scheme
from ottenok.data.card import Card, CardFile, card_names, load_card
from ottenok.data.cardpage import render, write_page
from ottenok.data.fetch import absent, locate
from ottenok.data.readers import READERS, read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ottenok.data.card import ReaderSpec

PAGE = Path(__file__).parents[2] / "docs/data.md"
DOMAINS = {"reviews", "news", "social", "blogs", "dialogue", "mixed"}
AUTHORS = {
    "author", "author_id", "author_name", "Username", "user", "username", "id", "twitid", "Speaker", "公司", "代码",
    "mid", "entity",
}  # fmt: skip
# The sets that the published systems used, by the names of their cards.
USED = {
    "rusentiment", "rureviews", "kaggle-news", "linis-2015", "linis-2016", "mokoron", "sentirueval-2016-banks",
    "sentirueval-2016-telecom", "kinopoisk", "kinopoisk-scrape", "dmsc", "ru-goemotions", "ru-izard-emotions", "cedr",
}  # fmt: skip
LARGE = {"dmsc", "kaggle-news", "kinopoisk", "linis-2015", "linis-2016", "mokoron", "rureviews"}
every_card = pytest.mark.parametrize("card", [load_card(name) for name in card_names()], ids=card_names())
LABELLED = [card for card in map(load_card, card_names()) if card.kind == "labelled"]
every_set = pytest.mark.parametrize("card", LABELLED, ids=[card.name for card in LABELLED])


def readers(card: Card) -> list[ReaderSpec]:
    """Return the reader specs of all files of a card."""
    return [file.reader or card.reader for file in card.files]


def targets(card: Card, rows: Iterable[Record | Rejected]) -> list[tuple[str, str]]:
    """Return text and mapped label of the records with one label, `""` for a dropped one."""
    return [(row.text, card.label.map[row.labels[0]]) for row in rows if isinstance(row, Record)]


def test_every_set_of_the_published_systems_has_a_card() -> None:
    """No set that a published system used lacks its card."""
    assert set(card_names()) >= USED


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    """Asking for a card that does not exist names the one that was probably meant."""
    with pytest.raises(DataError, match="Did you mean 'rusentiment'"):
        load_card("rusentimant")


@every_set
def test_labels_lead_into_the_scheme(card: Card) -> None:
    """Each published label leads to a label of the card's scheme or is dropped, and each choice has its reason."""
    labels = load_scheme(card.label.scheme).labels
    ends = {*card.label.map.values(), card.label.empty or "", card.label.mixed or ""} - {""}
    assert ends <= set(labels)
    assert ends, "a card that drops everything"
    assert len(card.label.rule) > 20
    assert (card.label.several == "mixed") == (card.label.mixed is not None)


@every_card
def test_a_card_tells_what_people_need(card: Card) -> None:
    """A card has a name, a language, a home, a citation, terms and known faults, in the words that are agreed on."""
    assert load_card(card.name) is card
    assert set(card.languages) <= {"ru", "zh"}
    assert card.languages
    assert card.domain in DOMAINS
    assert re.match(r"https?://[^ ]+$", card.homepage)
    assert card.citation
    assert card.licence.statement
    assert card.faults
    assert all(fault.endswith(".") for fault in card.faults)


@every_card
def test_unknown_terms_allow_nothing(card: Card) -> None:
    """Where no licence is stated, the card claims neither commercial use nor that texts may be passed on."""
    if card.licence.id == "unknown":
        assert card.licence.commercial is None
        assert not card.licence.redistribute
    else:
        assert card.licence.commercial is not None


@every_card
def test_overlaps_are_told_on_both_sides(card: Card) -> None:
    """Sets that share texts name each other."""
    for other in card.overlaps:
        assert card.name in load_card(other).overlaps


@every_card
def test_readers_exist_and_read_no_authors(card: Card) -> None:
    """Each reader is registered, and no column of people or ids is among the columns that it reads."""
    for spec in readers(card):
        assert spec.kind in READERS or card.kind == "lexicon"
        assert not AUTHORS & {spec.text, spec.label, spec.part, *spec.labels}


@every_card
def test_files_are_named_once_and_pinned(card: Card) -> None:
    """A checksum comes with a size, and a checked file on GitHub is addressed by its commit, not by a branch."""
    assert card.files
    members = {(file.path, (file.reader or card.reader).options.get("member")) for file in card.files}
    assert len(members) == len(card.files)
    for file in card.files:
        assert (file.sha256 is None) == (file.bytes is None)
        assert file.url is None or file.url.startswith("https://")
        if file.sha256 and file.url:
            assert re.match(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/", file.url)


@every_card
def test_a_train_set_is_not_optional(card: Card) -> None:
    """Each card has a file that is needed, so that a source is never silently empty."""
    assert any(not file.optional and not file.alternative and not file.beside for file in card.files)


def test_the_page_is_what_the_cards_say() -> None:
    """docs/data.md is what its command makes of the cards."""
    page = render(load_card(name) for name in card_names())
    assert PAGE.read_text(encoding="utf-8") == page, "make it anew: python -m ottenok.data.cardpage docs/data.md"


def test_the_page_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    """The command writes a page with a section per card."""
    write_page(tmp_path / "docs" / "data.md")
    text = (tmp_path / "docs" / "data.md").read_text(encoding="utf-8")
    shown = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert sorted(shown) == list(card_names())
    assert shown[: len(LABELLED)] == [card.name for card in LABELLED]


def test_the_page_shows_what_is_dropped_and_escapes_bars() -> None:
    """Dropped labels, optional files and missing addresses are told; a bar in a name does not break a table."""
    card = load_card("rusentiment").model_copy(
        update={"files": (CardFile(path="toy/a|b.csv", optional=True), CardFile(path="toy/c.csv", label="positive"))}
    )
    page = render([card])
    assert "dropped: `skip`, `speech`" in page
    assert r"| `toy/a\|b.csv` |" in page
    assert "optional, no address" in page
    assert "all positive" in page
    assert "by hand" in page


# --- the real files -------------------------------------------------------------------------------------------------


@pytest.mark.data
@every_card
def test_real_files_have_their_checksums(card: Card, data_root: Path, tmp_path: Path) -> None:
    """Each file that is at hand has the very size and sha256 of the card; the sets that are not are the known ones."""
    if card.name in LARGE:
        with pytest.raises(DataError, match="missing"):
            locate(card, root=data_root, cache=tmp_path)
        return
    assert all(file.optional for file in absent(card, root=data_root, cache=tmp_path))
    found = locate(card, root=data_root, cache=tmp_path)
    assert all(located.sha256 == located.file.sha256 for located in found)
    assert {located.path.parent for located in found if located.file.sha256 is None} == set()


@pytest.mark.data
def test_every_real_file_is_in_a_card(data_root: Path) -> None:
    """No file under the data root is unknown to the cards."""
    known = {file.path for name in card_names() for file in load_card(name).files}
    here = {path.relative_to(data_root).as_posix() for path in data_root.rglob("*") if path.is_file()}
    assert {path for path in here if not path.startswith("LICENSES/") and path != "README.md"} <= known


@pytest.mark.data
@every_card
def test_real_rows_and_labels_are_those_of_the_card(card: Card, data_root: Path) -> None:
    """Each file at hand has as many records as its card says, and no label that the card does not map."""
    for file in card.files:
        path = data_root / file.path
        spec = file.reader or card.reader
        if not path.is_file() or file.beside or not spec.kind:
            continue
        # Merged rows are fewer than published ones; what is counted is what is published.
        options = {name: value for name, value in spec.options.items() if name != "merge_repeats"}
        kind = spec.kind.removesuffix("-pairs")
        label = file.label if card.kind == "labelled" else "none"
        rows = list(read(path, spec.model_copy(update={"kind": kind, "options": options}), label=label))
        assert len(rows) == file.rows, file.path
        published = Counter(label for row in rows if isinstance(row, Record) for label in row.labels)
        assert set(published) <= set(card.label.map) or card.kind != "labelled", file.path
        rejects = {row.reason for row in rows if isinstance(row, Rejected)}
        assert rejects <= {"empty text"}, file.path


# Labels of files as their publishers or a count by other means give them; a file of texts with aspects by its aspects.
COUNTS = {
    "rusentne-2023/train_data.csv": {"0": 4774, "-1": 1007, "1": 856},
    "from-rnc-with-love/dataset.csv": {
        "neutral": 413, "joy": 301, "disgust": 269, "surprise": 268, "sadness": 246, "fear": 222, "anger": 200,
    },
    "wildberries-5star/wildberries_reviews.csv": {"1": 787, "2": 772, "3": 804, "4": 788, "5": 777},
    "covid19-weibo/labeledData.csv": {
        "2": 3595, "0": 3227, "6": 3175, "3": 3145, "4": 3072, "5": 2756, "1": 2203,
    },
    "tw-news-titles/NewsTitle.csv": {"5": 1448, "0": 1444, "6": 890, "1": 869, "2": 671, "4": 436, "3": 402},
    "cluemotion-2020/test.txt": {
        "sadness": 1448, "happiness": 978, "disgust": 471, "like": 453, "anger": 447, "surprise": 103, "fear": 67,
    },
    "weibo-moods/lstm_sentiment_classification_8_total.txt": {
        "sadness": 6029, "happiness": 5195, "disgust": 3951, "anger": 3687, "none": 3305, "like": 3269,
        "surprise": 1817, "fear": 952,
    },
    "msctd/chinese_train_enzh.txt": {"0": 27762, "1": 23908, "2": 18478},
    "msctd/chinese_train_zhen.txt": {"0": 24074, "1": 21617, "2": 16902},
    "msctd/chinese_dev.txt": {"0": 1764, "1": 1845, "2": 1454},
    "multilingual-sentiments/valid.csv": {"negative": 1000, "neutral": 1000, "positive": 1000},
    "conversation-sentiment/sentiment_XS_30k.txt": {"positive": 17194, "negative": 12419},
    "finance-news/test_data.csv": {"0": 1200, "1": 1200},
    "hotels-absa/room_test.tsv": {"0.0": 1472, "1.0": 1472},
    "fewclue-eprstmt/test_public.json": {"Negative": 305, "Positive": 305},
    "bdci-car-2018/train_2.csv": {"0": 8488, "1": 2048, "-1": 2036},
    "weibo2018/train.txt": {"1": 5496, "0": 4504},
    "chnsenticorp-splits/chnsenticorp.zip": {"1": 6000, "0": 6000},
}  # fmt: skip
# The two sentiments and emotions of one file.
DOUBLE_COUNTS = {
    "cped": {"negative": 12977, "neutral": 7991, "positive": 6470},
    "cped-emotions": {
        "neutral": 7991, "anger": 3031, "depress": 2792, "happy": 2604, "negative-other": 2395, "relaxed": 2150,
        "positive-other": 1685, "worried": 1489, "astonished": 1433, "fear": 872, "sadness": 530, "disgust": 435,
        "grateful": 31,
    },
    "bmeld": {"neutral": 460, "negative": 393, "positive": 231},
    "bmeld-emotions": {
        "neutral": 460, "joy": 162, "surprise": 146, "anger": 146, "sadness": 109, "fear": 40, "disgust": 21,
    },
}  # fmt: skip


def counted(card: Card, root: Path) -> dict[str, Counter[str]]:
    """Count the published labels of each file of a card, rejected rows left out and pairs not joined."""
    found: dict[str, Counter[str]] = {}
    for file in card.files:
        spec = file.reader or card.reader
        if file.beside or not (root / file.path).is_file():
            continue
        rows = read(root / file.path, spec.model_copy(update={"kind": spec.kind.removesuffix("-pairs")}))
        labels = Counter(label for row in rows if isinstance(row, Record) for label in row.labels)
        found[file.path] = found.get(file.path, Counter()) + labels
    return found


@pytest.mark.data
def test_labels_are_as_many_as_counted_elsewhere(data_root: Path) -> None:
    """Each label of the newer sets is read as often as it stands in the file."""
    found: dict[str, Counter[str]] = {}
    for card in LABELLED:
        if card.name not in DOUBLE_COUNTS and {file.path for file in card.files} & set(COUNTS):
            found |= counted(card, data_root)
    for path, counts in COUNTS.items():
        assert found[path] == counts, path
    for name, counts in DOUBLE_COUNTS.items():
        card = load_card(name)
        [test] = [file.path for file in card.files if file.split == "test"]
        assert counted(card, data_root)[test] == counts, name


@pytest.mark.data
def test_texts_with_several_aspects_come_once(data_root: Path) -> None:
    """A sentence of RuSentNE or a post of BDCI comes once with all its labels, a text of DimABSA with all of them."""
    for name, texts, mixed in (("rusentne-2023", 3716, 719), ("bdci-car-2018", 10654, 475)):
        [file] = load_card(name).files
        rows = [row for row in read(data_root / file.path, load_card(name).reader) if isinstance(row, Record)]
        assert len(rows) == len({row.text for row in rows}) == texts
        assert sum(len(row.labels) > 1 for row in rows) == mixed
    card = load_card("dimabsa-2026")
    rows = [row for file in card.files for row in read(data_root / file.path, card.reader) if isinstance(row, Record)]
    assert len(rows) == 10540
    assert Counter(row.labels[0] for row in rows if len(row.labels) == 1) == {"POS": 6847, "NEG": 1326, "NEU": 865}


@pytest.mark.data
def test_merged_pairs_are_tweets(data_root: Path) -> None:
    """The pair rows of SentiRuEval-2016 merge to fewer tweets, some with several labels, and no neighbour repeats."""
    for name in ("sentirueval-2016-banks", "sentirueval-2016-telecom"):
        train = load_card(name).files[0]
        assert train.reader is not None
        rows = [row for row in read(data_root / train.path, train.reader) if isinstance(row, Record)]
        assert 0.85 * int(train.rows or 0) < len(rows) < int(train.rows or 0)
        assert any(len(row.labels) > 1 for row in rows)
        assert all(one.text != two.text for one, two in itertools.pairwise(rows))


# --- published formats of the sets that are not at hand -----------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    """Write a small file in a published format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def write_sheet(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    """Write a small spreadsheet."""
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def rureviews(root: Path) -> None:
    """Tab-separated with a header, the middle class misspelt."""
    write_text(
        root / "rureviews/women-clothing-accessories.3-class.balanced.csv",
        "review\tsentiment\nЮбка села по фигуре\tpositive\n"
        "Шов разошёлся, жаль\tnegative\nОбычная, как на фото\tneautral\n",
    )


def kaggle_news(root: Path) -> None:
    """A JSON array of objects."""
    rows = [
        {"text": "Мост открыли раньше срока.", "id": 7, "sentiment": "positive"},
        {"text": "Завод\nзакрывают.", "id": 8, "sentiment": "negative"},
        {"text": "Заседание прошло в среду.", "id": 9, "sentiment": "neutral"},
    ]
    write_text(root / "kaggle-news/train.json", json.dumps(rows, ensure_ascii=False))


def linis(root: Path, path: str) -> None:
    """A sheet without header, with one rating per row and some noise in place of ratings."""
    write_sheet(
        root / path,
        [
            ("Опять молчат", -2),
            ("Опять молчат", -1.0),
            ("Стало лучше", 1),
            ("Итоги года", 0),
            ("Шум", 23523),
        ],
    )


def mokoron(root: Path) -> None:
    """Twelve columns between semicolons, quoted, without header; the tweet is the fourth, the class the fifth."""
    for name, sign, text in (("positive", 1, 'Пишут ""ура""; и пусть :)'), ("negative", -1, "опять дождь :(")):
        write_text(
            root / f"mokoron/{name}.csv",
            f'"4089";"1386325927";"someone";"{text}";"{sign}";"0";"0";"0";"7569";"62";"61";"0"\n',
        )


def kinopoisk(root: Path) -> None:
    """One JSON object per line, with an author."""
    row = {
        "part": "top250", "movie_name": "Фильм (1999)", "review_id": "1", "author": "Некто", "date": "1 мая 2010",
        "title": "", "grade3": "Good", "grade10": "9", "content": "Смотрела дважды.\r\nИ ещё посмотрю.",
    }  # fmt: skip
    bad = row | {"part": "bottom100", "grade3": "Bad", "content": "Ушли через час."}
    text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in (row, bad))
    write_text(root / "kinopoisk/kinopoisk.jsonl", text)


def dmsc(root: Path) -> None:
    """The ten published columns, a user among them."""
    write_text(
        root / "dmsc/DMSC.csv",
        "ID,Movie_Name_EN,Movie_Name_CN,Crawl_Date,Number,Username,Date,Star,Comment,Like\n"
        '0,Some Film,某电影,2017-01-22,1,某人,2015-05-13,5," 好看,还想再看",2404\n'
        "1,Some Film,某电影,2017-01-22,2,别人,2015-04-24,1, 浪费时间,12\n",
    )


WRITERS: dict[str, tuple[Callable[[Path], None], list[tuple[str, str]]]] = {
    "rureviews": (
        rureviews,
        [("Юбка села по фигуре", "positive"), ("Шов разошёлся, жаль", "negative"), ("Обычная, как на фото", "neutral")],
    ),
    "kaggle-news": (
        kaggle_news,
        [
            ("Мост открыли раньше срока.", "positive"),
            ("Завод\nзакрывают.", "negative"),
            ("Заседание прошло в среду.", "neutral"),
        ],
    ),
    "mokoron": (mokoron, [('Пишут "ура"; и пусть :)', "positive"), ("опять дождь :(", "negative")]),
    "kinopoisk": (
        kinopoisk,
        [("Смотрела дважды.\r\nИ ещё посмотрю.", "positive"), ("Ушли через час.", "negative")],
    ),
    "dmsc": (dmsc, [(" 好看,还想再看", "Star_5"), (" 浪费时间", "Star_1")]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_published_formats_of_large_sets(name: str, tmp_path: Path) -> None:
    """A file in the published format goes through its card to the scheme's labels, and no user goes with it."""
    write, expected = WRITERS[name]
    write(tmp_path)
    card = load_card(name)
    found = locate(card, root=tmp_path, cache=tmp_path / "cache")
    rows = [row for located in found for row in read(located.path, located.reader, label=located.file.label)]
    assert targets(card, rows) == expected
    assert not any(word in repr(rows) for word in ("Некто", "someone", "某人", "别人"))


@pytest.mark.parametrize("name", ["linis-2015", "linis-2016"])
def test_published_format_of_linis(name: str, tmp_path: Path) -> None:
    """Ratings are read as whole numbers, whether the sheet holds 1 or 1.0; noise is a label that the card lacks."""
    card = load_card(name)
    linis(tmp_path, card.files[0].path)
    [found] = locate(card, root=tmp_path, cache=tmp_path / "cache")
    rows = [row for row in read(found.path, found.reader) if isinstance(row, Record)]
    assert [row.labels for row in rows] == [("-2",), ("-1",), ("1",), ("0",), ("23523",)]
    assert [card.label.map.get(row.labels[0]) for row in rows] == ["negative", "negative", "positive", "neutral", None]
    assert card.raters is not None
    assert card.raters.minimum == 3


OPTIONAL = {
    "rusentitweet": (
        "rusentitweet_test.csv",
        "text,label,id\nкак же хорошо дома,positive,1\nок,speech,2\n",
        ["positive", ""],
    ),
    "ru-goemotions": (
        "ru-go-emotions-simplified-train.csv",
        'ru_text,text,labels,id\nСпасибо вам,Thank you,[15],a\n"Ну, не знаю","Well, dunno",[ 6 27],b\n',
        ["gratitude", "confusion"],
    ),
    "smp2020-virus": (
        "virus_test_labeled.txt",
        json.dumps([{"id": 1, "content": "武汉加油", "label": "happy"}], ensure_ascii=False),
        ["joy"],
    ),
    "nlpcc2014-sentiment": (
        "test.label.cn.txt",
        '<review id="0"  label="0">\n破了 <失望>\n</review>\n\n<review id="1"  label="1">\n值得 & 好看\n</review>\n',
        ["negative", "positive"],
    ),
}


@pytest.mark.parametrize("name", OPTIONAL)
def test_published_formats_of_optional_files(name: str, tmp_path: Path) -> None:
    """The optional files that are not at hand are read by their cards as soon as they are there."""
    end, text, expected = OPTIONAL[name]
    card = load_card(name)
    [file] = [file for file in card.files if file.path.endswith(end)]
    assert file.optional
    write_text(tmp_path / file.path, text)
    rows = read(tmp_path / file.path, file.reader or card.reader, label=file.label)
    assert [label for _, label in targets(card, rows)] == expected
