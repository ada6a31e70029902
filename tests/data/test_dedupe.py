"""Duplicates: keys, votes, what wins, near duplicates, ratings, overlaps."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.data.dedupe import aggregate_ratings, count_votes, resolve_near, resolve_same
from ottenok.data.manifest import OverlapCounter
from ottenok.data.near import Texts, band_plan, chunks, cut_shingles, find_groups, jaccard
from ottenok.data.rows import FREE, TEST, TRAIN, VALIDATION, Reason, dense_ids, key_digest, unpack_digests
from ottenok.recipes.corpus import CleanOptions

if TYPE_CHECKING:
    from pathlib import Path

RUSSIAN = "абвгдежзиклмнопрстуфхцчшщэюя"
HAN = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))
rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30)


def columns(table: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn rows of (text, split, label) into columns, the label that of the only task."""
    texts, splits, labels = zip(*table, strict=True)
    return np.array(texts, dtype=np.int32), np.array(splits, dtype=np.int8), np.array(labels, dtype=np.int32)[:, None]


def kept_by_hand(table: list[tuple[int, int, int]], rule: str) -> list[int]:
    """Apply the stated rules one text at a time."""
    kept = []
    for text in sorted({row[0] for row in table}):
        own = [number for number, row in enumerate(table) if row[0] == text]
        best = max(table[number][1] for number in own)
        if best == TEST:
            kept += [number for number in own if table[number][1] == TEST]
            continue
        voters = [number for number in own if table[number][1] == best]
        votes = Counter(table[number][2] for number in voters).most_common()
        alone = len(votes) == 1 or (rule == "majority" and votes[0][1] > votes[1][1])
        if alone:
            kept.append(next(number for number in voters if table[number][2] == votes[0][0]))
    return sorted(kept)


@settings(deadline=None)
@given(rows, st.sampled_from(["majority", "drop"]))
def test_one_row_of_each_text_stays_by_the_stated_rules(table: list[tuple[int, int, int]], rule: str) -> None:
    """What is computed on whole columns is what the rules say text by text."""
    verdict = resolve_same(*columns(table), rule=rule)
    assert np.flatnonzero(verdict.kept).tolist() == kept_by_hand(table, rule)


@settings(deadline=None)
@given(rows)
def test_reasons_name_the_row_that_stays(table: list[tuple[int, int, int]]) -> None:
    """A dropped row points to a kept one of its text, and the reason fits the two splits and labels."""
    verdict = resolve_same(*columns(table))
    for number, (text, split, label) in enumerate(table):
        winner = int(verdict.winner[number])
        reason = Reason(verdict.reason[number])
        if reason == Reason.KEPT:
            assert winner == -1
        elif winner == -1:
            assert reason == Reason.CONFLICT
        else:
            other = table[winner]
            assert verdict.kept[winner]
            assert other[0] == text
            assert {
                Reason.IN_TEST: other[1] == TEST > split,
                Reason.IN_VALIDATION: other[1] == VALIDATION > split,
                Reason.CONFLICT: other[1] == split and other[2] != label,
                Reason.DUPLICATE: other[1] in (split, TRAIN) and (other[1] > split or other[2] == label),
            }[reason]


def test_majority_wins_and_a_tie_loses_all() -> None:
    """Two against one keep the first of the two; one against one keep none, also not in the other splits."""
    table = [(0, FREE, 0), (0, FREE, 1), (0, FREE, 1), (1, VALIDATION, 0), (1, VALIDATION, 1), (1, TRAIN, 0)]
    verdict = resolve_same(*columns(table))
    assert verdict.kept.tolist() == [False, True, False, False, False, False]
    assert verdict.reason.tolist() == [Reason.CONFLICT, Reason.KEPT, Reason.DUPLICATE, *[Reason.CONFLICT] * 3]
    assert verdict.winner.tolist() == [1, -1, 1, -1, -1, -1]


def test_official_tests_stay_as_published() -> None:
    """Repeated and contradicting rows of a test all stay, and still take their text from train."""
    verdict = resolve_same(*columns([(0, TEST, 0), (0, TEST, 1), (0, TEST, 0), (0, TRAIN, 0)]), rule="drop")
    assert verdict.kept.tolist() == [True, True, True, False]
    assert verdict.reason[3] == Reason.IN_TEST
    assert verdict.winner[3] == 0


