"""Building a corpus from files, through the public door: what is kept, what is counted, what is never left behind."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottenok.core.config import parse
from ottenok.core.errors import ConfigError, DataError, SchemeError
from ottenok.core.progress import Silent
from ottenok.data.build import build
from ottenok.data.corpus import open_corpus
from ottenok.data.near import jaccard
from ottenok.data.stats import CorpusStats, corpus_stats
from ottenok.recipes.corpus import CleanOptions, CorpusRecipe
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus

SLOW = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = ["очень", "хороший", "телефон", "плохая", "камера", "быстрая", "доставка", "не", "работает", "спасибо"]
LABELS = ["negative", "neutral", "positive"]
# A few base texts and small changes of them, so that exact and near duplicates and conflicts are frequent.
BASES = [" ".join(random.Random(number).choices(WORDS, k=12)) for number in range(6)]
texts = st.builds(
    lambda base, change: {"same": base, "case": base.upper() + "!", "end": base + "а", "other": base[::-1]}[change],
    st.sampled_from(BASES),
    st.sampled_from(["same", "case", "end", "other"]),
)
tables = st.lists(st.tuples(texts, st.sampled_from(LABELS)), max_size=25)
SPLITS = (None, "train", "validation", "test")


def write(path: Path, rows: list[tuple[str, Any]]) -> str:
    """Write rows of (text, label) as JSON lines; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def recipe(*sources: dict[str, Any], **changes: Any) -> CorpusRecipe:
    """Make a recipe of sources; a source without card is the user's own."""
    listed = [source if "card" in source or "own" in source else {"own": source} for source in sources]
    return parse(CorpusRecipe, {"name": "made", "scheme": "sentiment-3", "sources": listed, **changes})


def make(one: CorpusRecipe, tmp_path: Path, out: str = "corpus", **options: Any) -> Corpus:
    """Build a recipe under a temporary folder."""
    return build(one, root=None, cache=tmp_path / "cache", out=tmp_path / out, **options)


def rows_of(corpus: Corpus) -> list[dict[str, Any]]:
    """Return all rows of a corpus."""
    return corpus.table().to_pylist()


def texts_of(corpus: Corpus, split: str) -> set[str]:
    """Return the texts of a split."""
    return set(corpus.table(split).column("text").to_pylist())


def check_account(stats: CorpusStats) -> None:
    """Check that every record that was read is kept, dropped or rejected."""
    for source in stats.sources:
        lost = sum(one.rows for one in source.dropped) + sum(source.rejected.values())
        assert source.read == sum(source.kept.values()) + lost
        assert source.read == sum(file.rows for file in source.files)
    assert sum(stats.rows.values()) == sum(sum(source.kept.values()) for source in stats.sources)


def many(count: int, *, offset: int = 0) -> list[tuple[str, str]]:
    """Make texts that are far from each other, labels in turn."""
    return [(f"{random.Random(number + offset).getrandbits(160):x}", LABELS[number % 3]) for number in range(count)]


@SLOW
@given(st.lists(st.tuples(tables, st.sampled_from(SPLITS)), min_size=1, max_size=4), st.integers(1, 3))
def test_no_text_and_no_near_duplicate_is_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory, sources: list[tuple[list[tuple[str, str]], str | None]], seed: int
) -> None:
    """Whatever the sources repeat of each other: after the build no key and no near pair crosses a split."""
    folder = tmp_path_factory.mktemp("leaks")
    listed = []
    for number, (table, split) in enumerate(sources):
        file = write(folder / f"{number}.jsonl", table or [("какой-то другой текст", "neutral")])
        listed.append({"name": f"s{number}", "files": {split: file}} if split else {"name": f"s{number}", "file": file})
    try:
        corpus = make(recipe(*listed, seed=seed), folder)
    except DataError as error:
        assert error.message.startswith("no row is left")  # noqa: PT017 - all texts were in conflict
        return
    rows = rows_of(corpus)
    keys = [dedupe_key(row["text"]) for row in rows]
    outside = [key for key, row in zip(keys, rows, strict=True) if row["split"] != "test"]
    assert len(set(outside)) == len(outside)  # an official test stays as published
    pairs = [(a, b) for a in range(len(rows)) for b in range(a) if rows[a]["split"] != rows[b]["split"]]
    if pairs:
        left, right = zip(*pairs, strict=True)
        assert jaccard(keys, list(left), list(right), CleanOptions()).max() < 0.8
    assert len({row["id"] for row in rows}) == len(rows)
    check_account(corpus_stats(corpus))


