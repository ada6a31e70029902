"""Corpora whose texts carry labels for one task or more."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottenok.core.config import parse
from ottenok.core.errors import ConfigError, DataError, SchemeError
from ottenok.core.schemes import find_map, load_scheme
from ottenok.data.build import build
from ottenok.data.card import Label, load_card
from ottenok.data.corpus import open_corpus
from ottenok.data.harmonise import task_harmonisers
from ottenok.data.stats import corpus_cells, corpus_stats
from ottenok.recipes.corpus import CorpusRecipe, SourceSpec
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus

SENTIMENT, EMOTIONS, STARS = "labels:sentiment-3", "labels:emotions-7", "labels:stars-5"
TASKS = ["sentiment-3", "emotions-7", "stars-5"]
SLOW = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def text(number: int) -> str:
    """Make a text that is far from every other."""
    return f"{random.Random(number).getrandbits(200):x}"


def write(path: Path, rows: list[tuple[str, Any]]) -> str:
    """Write rows of (text, label) as JSON lines; return the path."""
    lines = [json.dumps({"text": one, "label": label}, ensure_ascii=False) for one, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def make(tmp_path: Path, *sources: dict[str, Any], tasks: list[str] | None = None, **changes: Any) -> Corpus:
    """Build a corpus of users' files under a temporary folder."""
    tree = {"name": "made", "tasks": tasks or TASKS, "sources": list(sources), **changes}
    recipe = parse(CorpusRecipe, tree)
    return build(recipe, root=None, cache=tmp_path / "cache", out=tmp_path / "corpus")


def own(
    tmp_path: Path, name: str, scheme: str, rows: list[tuple[str, Any]], split: str | None = None
) -> dict[str, Any]:
    """Write a file and return it as a source whose labels are of a scheme."""
    place = write(tmp_path / f"{name}.jsonl", rows)
    return {"own": {"name": name, "scheme": scheme, **({"files": {split: place}} if split else {"file": place})}}