def test_train_does_not_outvote_the_test() -> None:
    """Only the winning split votes: a test row keeps its label whatever train says, and train loses the text."""
    verdict = resolve_same(*columns([(0, TRAIN, 1), (0, TRAIN, 1), (0, TEST, 0), (0, VALIDATION, 1)]))
    assert verdict.kept.tolist() == [False, False, True, False]
    assert set(verdict.reason[[0, 1, 3]].tolist()) == {Reason.IN_TEST}


@settings(deadline=None)
@given(rows)
def test_near_duplicates_leave_no_group_in_two_splits(table: list[tuple[int, int, int]]) -> None:
    """After it, a group is in one split (rows without a split may join train); every test row is still there."""
    groups, splits, labels = columns(table)
    verdict = resolve_near(groups, splits, labels)
    for group in set(groups.tolist()):
        own = (groups == group) & verdict.kept
        left = set(splits[own].tolist())
        assert left in ({FREE}, {TRAIN}, {FREE, TRAIN}, {VALIDATION}, {TEST})
        if left != {TEST}:
            assert len(set(labels[own, 0].tolist())) == own.sum()  # one row per label
    assert verdict.kept[splits == TEST].all()
    lost = ~verdict.kept
    assert verdict.kept[verdict.winner[lost]].all()
    assert (groups[verdict.winner[lost]] == groups[lost]).all()


@settings(deadline=None)
@given(rows)
def test_a_second_cleaning_drops_nothing(table: list[tuple[int, int, int]]) -> None:
    """Both rules are idempotent."""
    groups, splits, labels = columns(table)
    for resolve in (resolve_same, resolve_near):
        kept = resolve(groups, splits, labels).kept
        if kept.any():
            assert resolve(groups[kept], splits[kept], labels[kept]).kept.all()


def test_near_duplicates_of_other_labels_stay() -> None:
    """One word can turn a statement round: near texts with different labels both stay, in train."""
    verdict = resolve_near(*columns([(0, TRAIN, 0), (0, TRAIN, 1), (0, TRAIN, 0)]))
    assert verdict.kept.tolist() == [True, True, False]
    assert verdict.winner.tolist() == [-1, -1, 0]


def test_votes_are_counted() -> None:
    """The winner, whether it is alone, whether all agree, and how many voted."""
    votes = count_votes(np.array([0, 0, 0, 2, 2], np.int32), np.array([1, 1, 0, 1, 0], np.int32), count=3)
    assert votes.winner.tolist() == [1, -1, 0]
    assert votes.unique.tolist() == [True, False, False]
    assert votes.agreed.tolist() == [False, False, False]
    assert votes.rows.tolist() == [3, 0, 2]


def test_ratings_become_one_row_per_text() -> None:
    """Enough ratings and a label alone in front: the first row stays with that label, though it rated otherwise."""
    texts = np.array([5, 5, 5, 7, 7, 7, 9, 9, 9, 9], np.int32)
    labels = np.array([[0, 1, 1, 0, 1, 2, 2, 2, 0, 0]], np.int32).T
    reason, winner = aggregate_ratings(texts, labels, minimum=3)
    assert reason.tolist() == [Reason.KEPT, *[Reason.RATING] * 2, *[Reason.RATERS_DISAGREE] * 7]
    assert winner[0] == 1
    assert set(aggregate_ratings(texts, labels, minimum=4)[0][:6].tolist()) == {Reason.FEW_RATERS}


