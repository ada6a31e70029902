"""The readers on the real files: every file's counts are those of the data README."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ottenok.data.card import ReaderSpec
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.data

# path | how it is read (in SPECS) | records | sets of labels ("/" joins the labels of one), or labels of 0/1 columns.
# A line that begins with blanks goes on with the one before.
PUBLISHED = """
rusentitweet/rusentitweet_train.csv | label | 10713 | neutral: 4273, negative: 2638, positive: 1931, skip:
    1474, speech: 397
rusentiment/rusentiment_random_posts.csv | label | 21268 | neutral: 8323, positive: 4635, skip: 3190, speech:
    2826, negative: 2294
rusentiment/rusentiment_preselected_posts.csv | label | 6950 | neutral: 2977, positive: 1475, negative: 1360,
    skip: 904, speech: 234
rusentiment/rusentiment_test.csv | label | 2967 | neutral: 1420, positive: 536, speech: 407, skip: 346,
    negative: 258
sentirueval-2015-twitter/banks_train.xml | twitter | 5000 | 0: 3422, -1: 1059, 1: 354, --: 105, +-: 48, -1/0:
    6, --/0: 3, --/-1: 1
sentirueval-2015-twitter/banks_test_etalon.xml | twitter | 4549 | 0: 3534, -1: 654, 1: 346, -1/0: 13, 0/1: 1,
    -1/1: 1
sentirueval-2015-twitter/telecoms_train.xml | twitter | 5000 | 0: 2245, -1: 1585, 1: 908, +-: 101, --: 100,
    -1/1: 36, -1/0: 13, 0/1: 11
sentirueval-2015-twitter/telecoms_test_etalon.xml | twitter | 3845 | 0: 2585, -1: 847, 1: 342, -1/1: 55, -1/0:
    14, 0/1: 2
sentirueval-2015-reviews/SentiRuEval_car_markup_train.xml | reviews | 217 | positive: 115, both: 46, negative:
    30, absence: 14, neutral: 12
sentirueval-2015-reviews/SentiRuEval_car_markup_test.xml | reviews | 201 | positive: 98, both: 76, negative:
    26, absence: 1
sentirueval-2015-reviews/SentiRuEval_rest_markup_train.xml | reviews | 201 | positive: 136, both: 36,
    negative: 28, absence: 1
sentirueval-2015-reviews/SentiRuEval_rest_markup_test.xml | reviews | 203 | positive: 146, both: 31, negative:
    26
sentirueval-2016/banks_test_etalon.xml | twitter | 3313 | 0: 2238, -1: 762, 1: 302, -1/1: 9, 0/1: 1, -1/0: 1
sentirueval-2016/tkk_test_etalon.xml | twitter | 2247 | -1: 1008, 0: 1008, 1: 182, -1/1: 41, -1/0: 5, 0/1: 3
sentirueval-2016/preprocessed_banks_train.csv | tsv | 10717 | 0: 7152, -1: 2806, 1: 759
sentirueval-2016/preprocessed_banks_test.csv | tsv | 3418 | 0: 2316, -1: 784, 1: 318
sentirueval-2016/preprocessed_telecom_train.csv | tsv | 9209 | 0: 5213, -1: 2611, 1: 1385
sentirueval-2016/preprocessed_telecom_test.csv | tsv | 2460 | -1: 1167, 0: 1062, 1: 231
romip-2012-news-quotes/train.xml | romip | 4260 | -: 1864, +: 1115, 0: 914, +-: 367
romip-2012-news-quotes/test.xml | romip | 5500 | -: 1890, +: 1448, 0: 1235, +-: 633, --: 282, no: 5, n0: 5,
    -no: 1, n-: 1
kinopoisk-reviews/reviews_100.xlsx | xlsx | 2474 | good: 1977, neutral: 352, bad: 145
app-reviews-ru/train.csv | label | 25867 | негативная: 11027, позитивная: 6943, мусор: 4472, нейтральная: 3425
app-reviews-ru/test.csv | label | 2875 | негативная: 1226, позитивная: 771, мусор: 497, нейтральная: 381
ru-izard-emotions/train.csv | columns | 20162 | neutral: 6775, joy: 5929, sadness: 5260, anger: 6386,
    enthusiasm: 4216, surprise: 2232, disgust: 2224, fear: 1996, guilt: 1112, shame: 1115
ru-izard-emotions/val.csv | columns | 2240 | neutral: 777, joy: 697, sadness: 679, anger: 792, enthusiasm:
    491, surprise: 257, disgust: 282, fear: 229, guilt: 161, shame: 153