def labels(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Return the rows of a corpus by text."""
    return {row["text"]: row for row in corpus.table().to_pylist()}


def test_one_row_carries_the_labels_of_two_sources(tmp_path: Path) -> None:
    """The same text under two tasks is one row with both labels, and what was joined is counted, not lost."""
    emotions = own(tmp_path, "a", "emotions-7", [(text(n), ["surprise"]) for n in range(40)])
    stars = own(tmp_path, "b", "stars-5", [(text(n).upper(), "Star_5") for n in range(30, 70)])
    corpus = make(tmp_path, emotions, stars)
    rows = labels(corpus)
    assert corpus.columns == ("id", "text", SENTIMENT, EMOTIONS, STARS, "source", "part", "language", "split")
    assert len(rows) == 70
    both = rows[text(35)]
    # Surprise says nothing of sentiment; five stars do.
    assert (both[EMOTIONS], both[STARS], both[SENTIMENT]) == (["surprise"], ["Star_5"], ["positive"])
    assert (rows[text(3)][EMOTIONS], rows[text(3)][STARS], rows[text(3)][SENTIMENT]) == (["surprise"], None, None)
    assert rows[text(60).upper()][EMOTIONS] is None
    stats = corpus_stats(corpus)
    assert [(one.reason, one.of, one.rows) for one in stats.sources[1].dropped] == [
        ("joined with the same text of another task", "a", 10)
    ]
    assert stats.scheme == "sentiment-3, emotions-7, stars-5"
    assert sum(count["emotions-7:surprise"] for count in stats.sources[0].labels.values()) == 40


def test_a_map_may_give_no_label_for_one_task_and_keep_the_row(tmp_path: Path) -> None:
    """Mixed emotions and surprise have no sentiment; the row stays for its emotions."""
    table = [("joy",), ("anger", "fear"), ("joy", "sadness"), ("surprise",), ("neutral",)]
    rows = [(text(n), list(table[n % 5])) for n in range(50)]
    found = labels(make(tmp_path, own(tmp_path, "a", "emotions-7", rows), tasks=["sentiment-3", "emotions-7"]))
    assert len(found) == 50
    expected = {0: ["positive"], 1: ["negative"], 2: None, 3: None, 4: ["neutral"]}
    assert {n % 5: found[text(n)][SENTIMENT] for n in range(50)} == expected


@pytest.mark.parametrize(
    ("scheme", "given", "expected"),
    [
        ("goemotions-28", ("love", "joy"), ("positive",)),
        ("goemotions-28", ("love", "anger"), None),
        ("goemotions-28", ("curiosity",), None),
        ("cedr-5", (), ("neutral",)),
        ("cedr-5", ("joy", "surprise"), None),
        ("cedr-6", ("no_emotion",), ("neutral",)),
        ("izard-10", ("shame", "guilt"), ("negative",)),
        ("emotions-7", ("joy", "neutral"), None),
    ],
)
def test_emotions_lead_to_sentiment_where_that_is_sound(
    scheme: str, given: tuple[str, ...], expected: tuple[str, ...] | None
) -> None:
    """Joy alone is positive, unpleasant emotions alone negative, nothing else is guessed."""
    assert find_map(scheme, "sentiment-3").apply(given) == expected


def test_a_source_names_the_classes_that_it_can_give(tmp_path: Path) -> None:
    """A set of two classes knows no neutral; CEDR knows no disgust; the manifest says so, per task and source."""
    binary = own(tmp_path, "binary", "sentiment-3", [(text(n), ["negative", "positive"][n % 2]) for n in range(40)])
    sets = [["joy"], [], ["sadness"], ["surprise"], ["fear"], ["anger"]]
    emotions = own(tmp_path, "emotions", "cedr-5", [(text(n), sets[n % 6]) for n in range(50, 98)])
    corpus = open_corpus(make(tmp_path, binary, emotions, tasks=["sentiment-3", "emotions-7"]).folder)
    assert corpus.task().classes == {
        "binary": ("negative", "positive"),
        "emotions": ("negative", "neutral", "positive"),
    }
    known = ("anger", "fear", "joy", "sadness", "surprise", "neutral")
    assert corpus.task("emotions-7").classes == {"emotions": known}
    assert corpus.manifest["format"] == 2
    assert [task.column for task in corpus.tasks] == [SENTIMENT, EMOTIONS]
    with pytest.raises(DataError, match="no task 'stars-5'"):
        corpus.task("stars-5")


def test_public_cards_say_their_classes() -> None:
    """The two-class review sets of China give no neutral."""
    label = load_card("waimai-10k").label
    (one,) = task_harmonisers(SourceSpec(card="waimai-10k"), label, [load_scheme("sentiment-3")])
    assert one is not None
    assert one.classes == ("negative", "positive")


def test_a_label_that_the_rows_source_cannot_give_does_not_join_it(tmp_path: Path) -> None:
    """A row of a two-class source never carries `neutral`, which its loss could not bear."""
    stars = [(text(n), ["Star_1", "Star_5"][n % 2]) for n in range(40)]
    neutral = [(text(3), "neutral"), (text(3).upper(), "neutral")]
    corpus = make(
        tmp_path,
        own(tmp_path, "a", "stars-5", stars),
        own(tmp_path, "b", "sentiment-3", [*neutral, (text(90), "neutral")]),
        tasks=["sentiment-3", "stars-5"],
    )
    row = labels(corpus)[text(3)]
    assert (row["source"], row[STARS], row[SENTIMENT]) == ("a", ["Star_5"], None)


def test_conflicts_are_settled_task_by_task(tmp_path: Path) -> None:
    """Two sources that disagree on sentiment leave the text its emotions."""
    corpus = make(
        tmp_path,
        own(tmp_path, "a", "emotions-7", [(text(n), ["joy"]) for n in range(20)]),
        own(tmp_path, "b", "sentiment-3", [(text(0), "negative"), (text(50), "positive")]),
        tasks=["sentiment-3", "emotions-7"],
    )
    row = labels(corpus)[text(0)]
    assert (row["source"], row[EMOTIONS], row[SENTIMENT]) == ("a", ["joy"], None)


def test_a_test_of_one_task_takes_its_texts_from_every_other(tmp_path: Path) -> None:
    """A text of an official test is in no other split, whatever it is labelled for there, and stays as published."""
    corpus = make(
        tmp_path,
        own(tmp_path, "a", "stars-5", [(text(n), "Star_1") for n in range(20)], "test"),
        own(tmp_path, "b", "emotions-7", [(text(n), ["joy"]) for n in range(10, 60)]),
    )
    rows = labels(corpus)
    assert len(rows) == 60
    assert (rows[text(15)]["split"], rows[text(15)]["source"], rows[text(15)][EMOTIONS]) == ("test", "a", None)
    lost = corpus_stats(corpus).sources[1].dropped
    assert [(one.reason, one.of, one.rows) for one in lost] == [("same text in test", "a", 10)]


def test_a_training_text_takes_a_label_from_a_source_without_splits(tmp_path: Path) -> None:
    """The row stays in the official split; the other task's label joins it there."""
    corpus = make(
        tmp_path,
        own(tmp_path, "a", "emotions-7", [(text(n), ["fear"]) for n in range(30)]),
        own(tmp_path, "b", "stars-5", [(text(n), "Star_3") for n in range(30)], "train"),
        split={"validation_from_train": False},
    )
    rows = corpus.table().to_pylist()
    assert {(row["source"], row["split"], *row[EMOTIONS], *row[STARS]) for row in rows} == {
        ("b", "train", "fear", "Star_3")
    }


WORDS = ["очень", "хороший", "телефон", "плохая", "камера", "быстрая", "доставка", "не", "работает", "спасибо"]
BASES = [" ".join(random.Random(number).choices(WORDS, k=12)) for number in range(6)]
GIVEN = {"sentiment-3": ["negative", "positive"], "emotions-7": [["joy"], ["fear", "anger"]], "stars-5": ["Star_2"]}
table = st.lists(st.tuples(st.sampled_from(BASES), st.sampled_from(["", "!", " а"]), st.integers(0, 1)), max_size=20)


@SLOW
@given(st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from([None, "train", "validation", "test"]), table)))
def test_no_text_is_in_two_splits_and_every_record_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, sources: list[tuple[str, str | None, list[tuple[str, str, int]]]]
) -> None:
    """Whatever tasks and splits the sources mix: no leak, one row per text outside tests, no row without a label."""
    folder = tmp_path_factory.mktemp("tasks")
    listed = [own(folder, "first", "stars-5", [("какой-то другой текст", "Star_4")])]
    for number, (scheme, split, rows) in enumerate(sources):
        values = GIVEN[scheme]
        given_rows = [(base + end, values[place % len(values)]) for base, end, place in rows]
        extra = [(f"запасной текст номер {number}", values[0])]
        listed.append(own(folder, f"s{number}", scheme, given_rows or extra, split))
    corpus = make(folder, *listed, clean={"minimum_shingles": 3})
    rows_ = corpus.table().to_pylist()
    seen: dict[str, str] = {}
    for row in rows_:
        assert seen.setdefault(dedupe_key(row["text"]), row["split"]) == row["split"]
        assert any(row[column] is not None for column in (SENTIMENT, EMOTIONS, STARS))
        for task in corpus.tasks:
            allowed = task.classes.get(row["source"], task.scheme.labels)
            assert set(row[task.column] or ()) <= set(allowed)
    outside = [dedupe_key(row["text"]) for row in rows_ if row["split"] != "test"]
    assert len(set(outside)) == len(outside)
    for source in corpus_stats(corpus).sources:
        lost = sum(one.rows for one in source.dropped) + sum(source.rejected.values())
        assert source.read == sum(source.kept.values()) + lost