@settings(deadline=None)
@given(st.lists(st.text(max_size=3), max_size=50))
def test_dense_ids_are_equal_where_keys_are(keys: list[str]) -> None:
    """Two rows have one id exactly if they have one key; lone surrogates are keys too."""
    ids = dense_ids(unpack_digests(map(key_digest, keys)))
    assert len(set(zip(keys, ids.tolist(), strict=True))) == len(set(keys)) == len(set(ids.tolist()))
    assert sorted(set(ids.tolist())) == list(range(len(set(keys))))


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("абв中文字x1"), max_size=12), min_size=1, max_size=8))
def test_shingles_are_windows_of_the_key(keys: list[str]) -> None:
    """Equal windows have equal hashes and others do not, within one text and between texts; short keys have none."""
    shingles = cut_shingles(keys, CleanOptions(shingle=4, shingle_han=2))
    expected = []
    for key in keys:
        width = 2 if 2 * sum(letter >= "中" or letter in "文字" for letter in key) >= max(len(key), 1) else 4
        expected.append([key[place : place + width] for place in range(len(key) - width + 1)])
    assert shingles.counts.tolist() == [len(windows) for windows in expected]
    flat = [window for windows in expected for window in windows]
    assert len(set(zip(flat, shingles.hashes.tolist(), strict=True))) == len(set(flat))
    assert len(set(shingles.hashes.tolist())) == len(set(flat))


def shingle_set(key: str, options: CleanOptions) -> set[str]:
    """Cut the shingles of a key that is of one script."""
    width = options.shingle_han if key[0] in HAN else options.shingle
    return {key[place : place + width] for place in range(len(key) - width + 1)}


def index_by_hand(left: str, right: str, options: CleanOptions) -> float:
    """Compute the Jaccard index by its definition."""
    a, b = shingle_set(left, options), shingle_set(right, options)
    return len(a & b) / len(a | b)


def test_jaccard_is_that_of_the_sets_of_shingles() -> None:
    """The index is exact, also for texts that repeat themselves."""
    dice = random.Random(3)
    keys = ["".join(dice.choices(letters, k=dice.randint(12, 40))) for letters in (RUSSIAN[:3], HAN[:3]) * 20]
    pairs = [(dice.randrange(0, 40, 2), dice.randrange(0, 40, 2)) for _ in range(50)]
    left, right = map(np.array, zip(*pairs, strict=True))
    found = jaccard(keys, left, right, CleanOptions())
    assert found.tolist() == pytest.approx([index_by_hand(keys[a], keys[b], CleanOptions()) for a, b in pairs])


def group(keys: list[str], folder: Path, options: CleanOptions | None = None) -> list[int]:
    """Find the groups of keys that are held in memory."""
    options = options or CleanOptions()
    folder.mkdir(exist_ok=True)
    numbers = np.arange(len(keys), dtype=np.int64)
    lengths = np.array([len(key) for key in keys], dtype=np.int64)
    texts = Texts(rows=numbers, lengths=lengths, keys_of=lambda rows: [keys[row] for row in rows])
    return find_groups(texts, options, folder=folder).tolist()