@SLOW
@given(tables.filter(bool), tables)
def test_building_from_its_own_output_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    """A corpus is clean: built again from its own splits it keeps every row, text, label and split."""
    folder = tmp_path_factory.mktemp("again")
    one = {"name": "a", "file": write(folder / "a.jsonl", first)}
    two = {"name": "b", "files": {"test": write(folder / "b.jsonl", second or [("тест", "neutral")])}}
    corpus = make(recipe(one, two), folder)
    files = {}
    for split in ("train", "validation", "test"):
        table = corpus.table(split).to_pylist()
        if table:
            files[split] = write(folder / f"{split}.jsonl", [(row["text"], row["labels"][0]) for row in table])
    again = make(recipe({"name": "again", "files": files}, split={"validation_from_train": False}), folder, "again")

    def content(made: Corpus) -> list[tuple[str, str, str]]:
        return sorted((row["text"], row["labels"][0], row["split"]) for row in rows_of(made))

    assert content(again) == content(corpus)


def test_the_same_recipe_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    """Neither a second run nor another order of the sources changes a byte of corpus or manifest."""
    one = {"name": "a", "file": write(tmp_path / "a.jsonl", [*many(60), ("спасибо", "positive")])}
    two = {"name": "b", "file": write(tmp_path / "b.jsonl", many(60, offset=40) + [("спасибо", "neutral")] * 2)}
    made = [
        make(recipe(*order), tmp_path, f"out-{number}")
        for number, order in enumerate([(one, two), (one, two), (two, one)])
    ]
    for file in ("corpus.parquet", "manifest.json"):
        contents = [(corpus.folder / file).read_bytes() for corpus in made]
        assert contents[0] == contents[1]
        if file == "corpus.parquet":
            assert contents[0] == contents[2]
    assert corpus_stats(made[0]) == corpus_stats(made[2])


def test_another_seed_cuts_another_test(tmp_path: Path) -> None:
    """The seed decides the split, and both are 80/10/10."""
    source = {"name": "a", "file": write(tmp_path / "a.jsonl", many(300))}
    one, two = (make(recipe(source, seed=seed), tmp_path, str(seed)) for seed in (1, 2))
    assert corpus_stats(one).rows == corpus_stats(two).rows == {"train": 240, "validation": 30, "test": 30}
    assert texts_of(one, "test") != texts_of(two, "test")


def test_official_splits_stay_and_the_test_wins(tmp_path: Path) -> None:
    """A text of the test leaves train and validation of every source; the counts say whose test it was."""
    train, test = many(90), many(30, offset=200)
    files = {
        "train": write(tmp_path / "train.jsonl", [*train, *test[:5]]),
        "test": write(tmp_path / "test.jsonl", test),
    }
    other = write(tmp_path / "other.jsonl", [*many(50, offset=400), test[7], (test[8][0].upper(), test[8][1])])
    corpus = make(recipe({"name": "a", "files": files}, {"name": "b", "file": other}), tmp_path)
    assert {text for text, _ in test} <= texts_of(corpus, "test")
    stats = corpus_stats(corpus)
    dropped = {
        (source.name, one.split, one.reason, one.of): one.rows for source in stats.sources for one in source.dropped
    }
    assert dropped == {
        ("a", "train", "same text in test", "a"): 5,
        ("b", None, "same text in test", "a"): 2,
    }
    check_account(stats)
    overlaps = {(one.first, one.second): one.texts for one in stats.overlaps}
    assert overlaps == {("a:train.jsonl", "a:test.jsonl"): 5, ("a:test.jsonl", "b:other.jsonl"): 2}


def test_validation_is_cut_from_an_official_train_without_one(tmp_path: Path) -> None:
    """A source with train and test alone gives a ninth of its train to validation, unless told otherwise."""
    files = {"train": write(tmp_path / "a.jsonl", many(81)), "test": write(tmp_path / "b.jsonl", many(9, offset=500))}
    source = {"name": "a", "files": files}
    assert corpus_stats(make(recipe(source), tmp_path, "one")).rows == {"train": 72, "validation": 9, "test": 9}
    untouched = make(recipe(source, split={"validation_from_train": False}), tmp_path, "two")
    assert corpus_stats(untouched).rows == {"train": 81, "validation": 0, "test": 9}