def test_limits_and_splits_hold_for_every_task(tmp_path: Path) -> None:
    """Each source's labels have the shares of the recipe, and a limit counts rows, not labels."""
    corpus = make(
        tmp_path,
        {**own(tmp_path, "a", "emotions-7", [(text(n), [["joy"], ["fear"]][n % 2]) for n in range(400)]), "limit": 200},
        own(tmp_path, "b", "stars-5", [(text(n), f"Star_{n % 5 + 1}") for n in range(500, 1000)]),
    )
    stats = {one.name: one for one in corpus_stats(corpus).sources}
    assert sum(stats["a"].kept.values()) == 200
    assert stats["a"].kept["test"] == pytest.approx(20, abs=1)
    assert stats["b"].kept == {"train": 400, "validation": 50, "test": 50}
    assert {name: count for name, count in stats["b"].labels["test"].items() if name.startswith("stars-5")} == {
        f"stars-5:Star_{star}": 10 for star in range(1, 6)
    }


def test_cells_show_what_was_never_learned(tmp_path: Path) -> None:
    """Language by task by class, empty cells too; the numbers are those of the rows."""
    russian = [("".join(random.Random(n).choices("абвгдежзик", k=30)), ["joy"]) for n in range(400)]
    chinese = [("".join(random.Random(n).choices("的一是了我不人在他有", k=30)), "Star_1") for n in range(300)]
    corpus = make(tmp_path, own(tmp_path, "ru", "emotions-7", russian), own(tmp_path, "zh", "stars-5", chinese))
    cells = {(one.task, one.language, one.label): one for one in corpus_cells(corpus)}
    assert len(cells) == 2 * (3 + 7 + 5)
    joy = cells["emotions-7", "ru", "joy"]
    assert (joy.train, joy.validation, joy.test, joy.learned) == (320, 40, 40, True)
    assert (cells["sentiment-3", "zh", "negative"].train, cells["sentiment-3", "zh", "neutral"].learned) == (240, False)
    assert cells["emotions-7", "zh", "joy"].train == 0


