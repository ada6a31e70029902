"""Sets that are not at hand, in small files of their published formats: raters, emoticons, optional files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from openpyxl import Workbook

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.data.build import build
from ottenok.data.stats import corpus_stats
from ottenok.recipes.corpus import CorpusRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus

ELEVEN = "0;1;2;{text};{label};5;6;7;8;9;10;11"


def make(root: Path, *sources: dict[str, Any]) -> Corpus:
    """Build cards from a data root of the test's own."""
    recipe = parse(CorpusRecipe, {"name": "made", "scheme": "sentiment-3", "sources": list(sources)})
    return build(recipe, root=root, cache=root / "cache", out=root / "corpus")


def test_ratings_of_a_text_become_one_row(tmp_path: Path) -> None:
    """LINIS: three ratings and a sign alone in front; other texts go, and what is no rating is a reject."""
    sheet = Workbook()
    page = sheet.active
    texts = {
        "Правительство опять ничего не сделало": [-2, -1, 0, -1],
        "Сегодня прошло заседание комитета": [0, 0, 1],
        "Мнения об этом расходятся": [1, -1, 0],
        "Мало кто это оценил": [2, 2],
        "Как же хорошо, что есть такие люди": [1, 2, 2, "не знаю"],
    }
    for text, ratings in texts.items():
        for rating in ratings:
            page.append([text, rating])
    file = tmp_path / "linis-crowd-2015" / "text_rating_final.xlsx"
    file.parent.mkdir()
    sheet.save(file)
    corpus = make(tmp_path, {"card": "linis-2015"})
    assert {row["text"]: row["labels"][0] for row in corpus.table().to_pylist()} == {
        "Правительство опять ничего не сделало": "negative",
        "Сегодня прошло заседание комитета": "neutral",
        "Как же хорошо, что есть такие люди": "positive",
    }
    source = corpus_stats(corpus).sources[0]
    assert {one.reason: one.rows for one in source.dropped} == {
        "too few raters": 2,
        "raters disagree": 3,
        "another rating of a kept text": 7,
    }
    assert source.rejected == {"unknown label": 1}
    reject = json.loads((corpus.folder / "rejects.jsonl").read_text(encoding="utf-8"))
    assert reject["content"].startswith("не знаю: ")


def test_labels_of_distant_supervision_leave_the_texts(tmp_path: Path) -> None:
    """RuTweetCorp: the emoticon that is the label is not in the corpus; tweets that differ in it alone are one."""
    folder = tmp_path / "mokoron"
    folder.mkdir()
    (folder / "positive.csv").write_text(
        "\n".join(ELEVEN.format(text=f'"{text}"', label='"1"') for text in ("ура, каникулы :)", "ура, каникулы)))")),
        encoding="utf-8",
    )
    (folder / "negative.csv").write_text(ELEVEN.format(text='"опять понедельник :("', label='"-1"'), encoding="utf-8")
    corpus = make(tmp_path, {"card": "mokoron"})
    rows = {row["text"]: row["labels"] for row in corpus.table().to_pylist()}
    assert rows == {"ура, каникулы": ["positive"], "опять понедельник": ["negative"]}
    assert [(one.reason, one.rows) for one in corpus_stats(corpus).sources[0].dropped] == [("duplicate", 1)]


def test_an_own_source_that_is_not_there(tmp_path: Path) -> None:
    """Optional, it is skipped and said so without its folder; needed, it stops the build."""
    folder = tmp_path / "mokoron"
    folder.mkdir()
    for name, label in (("positive", "1"), ("negative", "-1")):
        lines = [ELEVEN.format(text=f'"{name} слово {number}"', label=f'"{label}"') for number in range(20)]
        (folder / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    own = {"name": "mine", "file": str(tmp_path / "mine.csv")}
    corpus = make(tmp_path, {"card": "mokoron"}, {"own": own, "optional": True})
    assert [(one.name, one.why) for one in corpus_stats(corpus).skipped] == [("mine", "not there: mine.csv")]
    with pytest.raises(DataError, match="no such file"):
        make(tmp_path, {"card": "mokoron"}, {"own": own})


def test_an_altered_file_stops_the_build_also_where_the_source_is_optional(tmp_path: Path) -> None:
    """Optional means that it may be absent, not that it may be anything."""
    file = tmp_path / "waimai-10k" / "waimai_10k.csv"
    file.parent.mkdir()
    file.write_text("label,review\n1,好吃\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        make(tmp_path, {"card": "waimai-10k", "optional": True})
    assert error.value.hint
    assert not (tmp_path / "corpus").exists()