def test_an_official_validation_may_join_the_train(tmp_path: Path) -> None:
    """`cut` pools train and validation and cuts the share anew; `train` leaves no validation; `test` makes it test."""
    files = {
        "train": write(tmp_path / "a.jsonl", many(60)),
        "validation": write(tmp_path / "b.jsonl", many(30, offset=300)),
        "test": write(tmp_path / "c.jsonl", many(9, offset=500)),
    }
    rows = {}
    for validation in ("official", "cut", "train", "test"):
        source = {"own": {"name": "a", "files": files}, "validation": validation}
        rows[validation] = list(corpus_stats(make(recipe(source), tmp_path, validation)).rows.values())
    assert rows == {"official": [60, 30, 9], "cut": [81, 9, 9], "train": [90, 0, 9], "test": [54, 6, 39]}


def test_use_says_what_a_source_is_for(tmp_path: Path) -> None:
    """`test-only` without an official test is a test as a whole; `train-only` never gives a test."""
    files = {"train": write(tmp_path / "a.jsonl", many(81)), "test": write(tmp_path / "b.jsonl", many(30, offset=500))}
    plain = write(tmp_path / "c.jsonl", many(90, offset=900))
    rows = {}
    for use in ("all", "train-only", "test-only"):
        sources = [
            {"own": {"name": "split", "files": files}, "use": use},
            {"own": {"name": "plain", "file": plain}, "use": use},
        ]
        stats = corpus_stats(make(recipe(*sources), tmp_path, use))
        rows[use] = {source.name: list(source.kept.values()) for source in stats.sources}
        check_account(stats)
    assert rows == {
        "all": {"plain": [72, 9, 9], "split": [72, 9, 30]},
        "train-only": {"plain": [81, 9, 0], "split": [72, 9, 0]},
        "test-only": {"plain": [0, 0, 90], "split": [0, 0, 30]},
    }


def test_conflicting_labels_are_resolved_by_the_rule(tmp_path: Path) -> None:
    """Two against one: one row with the majority's label. One against one: none. `drop`: none in both cases."""
    table = [("два к одному", "positive"), ("Два к одному!", "negative"), ("ДВА К ОДНОМУ", "positive")]
    table += [("один к одному", "positive"), ("один к одному", "negative"), *many(20)]
    source = {"name": "a", "file": write(tmp_path / "a.jsonl", table)}
    found = {row["text"]: row["labels"] for row in rows_of(make(recipe(source), tmp_path, "one"))}
    assert found["два к одному"] == ["positive"]
    assert len(found) == 21
    assert len(rows_of(make(recipe(source, clean={"conflicts": "drop"}), tmp_path, "two"))) == 20


def test_near_duplicates_go_and_can_be_kept(tmp_path: Path) -> None:
    """The second of two near texts with one label goes; with two labels both stay, in one split; `near` can be off."""
    long = "телефон приехал очень быстро, упаковка целая, всё работает, спасибо продавцу"
    table = [(long, "positive"), (long + "!!! а", "positive"), (long + " б", "negative"), *many(30)]
    source = {"name": "a", "file": write(tmp_path / "a.jsonl", table)}
    corpus = make(recipe(source), tmp_path, "one")
    stats = corpus_stats(corpus)
    assert [(one.reason, one.of, one.rows) for one in stats.sources[0].dropped] == [("near duplicate", "a", 1)]
    assert len({row["split"] for row in rows_of(corpus) if row["text"].startswith(long)}) == 1
    assert stats.near is not None
    assert (stats.near.groups, stats.near.texts, stats.near.largest) == (1, 3, 3)
    off = corpus_stats(make(recipe(source, clean={"near": False}), tmp_path, "two"))
    assert (sum(off.rows.values()), off.near) == (33, None)


def test_limits_parts_and_short_texts_are_counted(tmp_path: Path) -> None:
    """What the recipe leaves out is left out, the same for the same seed, and counted under its reason."""
    file = tmp_path / "a.jsonl"
    lines = [
        {"text": text, "label": label, "cat": "книги" if number % 2 else "酒店"}
        for number, (text, label) in enumerate(many(80))
    ]
    file.write_text(
        "\n".join(json.dumps(line) for line in [*lines, {"text": "ок", "label": "positive", "cat": "книги"}])
    )
    own = {"name": "a", "file": str(file), "part": "cat"}
    source = {"own": own, "without_parts": ["酒店"], "limit": 20}
    corpus = make(recipe(source, clean={"minimum_letters": 3}), tmp_path)
    assert {row["part"] for row in rows_of(corpus)} == {"книги"}
    stats = corpus_stats(corpus)
    assert {one.reason: one.rows for one in stats.sources[0].dropped} == {
        "part not chosen": 40,
        "too short": 1,
        "over the limit": 20,
    }
    check_account(stats)


