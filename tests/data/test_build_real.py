"""The pipeline on the real data sets: the overlaps that are known are found, and no recipe's corpus leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ottenok.core.config import parse
from ottenok.data.build import build
from ottenok.data.corpus import open_corpus
from ottenok.data.stats import corpus_cells, corpus_stats
from ottenok.recipes.corpus import CorpusRecipe, load_recipe
from ottenok.recipes.files import recipe_file
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.data.corpus import Corpus
    from ottenok.data.stats import CorpusStats, Overlap

pytestmark = pytest.mark.data


def stats_of(root: Path, tmp_path: Path, scheme: str, *sources: str | dict[str, Any]) -> CorpusStats:
    """Build a corpus of cards or own files without looking for near duplicates, and return its numbers."""
    listed = [{"card": source} if isinstance(source, str) else source for source in sources]
    recipe = parse(CorpusRecipe, {"name": "real", "scheme": scheme, "sources": listed, "clean": {"near": False}})
    stats = corpus_stats(build(recipe, root=root, cache=tmp_path / "cache", out=tmp_path / "corpus"))
    for source in stats.sources:
        assert source.read == (
            sum(source.kept.values()) + sum(one.rows for one in source.dropped) + sum(source.rejected.values())
        )
    return stats


def shared(stats: CorpusStats, first: str, second: str) -> Overlap:
    """Find what two files share, named by the ends of their names."""
    found = []
    for one in stats.overlaps:
        names = (one.first, one.second)
        if any(name.endswith(first) for name in names) and any(name.endswith(second) for name in names):
            found.append(one)
    assert len(found) == 1
    return found[0]


def dropped(stats: CorpusStats, source: str, reason: str, of: str) -> int:
    """Return how many rows of a source were dropped for a reason, in favour of another source."""
    own = next(one for one in stats.sources if one.name == source)
    return sum(one.rows for one in own.dropped if (one.reason, one.of) == (reason, of))


def test_rusentiment(data_root: Path, tmp_path: Path) -> None:
    """The test shares 91 texts with the random posts and 17 with the preselected ones; train loses them."""
    stats = stats_of(data_root, tmp_path, "sentiment-3", "rusentiment")
    assert shared(stats, "random_posts.csv", "rusentiment_test.csv").texts == 91
    assert shared(stats, "preselected_posts.csv", "rusentiment_test.csv").texts == 17
    assert dropped(stats, "rusentiment", "same text in test", "rusentiment") > 100
    assert stats.rows["test"] > 2_200


def test_members_of_one_archive(data_root: Path, tmp_path: Path) -> None:
    """Three splits in one ZIP give rows with ids of their own; the test wins over its 335 copies in train."""
    stats = stats_of(data_root, tmp_path, "sentiment-3", "chnsenticorp-splits")
    table = open_corpus(tmp_path / "corpus").table(columns=["id", "split"])
    ids = table.column("id").to_pylist()
    assert len(ids) == len(set(ids)) > 9_000
    assert {one[0].split("/")[1] for one in zip(ids, strict=True)} == {"0", "1", "2"}
    assert dropped(stats, "chnsenticorp-splits", "same text in test", "chnsenticorp-splits") >= 335


def test_smp2020(data_root: Path, tmp_path: Path) -> None:
    """Usual train shares 245 texts with its test; with its validation 129 of six letters or more, and a shorter one."""
    stats = stats_of(data_root, tmp_path, "emotions-7", "smp2020-usual")
    assert shared(stats, "usual_train_evanshao.txt", "usual_test_labeled.txt").texts == 245
    validation = shared(stats, "usual_train_evanshao.txt", "usual_eval_labeled.txt")
    assert (validation.texts, validation.long_texts) == (130, 129)


def test_app_reviews(data_root: Path, tmp_path: Path) -> None:
    """Of the test's texts of six letters or more 228 are in train, and more of the shorter ones."""
    found = shared(stats_of(data_root, tmp_path, "sentiment-3", "app-reviews-ru"), "train.csv", "test.csv")
    assert found.long_texts == 228
    assert found.texts > 300


def test_sentirueval_of_two_years(data_root: Path, tmp_path: Path) -> None:
    """2016's train holds all 2015 etalons and nearly all of 2015's train; its pair rows are the etalons' texts."""
    pairs = {
        "name": "pairs",
        "file": str(data_root / "sentirueval-2016" / "preprocessed_banks_test.csv"),
        "label_map": {"-1": "negative", "0": "neutral", "1": "positive"},
        "reader": {"delimiter": "\t"},
    }
    names = ("sentirueval-2015-banks", "sentirueval-2016-banks")
    stats = stats_of(data_root, tmp_path, "sentiment-3", *names, {"own": pairs})
    texts = {f"{source.name}/{file.split}": file.texts for source in stats.sources for file in source.files}
    answers = shared(stats, "2015-banks:banks_test_etalon.xml", "preprocessed_banks_train.csv")
    assert answers.texts == texts["sentirueval-2015-banks/test"] == 4_541
    train = shared(stats, "banks_train.xml", "preprocessed_banks_train.csv")
    assert train.texts > 0.95 * texts["sentirueval-2015-banks/train"]
    repeated = shared(stats, "preprocessed_banks_test.csv", "2016-banks:banks_test_etalon.xml")
    assert repeated.texts == texts["sentirueval-2016-banks/test"] == texts["pairs/None"] == 3_300