ru-izard-emotions/test.csv | columns | 2489 | neutral: 793, joy: 758, sadness: 554, anger: 680, enthusiasm:
    487, surprise: 260, disgust: 210, fear: 217, guilt: 118, shame: 98
ru-goemotions/ru-go-emotions-simplified-validation.csv | list | 5426 | 27: 1592, 0: 326, 15: 261, 4: 258, 10:
    212, 1: 208, 18: 173, 3: 164, 7: 164, 20: 119, 2: 109, 17: 106, 6: 102, 5: 96, 26: 95, 9: 91, 25: 84, 22:
    74, 11: 61, 14: 58, 8: 52, 13: 52, 2/3: 46, 24: 40, 0/15: 30, 4/27: 26, 0/4: 24, 3/10: 21, 7/27: 20, 12:
    20
ru-goemotions/ru-go-emotions-simplified-test.csv | list | 5427 | 27: 1606, 0: 348, 15: 260, 4: 236, 10: 195,
    3: 194, 1: 186, 7: 176, 18: 160, 2: 131, 20: 107, 25: 102, 6: 97, 17: 93, 22: 89, 9: 88, 26: 87, 5: 86,
    11: 76, 14: 65, 13: 57, 8: 56, 24: 44, 2/3: 26, 0/15: 26, 4/27: 23, 12: 23, 7/27: 22, 3/27: 22, 3/10: 19
kryptonit-hackathon/valid.csv | columns | 5426 | anger: 717, disgust: 97, fear: 105, joy: 2219, sadness: 390,
    surprise: 624, neutral: 1766
cedr/cedr-main-train.csv | list | 7528 | none: 3043, 0: 1508, 1: 1365, 2: 568, 3: 553, 4: 384, 0/2: 29, 1/4:
    16, 1/3: 16, 0/1: 14, 0/3: 12, 3/4: 4, 1/2: 5, 2/3: 4, 0/4: 5, 0/1/4: 1, 2/4: 1
cedr/cedr-main-test.csv | list | 1882 | none: 734, 1: 368, 0: 341, 2: 165, 3: 133, 4: 121, 0/2: 4, 0/1: 5,
    1/4: 3, 1/3: 3, 0/3: 3, 2/3: 1, 3/4: 1
brighter-semeval2025-task11/track_a/train/rus.csv | columns | 2679 | anger: 543, disgust: 273, fear: 328, joy:
    555, sadness: 421, surprise: 355, none: 520
brighter-semeval2025-task11/track_a/dev/rus.csv | columns | 199 | anger: 47, disgust: 26, fear: 21, joy: 34,
    sadness: 39, surprise: 26, none: 32
brighter-semeval2025-task11/track_a/train/chn.csv | columns | 2642 | anger: 1178, disgust: 403, fear: 71, joy:
    529, sadness: 354, surprise: 178, none: 603
brighter-semeval2025-task11/track_a/dev/chn.csv | columns | 200 | anger: 92, disgust: 32, fear: 5, joy: 37,
    sadness: 22, surprise: 17, none: 45
smp2020-ewect/usual_eval_labeled.txt | smp-json | 2000 | angry: 586, neutral: 420, happy: 391, sad: 346,
    surprise: 170, fear: 87
smp2020-ewect/usual_test_labeled.txt | smp-json | 5000 | angry: 1508, happy: 1018, neutral: 990, sad: 900,
    surprise: 374, fear: 210
smp2020-ewect/virus_train.txt | smp-json | 8606 | happy: 4423, neutral: 1460, angry: 1322, sad: 649, fear:
    555, surprise: 197
smp2020-ewect/virus_eval_labeled.txt | smp-json | 2000 | happy: 923, neutral: 476, angry: 314, sad: 165, fear:
    75, surprise: 47
smp2020-ewect/usual_train_evanshao.txt | smp | 27768 | angry: 8344, neutral: 5749, happy: 5379, sad: 4990,
    surprise: 2086, fear: 1220
nlpcc-emotion/nlpcc2014_train_sentences.csv | label-first | 15690 | like: 4259, disgust: 3130, happiness:
    2805, sadness: 2478, anger: 1899, surprise: 820, fear: 299
nlpcc-emotion/EmotionClassificationTest.xml | weibo | 6000 | none: 3603, like: 1042, happiness: 441, disgust:
    389, sadness: 189, surprise: 162, anger: 128, fear: 46