def test_a_strangers_file_goes_in(tmp_path: Path) -> None:
    """Semicolons, a BOM, quotes and a broken row: the good rows are in, the broken one is named in the rejects file."""
    file = tmp_path / "отзывы.csv"
    good = [f'"Отзыв; номер {number}, он ""такой""";{LABELS[number % 3]}' for number in range(30)]
    file.write_text("\n".join(["текст;оценка", *good[:10], "лишнее;поле;positive", *good[10:]]), encoding="utf-8-sig")
    own = {"name": "отзывы", "file": str(file), "text": "текст", "label": "оценка", "languages": ["ru"]}
    corpus = make(recipe(own, clean={"near": False}), tmp_path)
    stats = corpus_stats(corpus)
    assert stats.sources[0].read == 31
    assert sum(stats.sources[0].rejected.values()) == 1
    reject = json.loads((corpus.folder / "rejects.jsonl").read_text(encoding="utf-8"))
    assert (reject["source"], reject["row"]) == ("отзывы", 11)
    assert str(tmp_path) not in (corpus.folder / "rejects.jsonl").read_text(encoding="utf-8")
    assert rows_of(corpus)[0] == {
        "id": "отзывы/0/1",
        "text": 'Отзыв; номер 0, он "такой"',
        "labels": ["negative"],
        "source": "отзывы",
        "part": None,
        "language": "ru",
        "split": rows_of(corpus)[0]["split"],
    }
    check_account(stats)


def test_own_labels_make_a_scheme_of_their_own(tmp_path: Path) -> None:
    """With scheme `own` the labels stay as they are, and the corpus itself says what they are."""
    table = [(text, ["спорт", "политика", "наука"][number % 3]) for number, (text, _) in enumerate(many(60))]
    corpus = make(recipe({"name": "a", "file": write(tmp_path / "a.jsonl", table)}, scheme="own"), tmp_path)
    scheme = open_corpus(corpus.folder).label_scheme
    assert (scheme.kind, scheme.labels) == ("multi-class", ("наука", "политика", "спорт"))
    assert {row["labels"][0] for row in rows_of(corpus)} == set(scheme.labels)


def test_a_recipe_may_define_a_scheme_and_the_way_to_it(tmp_path: Path) -> None:
    """An own scheme, with a built-in set's labels mapped to it by the recipe; `""` drops."""
    own = {"name": "a", "file": write(tmp_path / "a.jsonl", many(60)), "scheme": "sentiment-3"}
    source = {"own": own, "map": {"negative": "bad", "neutral": "", "positive": "good"}}
    titles = {"ru": ["плохо", "хорошо"]}
    scheme = {"name": "two", "kind": "ordinal", "labels": ["bad", "good"], "values": [-1.0, 1.0], "titles": titles}
    corpus = make(recipe(source, scheme="two", own_scheme=scheme), tmp_path)
    assert corpus.label_scheme.values == (-1.0, 1.0)
    assert corpus.label_scheme.titles == {"en": ("bad", "good"), "ru": ("плохо", "хорошо")}
    stats = corpus_stats(corpus).sources[0]
    assert Counter(row["labels"][0] for row in rows_of(corpus)) == {"bad": 20, "good": 20}
    assert [(one.reason, one.rows) for one in stats.dropped] == [("label left out by the map", 20)]
    table = [(text, ["bad", "good"][number % 2]) for number, (text, _) in enumerate(many(40, offset=100))]
    plain = {"name": "b", "file": write(tmp_path / "b.jsonl", table)}
    both = make(recipe(source, plain, scheme="two", own_scheme=scheme), tmp_path, "both")
    assert Counter(row["labels"][0] for row in rows_of(both)) == {"bad": 40, "good": 40}
    with pytest.raises(SchemeError, match="says nothing about: positive"):
        make(recipe({**source, "map": {"negative": "bad", "neutral": ""}}, scheme="two", own_scheme=scheme), tmp_path)


def test_several_labels_and_none_are_kept_in_a_multi_label_scheme(tmp_path: Path) -> None:
    """Sets of labels come out in the scheme's order, an empty one stays an answer, repeats of one are no conflict."""
    sets = [["fear", "joy"], [], ["anger"], ["joy"]]
    table = [(text, sets[number % 4]) for number, (text, _) in enumerate(many(80))]
    file = write(tmp_path / "a.jsonl", [*table, (table[0][0].upper(), ["joy", "fear"])])
    corpus = make(recipe({"name": "a", "file": file}, scheme="cedr-5"), tmp_path)
    assert Counter(tuple(row["labels"]) for row in rows_of(corpus)) == {
        ("joy", "fear"): 20,
        (): 20,
        ("anger",): 20,
        ("joy",): 20,
    }
    stats = corpus_stats(corpus).sources[0]
    assert stats.labels["train"]["(none)"] == 16
    assert [(one.reason, one.rows) for one in stats.dropped] == [("duplicate", 1)]