def planted(dice: random.Random, letters: str, count: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Random texts, every tenth followed by itself with one letter changed."""
    keys: list[str] = []
    pairs = []
    for number in range(count):
        keys.append("".join(dice.choices(letters, k=dice.randint(60, 120))))
        if number % 10 == 0:
            twin = list(keys[-1])
            twin[dice.randrange(len(twin))] = "ё"
            pairs.append((len(keys) - 1, len(keys)))
            keys.append("".join(twin))
    return keys, pairs


def test_planted_near_duplicates_are_found_and_nothing_else(tmp_path: Path) -> None:
    """Texts with one letter changed are grouped, in Russian and in Chinese; strangers are not."""
    dice = random.Random(1)
    keys, pairs = planted(dice, RUSSIAN, 300)
    more, others = planted(dice, HAN, 300)
    pairs += [(a + len(keys), b + len(keys)) for a, b in others]
    keys += more
    groups = group(keys, tmp_path / "bands")
    near = [(a, b) for a, b in pairs if index_by_hand(keys[a], keys[b], CleanOptions()) >= 0.8]
    assert len(near) > 50
    expected = list(range(len(keys)))
    for a, b in near:
        expected[b] = a
    assert groups == expected


def test_groups_do_not_depend_on_the_company(tmp_path: Path) -> None:
    """A pair that is near among thousands is near alone: sketches of other texts play no part."""
    keys, pairs = planted(random.Random(2), RUSSIAN, 200)
    together = group(keys, tmp_path / "all")
    for number, (a, b) in enumerate(pairs):
        alone = group([keys[a], keys[b]], tmp_path / str(number))
        assert (alone == [0, 0]) == (together[a] == together[b])


def test_short_texts_are_never_near(tmp_path: Path) -> None:
    """In a text of a few letters one letter is much: below the least number of shingles nothing is near."""
    keys = ["нехорошо", "нехорошоо", "非常好吃", "非常好吃吃"]
    assert group(keys, tmp_path / "bands") == [0, 1, 2, 3]
    assert group(keys[:2], tmp_path / "bands", CleanOptions(minimum_shingles=1, shingle=3)) == [0, 0]


def test_chains_make_one_group(tmp_path: Path) -> None:
    """What is near to what is near belongs together, so that no split comes between them."""
    text = "".join(random.Random(4).choices(RUSSIAN, k=150))
    chain = [text[step * 8 : step * 8 + 100] for step in range(6)]
    assert index_by_hand(chain[0], chain[1], CleanOptions()) >= 0.8 > index_by_hand(chain[0], chain[5], CleanOptions())
    assert group(chain, tmp_path / "bands") == [0] * 6


def test_a_crowd_of_alike_texts_is_one_group(tmp_path: Path) -> None:
    """A template filled in hundreds of ways is one group, though its texts are not all compared with each other."""
    template = "".join(random.Random(5).choices(RUSSIAN, k=200))
    assert group([f"{template}{number:03}" for number in range(400)], tmp_path / "bands") == [0] * 400


def test_nothing_is_grouped_where_there_is_nothing(tmp_path: Path) -> None:
    """No rows, no groups."""
    assert group([], tmp_path / "bands") == []


def test_long_texts_are_compared_by_their_beginnings(tmp_path: Path) -> None:
    """A book takes no more memory than ten thousand letters: two with one beginning are near, whatever follows."""
    dice = random.Random(6)
    start = "".join(dice.choices(RUSSIAN, k=10_000))
    assert group([start + "".join(dice.choices(HAN, k=20_000)) for _ in range(2)], tmp_path / "bands") == [0, 0]


@settings(deadline=None)
@given(st.lists(st.integers(0, 2_500_000), max_size=40), st.integers(1, 5))
def test_chunks_are_bounded(lengths: list[int], most: int) -> None:
    """Every thing is in one chunk, in order; a chunk has at most so many, and a million characters before its last."""
    found = list(chunks(np.array(lengths, dtype=np.int64), most))
    assert [place for chunk in found for place in range(chunk.start, chunk.stop)] == list(range(len(lengths)))
    for chunk in found:
        assert chunk.stop - chunk.start <= most
        assert sum(lengths[chunk.start : chunk.stop - 1]) <= 1_000_000


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.99])
def test_bands_find_what_is_at_the_threshold(threshold: float) -> None:
    """The bands miss at most 0.5 % at the threshold, and one row more per band would miss more."""
    bands, width = band_plan(threshold)
    assert (1 - threshold**width) ** bands <= 0.005
    assert (1 - threshold ** (width + 1)) ** (128 // (width + 1)) > 0.005
    assert bands * width <= 128


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.text("абв", max_size=8)), max_size=60))
def test_overlaps_are_counted_as_by_hand(records: list[tuple[int, str]]) -> None:
    """Different texts, long ones, and rows on both sides, for every two files."""
    counter = OverlapCounter()
    for file, key in records:
        counter.add(key_digest(key), letters=len(key), file=file)
    texts = [{key for place, key in records if place == file} for file in range(4)]
    expected = []
    for first in range(4):
        for second in range(first + 1, 4):
            shared = texts[first] & texts[second]
            if shared:
                sides = [sum(place == file and key in shared for place, key in records) for file in (first, second)]
                expected.append((first, second, len(shared), sum(len(key) >= 6 for key in shared), *sides))
    found = [
        (one.first, one.second, one.texts, one.long_texts, one.first_rows, one.second_rows) for one in counter.count(4)
    ]
    assert found == expected
    assert counter.distinct(4).tolist() == [len(own) for own in texts]