nlpcc-emotion/EmotionClassificationTest.xml | sentence | 15693 | none: 11871, like: 1630, disgust: 679,
    happiness: 641, sadness: 302, surprise: 259, anger: 244, fear: 67
nlpcc-emotion/ExpressionTest.xml | weibo | 2000 | like: 645, happiness: 446, sadness: 311, disgust: 281,
    anger: 179, surprise: 82, fear: 56
nlpcc-emotion/ExpressionTest.xml | sentence | 7020 | none: 2759, like: 1230, happiness: 885, sadness: 687,
    disgust: 648, anger: 513, surprise: 192, fear: 104, None: 2
nlpcc-emotion/Training data for Emotion Expression Identification.xml | weibo | 1000 | like: 365, happiness:
    202, sadness: 161, disgust: 133, anger: 82, surprise: 37, fear: 20
nlpcc-emotion/Training data for Emotion Expression Identification.xml | sentence | 3454 | none: 1440, like:
    662, happiness: 387, sadness: 309, disgust: 303, anger: 239, surprise: 81, fear: 33
nlpcc2014-sentiment/sample.negative.txt | nlpcc-reviews | 5000 | negative: 5000
nlpcc2014-sentiment/sample.positive.txt | nlpcc-reviews | 5000 | positive: 5000
dmsc-sample/data-8.csv | stars | 23739 | 4: 11736, 5: 6057, 3: 5358, 2: 491, 1: 97
dmsc-sample/data-13.csv | stars | 26797 | 1: 15240, 2: 5321, 3: 3509, 5: 1429, 4: 1298
dmsc-sample/data-sentiment-score/data-sentiment-score-0.csv | stars | 100 | 3: 33, 2: 27, 4: 19, 5: 16, 1: 5
dmsc-sample/data-sentiment-score/data-sentiment-score-1.csv | stars | 100 | 2: 23, 3: 23, 1: 22, 4: 17, 5: 15
dmsc-sample/data-sentiment-score/data-sentiment-score-2.csv | stars | 100 | 4: 42, 5: 27, 3: 18, 1: 7, 2: 6
dmsc-sample/data-sentiment-score/data-sentiment-score-3.csv | stars | 100 | 2: 34, 3: 27, 4: 18, 1: 15, 5: 6
dmsc-sample/data-sentiment-score/data-sentiment-score-4.csv | stars | 100 | 1: 47, 2: 22, 4: 15, 5: 9, 3: 7
dmsc-sample/data-sentiment-score/data-sentiment-score-5.csv | stars | 100 | 1: 30, 2: 22, 5: 22, 4: 16, 3: 10
dmsc-sample/data-sentiment-score/data-sentiment-score-6.csv | stars | 100 | 1: 50, 4: 22, 5: 19, 3: 5, 2: 4
dmsc-sample/data-sentiment-score/data-sentiment-score-7.csv | stars | 100 | 2: 28, 1: 22, 5: 20, 4: 18, 3: 12
dmsc-sample/data-sentiment-score/data-sentiment-score-9.csv | stars | 100 | 4: 30, 3: 20, 2: 19, 5: 16, 1: 15
dmsc-sample/data-sentiment-score/data-sentiment-score-10.csv | stars | 100 | 1: 27, 4: 24, 2: 23, 5: 18, 3: 8
dmsc-sample/data-sentiment-score/data-sentiment-score-11.csv | stars | 100 | 5: 43, 2: 20, 3: 17, 4: 13, 1: 7
dmsc-sample/data-sentiment-score/data-sentiment-score-12.csv | stars | 100 | 4: 33, 3: 32, 5: 16, 2: 10, 1: 9
dmsc-sample/data-sentiment-score/data-sentiment-score-13.csv | stars | 100 | 1: 99, 2: 1
dmsc-sample/data-sentiment-score/data-sentiment-score-14.csv | stars | 100 | 4: 41, 3: 26, 2: 16, 5: 12, 1: 5
dmsc-sample/data-sentiment-score/data-sentiment-score-15.csv | stars | 100 | 4: 40, 3: 30, 2: 16, 1: 7, 5: 7
dmsc-sample/data-sentiment-score/data-sentiment-score-16.csv | stars | 100 | 5: 40, 4: 34, 3: 22, 2: 3, 1: 1
dmsc-sample/data-sentiment-score/data-sentiment-score-17.csv | stars | 100 | 1: 42, 4: 16, 3: 15, 2: 15, 5: 12
dmsc-sample/data-sentiment-score/data-sentiment-score-18.csv | stars | 100 | 4: 34, 5: 22, 1: 21, 2: 13, 3: 10
dmsc-sample/data-sentiment-score/data-sentiment-score-19.csv | stars | 100 | 1: 48, 2: 25, 3: 15, 4: 11, 5: 1
dmsc-sample/data-sentiment-score/data-sentiment-score-20.csv | stars | 100 | 1: 43, 3: 19, 2: 14, 5: 13, 4: 11
dmsc-sample/data-sentiment-score/data-sentiment-score-21.csv | stars | 100 | 2: 39, 1: 33, 5: 16, 4: 9, 3: 3
dmsc-sample/data-sentiment-score/data-sentiment-score-22.csv | stars | 100 | 1: 78, 2: 8, 5: 5, 4: 5, 3: 4
dmsc-sample/data-sentiment-score/data-sentiment-score-23.csv | stars | 100 | 1: 58, 2: 13, 5: 12, 3: 11, 4: 6
dmsc-sample/data-sentiment-score/data-sentiment-score-24.csv | stars | 100 | 4: 32, 5: 30, 3: 20, 2: 15, 1: 3
dmsc-sample/data-sentiment-score/data-sentiment-score-25.csv | stars | 100 | 3: 28, 4: 28, 2: 20, 5: 15, 1: 9
dmsc-sample/data-sentiment-score/data-sentiment-score-26.csv | stars | 100 | 5: 34, 3: 34, 4: 23, 2: 7, 1: 2
dmsc-sample/data-sentiment-score/data-sentiment-score-27.csv | stars | 100 | 5: 54, 4: 30, 3: 11, 2: 4, 1: 1
chnsenticorp-htl/ChnSentiCorp_htl_all.csv | label | 7766 | 1: 5322, 0: 2444
waimai-10k/waimai_10k.csv | label | 11987 | 0: 7987, 1: 4000
online-shopping-10-cats/online_shopping_10_cats.zip | label | 62774 | 1: 31728, 0: 31046
"""

_SENTENCE = {"level": "sentence"}
_IZARD = ["neutral", "joy", "sadness", "anger", "enthusiasm", "surprise", "disgust", "fear", "guilt", "shame"]
_BRIGHTER = ["anger", "disgust", "fear", "joy", "sadness", "surprise"]
_EKMAN = [*_BRIGHTER, "neutral"]
SPECS = {
    "label": ReaderSpec(kind="csv", text="text", label="label"),
    "tsv": ReaderSpec(kind="csv", text="text", label="label", options={"delimiter": "\t"}),
    "list": ReaderSpec(kind="csv", text="text", label="labels", label_list="numpy"),
    "columns": ReaderSpec(kind="csv", text="text"),
    "stars": ReaderSpec(kind="csv", text="Comment", label="Star"),
    "twitter": ReaderSpec(kind="sentirueval-twitter"),
    "reviews": ReaderSpec(kind="sentirueval-reviews", options={"category": "Whole"}),
    "romip": ReaderSpec(kind="romip"),
    "xlsx": ReaderSpec(kind="xlsx", text="review_text", label="target"),
    "smp": ReaderSpec(kind="smp-text"),
    "smp-json": ReaderSpec(kind="json", text="content", label="label"),
    "label-first": ReaderSpec(kind="label-first"),
    "weibo": ReaderSpec(kind="nlpcc-weibo"),
    "sentence": ReaderSpec(kind="nlpcc-weibo", options=_SENTENCE),
    "nlpcc-reviews": ReaderSpec(kind="nlpcc-reviews"),
}
# Texts that are empty as published; the data README counts their labels all the same.
EMPTY = {
    "app-reviews-ru/train.csv": {"мусор": 5},
    "app-reviews-ru/test.csv": {"мусор": 1},
    "chnsenticorp-htl/ChnSentiCorp_htl_all.csv": {"0": 1},
    "kinopoisk-reviews/reviews_100.xlsx": {"good": 1},
    "online-shopping-10-cats/online_shopping_10_cats.zip": {"1": 1},
    "smp2020-ewect/usual_train_evanshao.txt": {"angry": 1, "happy": 1},
}


def _cases() -> list[tuple[str, str, int, str]]:
    joined = PUBLISHED.strip().replace("\n    ", " ")
    lines = (line.split(" | ") for line in joined.splitlines())
    return [(path, reader, int(rows), counts) for path, reader, rows, counts in lines]


def _spec(path: str, reader: str) -> ReaderSpec:
    spec = SPECS[reader]
    if reader == "columns":
        labels = _IZARD if "izard" in path else _EKMAN if "kryptonit" in path else _BRIGHTER
        return spec.model_copy(update={"labels": tuple(labels)})
    if "goemotions" in path:
        return spec.model_copy(update={"text": "ru_text"})
    text = "review" if path.startswith(("chn", "waimai", "online")) else spec.text
    return spec.model_copy(update={"text": text})


def _label_set(name: str, reader: str) -> frozenset[str]:
    if name == "none" and reader in {"list", "columns"}:
        return frozenset()
    return frozenset(name.split("/"))


def _expected(path: str, reader: str, counts: str) -> dict[frozenset[str], int]:
    pairs = (entry.rpartition(": ") for entry in counts.split(", "))
    expected = {_label_set(name, reader): int(count) for name, _, count in pairs}
    for name, count in EMPTY.get(path, {}).items():
        expected[frozenset({name})] -= count
    return expected


def _sets(record: Record, reader: str) -> list[frozenset[str]]:
    if reader == "columns" and record.labels:
        return [frozenset({label}) for label in record.labels]
    return [frozenset(record.labels)]


@pytest.mark.parametrize(
    ("path", "reader", "rows", "counts"), [pytest.param(*case, id=f"{case[0]}-{case[1]}") for case in _cases()]
)
def test_counts_are_those_of_the_readme(data_root: Path, path: str, reader: str, rows: int, counts: str) -> None:
    """Every record of a published file is read, with the labels and the number that it has there."""
    label = path.split(".")[1] if reader == "nlpcc-reviews" else None

    found = list(read(data_root / path, _spec(path, reader), label=label))

    assert [row.row for row in found] == list(range(1, rows + 1))
    sets = Counter(one for row in found if isinstance(row, Record) for one in _sets(row, reader))
    expected = _expected(path, reader, counts)
    assert {one: sets[one] for one in expected} == expected
    rejected = Counter(row.reason for row in found if isinstance(row, Rejected))
    assert rejected == Counter({"empty text": sum(EMPTY.get(path, {}).values())} if path in EMPTY else {})


def test_pairs_of_a_tweet_and_a_company_become_tweets(data_root: Path) -> None:
    """With `merge_repeats` a tweet about several companies is one record with the labels of all, and none is lost."""
    spec = SPECS["tsv"].model_copy(update={"options": {"delimiter": "\t", "merge_repeats": True}})
    path = data_root / "sentirueval-2016" / "preprocessed_banks_test.csv"
    pairs = [row for row in read(path, SPECS["tsv"]) if isinstance(row, Record)]

    tweets = [row for row in read(path, spec) if isinstance(row, Record)]

    assert {row.row for row in tweets} <= {row.row for row in pairs}
    assert {row.text for row in tweets} == {row.text for row in pairs}
    assert all(before.text != after.text for before, after in itertools.pairwise(tweets))
    assert max(len(row.labels) for row in tweets) == 2


def test_parts_are_the_product_categories(data_root: Path) -> None:
    """The sub-source of a record is what the part column says."""
    spec = ReaderSpec(kind="csv", text="review", label="label", part="cat")
    path = data_root / "online-shopping-10-cats" / "online_shopping_10_cats.zip"

    parts = Counter(row.part for row in read(path, spec) if isinstance(row, Record))

    assert parts["蒙牛"] == 2033
    assert len(parts) == 10


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("kinopoisk-reviews/reviews_100.xlsx", "xlsx"),
        ("sentirueval-2015-reviews/SentiRuEval_rest_markup_train.xml", "sentirueval-reviews"),
    ],
)
def test_no_author_leaves_a_reader(data_root: Path, path: str, kind: str) -> None:
    """Names of authors in the file are in nothing that is read from it."""
    authors = _authors(data_root / path)
    spec = SPECS["xlsx" if kind == "xlsx" else "reviews"]

    for row in read(data_root / path, spec):
        said = (*row.labels, row.part or "") if isinstance(row, Record) else (row.reason, row.content)
        assert not authors & set(said)
        assert not (isinstance(row, Record) and row.text in authors)


def _authors(path: Path) -> set[str]:
    if path.suffix == ".xlsx":
        import openpyxl

        rows = openpyxl.load_workbook(path, read_only=True).worksheets[0].iter_rows(values_only=True)
        return {str(row[at]) for row in rows for at in (2, 3) if row[at]}
    import defusedxml.ElementTree as Tree

    return {user.text for user in Tree.parse(path).iter("user") if user.text}