def test_hotels(data_root: Path, tmp_path: Path) -> None:
    """Nine in ten of the hotel reviews are in the shopping reviews; as a test they leave them."""
    hotels = {"card": "chnsenticorp-htl", "use": "test-only"}
    stats = stats_of(data_root, tmp_path, "sentiment-3", hotels, "online-shopping-10-cats")
    assert stats.overlaps[0].long_texts == 7_015
    assert dropped(stats, "online-shopping-10-cats", "same text in test", "chnsenticorp-htl") > 7_000
    assert next(one.kept for one in stats.sources if one.name == "chnsenticorp-htl") == {
        "train": 0,
        "validation": 0,
        "test": 7_765,
    }


def test_translated_emotions(data_root: Path, tmp_path: Path) -> None:
    """Kryptonit is Ru-GoEmotions' validation row for row; ru-izard's train shares about 170 texts with each part."""
    stats = stats_of(data_root, tmp_path, "emotions-7", "kryptonit", "ru-goemotions", "ru-izard-emotions")
    same = shared(stats, "valid.csv", "simplified-validation.csv")
    assert (same.first_rows, same.second_rows) == (5_426, 5_426)
    for part in ("simplified-validation.csv", "simplified-test.csv"):
        assert 170 <= shared(stats, part, "ru-izard-emotions:train.csv").texts <= 180
    assert next(one.kept for one in stats.sources if one.name == "ru-goemotions")["validation"] == 0


_OFFICIAL = {
    "app-reviews-ru": 2_378,
    "romip-2012": 4_573,
    "rusentiment": 2_214,
    "sentirueval-2016-banks": 3_302,
    "sentirueval-2016-telecom": 2_198,
}


def test_the_default_corpus_does_not_leak(recipe_corpus: Callable[[str], Corpus]) -> None:
    """No text is in two splits, held-out sets are in the test alone, and RuSentiment's train is nowhere."""
    default = recipe_corpus("sentiment-ru-zh")
    table = default.table(columns=("text", "source", "split"))
    seen: dict[str, str] = {}
    for row in table.to_pylist():
        assert seen.setdefault(dedupe_key(row["text"]), row["split"]) == row["split"]
    outside = [row for row in table.to_pylist() if row["split"] != "test"]
    assert len({dedupe_key(row["text"]) for row in outside}) == len(outside)
    kept = {source.name: source.kept for source in corpus_stats(default).sources}
    for name in ("rusentiment", "chnsenticorp-htl"):
        assert (kept[name]["train"], kept[name]["validation"]) == (0, 0)
    # As published, less the texts with several labels or with one that has no place among three classes.
    assert {name: kept[name]["test"] for name in _OFFICIAL} == _OFFICIAL
    for name in ("online-shopping-10-cats", "waimai-10k"):
        assert kept[name]["test"] == pytest.approx(sum(kept[name].values()) / 10, abs=2)


# Sources whose sentiment is made from an emotion, and sets that are tests as a whole or whose test is official.
_FELT = {
    "brighter-chn", "brighter-rus", "cedr", "cluemotion-2020", "covid19-weibo", "from-rnc-with-love",
    "nlpcc2014-emotion", "ru-goemotions", "ru-izard-emotions", "smp2020-usual", "tw-news-titles", "weibo-moods",
}  # fmt: skip
_TESTS = {"brighter-chn": 200, "brighter-rus": 199, "cedr": 1882, "cluemotion-2020": 3967, "smp2020-usual": 5000}


def test_the_corpus_of_the_embedded_model(recipe_corpus: Callable[[str], Corpus]) -> None:
    """No text is in two splits, every cell can be learned, and emotions teach about a quarter of the sentiment."""
    corpus = recipe_corpus("shades")
    assert all(cell.learned for cell in corpus_cells(corpus))
    seen: dict[str, str] = {}
    rows, felt = 0, 0
    for batch in corpus.batches(columns=("text", "source", "split", "labels:sentiment-3")):
        for row in batch.to_pylist():
            assert seen.setdefault(dedupe_key(row["text"]), row["split"]) == row["split"]
            if row["split"] == "train" and row["labels:sentiment-3"] is not None:
                rows += 1
                felt += row["source"] in _FELT
    assert 0.20 < felt / rows < 0.30
    kept = {source.name: source.kept for source in corpus_stats(corpus).sources}
    assert {name: kept[name]["test"] for name in _TESTS} == _TESTS
    assert kept["rusentiment"]["train"] > 19_000
    assert kept["cped"]["test"] > 25_000
    assert kept["msctd"]["test"] > 4_000


@pytest.mark.parametrize("name", ["sentiment-union", "sentiment-balanced", "kinopoisk", "douban-stars", "emotions-7"])
def test_the_published_systems_corpora_are_built(name: str, recipe_corpus: Callable[[str], Corpus]) -> None:
    """Each recipe builds from what is at hand, names what is not, and no split is empty."""
    stats = corpus_stats(recipe_corpus(name))
    assert {one.name for one in stats.sources} | {one.name for one in stats.skipped} == {
        spec.name for spec in load_recipe(recipe_file(name, "data")).sources
    }
    assert min(stats.rows.values()) > 200