def test_a_source_that_is_not_here_is_skipped_aloud_or_stops_the_build(tmp_path: Path) -> None:
    """An optional set leaves a note on the screen and in the manifest; a needed one is an error with a way out."""

    class Notes(Silent):
        def __init__(self) -> None:
            self.said: list[str] = []

        def note(self, message: str) -> None:
            self.said.append(message)

    notes = Notes()
    own = {"name": "a", "file": write(tmp_path / "a.jsonl", many(30))}
    corpus = make(recipe(own, {"card": "rureviews", "optional": True}), tmp_path, progress=notes)
    assert [one.name for one in corpus_stats(corpus).skipped] == ["rureviews"]
    assert len(notes.said) == 1
    assert "rureviews is left out" in notes.said[0]
    with pytest.raises(DataError) as error:
        make(recipe(own, {"card": "rureviews"}), tmp_path, "two")
    assert "rureviews" in str(error.value)
    assert error.value.hint
    with pytest.raises(ConfigError, match="no source of the recipe is on this machine"):
        make(recipe({"card": "rureviews", "optional": True}), tmp_path, "three")


def test_a_source_listed_twice_is_refused(tmp_path: Path) -> None:
    """Ids must be unique, so names must."""
    own = {"name": "a", "file": write(tmp_path / "a.jsonl", many(30))}
    with pytest.raises(ConfigError, match="'a' is listed 2 times"):
        make(recipe(own, own), tmp_path)


def test_words_and_unlabelled_texts_make_no_corpus(tmp_path: Path) -> None:
    """A lexicon or a set without labels is refused as a source, with what it is."""
    for card in ("kartaslovsent", "unlabelled-social-ru"):
        with pytest.raises(DataError, match="no labelled texts") as error:
            make(recipe({"card": card}), tmp_path)
        assert error.value.hint


def test_nothing_is_left_behind_by_a_failure(tmp_path: Path) -> None:
    """Ctrl-C in any stage leaves the folder as it was: with the old corpus, or without any."""
    own = {"name": "a", "file": write(tmp_path / "a.jsonl", many(40))}

    class Interrupting(Silent):
        def __init__(self, stage: str) -> None:
            self.stage = stage

        def start(self, stage: str, *, total: int | None, unit: str) -> None:
            if stage.startswith(self.stage):
                raise KeyboardInterrupt

    stages = ["reading", "exact", "near duplicates: sketching", "near duplicates: comparing", "writing"]
    for stage in stages:
        with pytest.raises(KeyboardInterrupt):
            make(recipe(own), tmp_path, progress=Interrupting(stage))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]
    before = make(recipe(own), tmp_path).folder / "corpus.parquet"
    content = before.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        make(recipe(own, seed=5), tmp_path, progress=Interrupting("writing"))
    assert before.read_bytes() == content
    make(recipe(own, seed=5), tmp_path)
    assert before.read_bytes() != content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "corpus"]
    assert sorted(path.name for path in before.parent.iterdir()) == ["corpus.parquet", "manifest.json"]


def test_what_is_no_corpus_is_not_replaced(tmp_path: Path) -> None:
    """A folder with something else in it stays as it is."""
    own = {"name": "a", "file": write(tmp_path / "a.jsonl", many(30))}
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "letters.txt").write_text("важное")
    with pytest.raises(DataError, match="it is no corpus"):
        make(recipe(own), tmp_path)
    assert (tmp_path / "corpus" / "letters.txt").read_text() == "важное"


def test_the_manifest_names_no_local_folder(tmp_path: Path) -> None:
    """A corpus may be passed on: its manifest tells names and checksums of files, not where they lay."""
    own = {"name": "a", "file": write(tmp_path / "private" / "a.jsonl", many(30))}
    corpus = make(recipe(own), tmp_path)
    assert "private" not in (corpus.folder / "manifest.json").read_text(encoding="utf-8")
    manifest = corpus.manifest
    assert manifest["sources"][0]["files"][0]["path"] == "a.jsonl"
    assert manifest["recipe"]["sources"][0]["own"]["file"] == "a.jsonl"
    assert set(manifest["versions"]) >= {"ottenok", "python", "rensa", "numpy"}