def test_a_source_may_be_for_some_tasks_alone(tmp_path: Path) -> None:
    """`tasks` of a source narrows what it is taken for."""
    stars = own(tmp_path, "a", "stars-5", [(text(n), "Star_1") for n in range(30)])
    corpus = make(tmp_path, {**stars, "tasks": ["stars-5"]})
    assert {row[SENTIMENT] is None for row in corpus.table().to_pylist()} == {True}
    with pytest.raises(SchemeError, match="no sound map from the scheme stars-5 to emotions-7"):
        make(tmp_path, {**stars, "tasks": ["emotions-7"]})


def test_ratings_are_settled_for_each_task() -> None:
    """A set rated in one scheme and used for two keeps one row per text with the majority of each."""
    label = Label(scheme="stars-5", map={str(star): f"Star_{star}" for star in range(1, 6)})
    found = task_harmonisers(SourceSpec(card="dmsc"), label, [load_scheme(name) for name in TASKS])
    assert [one and one(("5",)).labels for one in found] == [("positive",), None, ("Star_5",)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scheme": "stars-5"}, "either scheme, or tasks"),
        ({"tasks": []}, "either scheme, or tasks"),
        ({"tasks": ["stars-5", "stars-5"]}, "different schemes"),
        ({"sources": [{"card": "cedr", "tasks": ["cedr-5"]}]}, "no task of the recipe"),
        ({"sources": [{"card": "cedr", "map": {"joy": "positive"}}]}, "name the one task"),
        ({"sources": [{"own": {"name": "x", "file": "x.csv"}}]}, "needs own.scheme"),
    ],
)
def test_wrong_tasks_are_refused(change: dict[str, Any], message: str) -> None:
    """Each gives an error that says what was expected."""
    tree = {"name": "x", "tasks": ["sentiment-3", "stars-5"], "sources": [{"card": "cedr"}], **change}
    with pytest.raises(ConfigError, match=message):
        parse(CorpusRecipe, tree)


def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither a second run nor another order of sources changes a byte of the rows."""
    sources = [
        own(tmp_path, "a", "emotions-7", [(text(n), ["joy"]) for n in range(60)]),
        own(tmp_path, "b", "stars-5", [(text(n), "Star_4") for n in range(30, 90)]),
    ]
    one = make(tmp_path, *sources)
    content = (one.folder / "corpus.parquet").read_bytes()
    two = make(tmp_path, *reversed(sources))
    assert (two.folder / "corpus.parquet").read_bytes() == content


def test_a_corpus_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """A format that is not known is told, not misread."""
    corpus = make(tmp_path, own(tmp_path, "a", "stars-5", [(text(n), "Star_4") for n in range(30)]))
    file = corpus.folder / "manifest.json"
    file.write_text(json.dumps({**corpus.manifest, "format": 3}), encoding="utf-8")
    with pytest.raises(DataError, match="not of a format that this version reads"):
        open_corpus(corpus.folder)
