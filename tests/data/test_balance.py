"""Sampling plans and class weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from ottenok.core.config import parse
from ottenok.core.errors import ConfigError
from ottenok.data.balance import check_rates, class_counts, class_weights, plan, positive_weights, row_weights
from ottenok.recipes.balance import BalanceOptions

corpora = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), min_size=1, max_size=200)


def cells(corpus: list[tuple[int, str]], rows: np.ndarray) -> dict[tuple[int, str], int]:
    """Count the rows of each class and source."""
    found: dict[tuple[int, str], int] = {}
    for row in rows:
        found[corpus[row]] = found.get(corpus[row], 0) + 1
    return found


def draw(corpus: list[tuple[int, str]], seed: int = 0, **options: object) -> np.ndarray:
    """Plan an epoch of (class, source) rows."""
    labels, sources = zip(*corpus, strict=True)
    return plan(labels, sources, BalanceOptions(**options), seed=seed)


@settings(deadline=None)
@given(corpora)
def test_none_reads_each_row_once(corpus: list[tuple[int, str]]) -> None:
    """Without balancing an epoch is the corpus, in another order."""
    assert sorted(draw(corpus)) == list(range(len(corpus)))


@settings(deadline=None)
@given(corpora)
def test_down_makes_every_cell_as_small_as_the_smallest(corpus: list[tuple[int, str]]) -> None:
    """Every source and class has as many rows as the smallest one has, none of them twice."""
    rows = draw(corpus, method="down")
    smallest = min(cells(corpus, np.arange(len(corpus))).values())
    assert set(cells(corpus, rows).values()) == {smallest}
    assert len(set(rows.tolist())) == len(rows)


@settings(deadline=None)
@given(corpora)
def test_up_makes_every_cell_as_big_as_the_largest(corpus: list[tuple[int, str]]) -> None:
    """Every cell has as many rows as the largest one, and no row of a cell occurs twice more often than another."""
    rows = draw(corpus, method="up", repeats=1_000)
    sizes = cells(corpus, np.arange(len(corpus)))
    assert cells(corpus, rows) == dict.fromkeys(sizes, max(sizes.values()))
    counts = np.bincount(rows, minlength=len(corpus))
    for cell in sizes:
        own = [counts[row] for row in range(len(corpus)) if corpus[row] == cell]
        assert max(own) - min(own) <= 1


@settings(deadline=None)
@given(corpora, st.sampled_from(["class", "source", "source-class"]))
def test_temperature_zero_makes_cells_equal_and_keeps_the_length(corpus: list[tuple[int, str]], over: str) -> None:
    """With alpha 0 all cells have the same share of an epoch that is as long as the corpus, up to rounding."""
    rows = draw(corpus, method="temperature", over=over, alpha=0.0, repeats=1_000)
    pick = {"class": lambda cell: cell[0], "source": lambda cell: cell[1], "source-class": lambda cell: cell}[over]
    found: dict[object, int] = {}
    for row in rows:
        found[pick(corpus[row])] = found.get(pick(corpus[row]), 0) + 1
    assert max(found.values()) - min(found.values()) == 0
    assert abs(len(rows) - len(corpus)) <= len(found)


@settings(deadline=None)
@given(corpora)
def test_temperature_one_changes_no_share(corpus: list[tuple[int, str]]) -> None:
    """With alpha 1 every cell keeps its rows."""
    rows = draw(corpus, method="temperature", alpha=1.0)
    assert cells(corpus, rows) == cells(corpus, np.arange(len(corpus)))


def test_temperature_lies_between() -> None:
    """Shares follow the sizes to the power alpha: 900 and 100 rows at 0.5 are as 3 to 1."""
    rows = draw([(0, "a")] * 900 + [(1, "a")] * 100, method="temperature", over="class", alpha=0.5)
    assert np.count_nonzero(rows < 900) == 750
    assert len(rows) == 1_000


def test_repeats_are_capped() -> None:
    """A cell of two rows does not grow to a thousand: no row occurs more often than allowed."""
    rows = draw([(0, "a")] * 1_000 + [(1, "a")] * 2, method="up", repeats=5)
    assert np.bincount(rows).max() == 5
    assert np.count_nonzero(rows >= 1_000) == 10


def test_a_plan_repeats_with_its_seed_and_only_with_it() -> None:
    """The same seed gives the same plan, another seed another one."""
    corpus = [(row % 3, "ab"[row % 2]) for row in range(100)]
    assert draw(corpus, seed=7, method="down").tolist() == draw(corpus, seed=7, method="down").tolist()
    assert draw(corpus, seed=7).tolist() != draw(corpus, seed=8).tolist()


def test_rows_with_several_labels_count_as_their_rarest() -> None:
    """Rare labels are lifted even where they come together with frequent ones; rows without labels are a class."""
    marks = np.array([[1, 0]] * 90 + [[1, 1]] * 5 + [[0, 0]] * 5)
    rows = plan(marks, ["a"] * 100, BalanceOptions(method="up", repeats=100), seed=0)
    assert class_counts(marks[rows], 2).tolist() == [180, 90]
    assert np.count_nonzero(rows >= 95) == 90


def test_labels_and_sources_of_different_length_are_refused() -> None:
    """A plan for rows that are not there would train on the wrong texts."""
    with pytest.raises(ConfigError, match="found 2 labels and 1 sources"):
        plan([0, 1], ["a"], BalanceOptions(method="up"), seed=0)


def test_unknown_options_are_refused() -> None:
    """A misspelt key names the nearest known one."""
    with pytest.raises(ConfigError, match="Did you mean 'method'"):
        parse(BalanceOptions, {"metod": "up"})


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=100), st.sampled_from(["none", "balanced", "sqrt", "effective"])
)
def test_weights_average_to_one_over_the_rows(labels: list[int], method: str) -> None:
    """The loss keeps its scale, whatever the method; a class without rows gets a finite weight."""
    counts = class_counts(labels, 4)
    weights = class_weights(counts, method)
    assert weights.dtype == np.float32
    assert np.isfinite(weights).all()
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1, rel=1e-5)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2]), min_size=3, max_size=100))
def test_balanced_weights_are_those_of_scikit_learn(labels: list[int]) -> None:
    """`balanced` means the same as everywhere."""
    present = sorted(set(labels))
    expected = compute_class_weight("balanced", classes=np.array(present), y=np.array(labels))
    # scikit-learn counts the classes that occur; so do we, by giving classes without rows no part of the sum.
    weights = class_weights(class_counts(labels, 3), "balanced")
    assert weights[present] == pytest.approx(expected, rel=1e-5)


def test_methods_differ_as_they_should() -> None:
    """The rarer class weighs more: most by `balanced`, less by `sqrt`, and `effective` tends from one to the other."""
    counts = [900, 100]
    ratio = {method: np.divide(*class_weights(counts, method)[::-1]) for method in ("none", "balanced", "sqrt")}
    assert ratio == pytest.approx({"none": 1, "balanced": 9, "sqrt": 3}, rel=1e-5)
    assert np.divide(*class_weights(counts, "effective", beta=0.999999)[::-1]) == pytest.approx(9, rel=1e-2)
    assert np.divide(*class_weights(counts, "effective", beta=0.0)[::-1]) == pytest.approx(1)


def test_beta_out_of_range_is_refused() -> None:
    """Beta 1 would divide by nothing."""
    with pytest.raises(ConfigError, match="below 1"):
        class_weights([1, 2], "effective", beta=1.0)


def test_positive_weights_are_negatives_by_positives() -> None:
    """Ten rows in a hundred weigh nine each; frequent labels and labels without rows stay within 1..100."""
    assert positive_weights([10, 90, 0], 100, "balanced").tolist() == pytest.approx([9, 1, 99])
    assert positive_weights([10, 90, 0], 100, "none").tolist() == [1, 1, 1]


@settings(deadline=None)
@given(corpora, st.floats(0.1, 4))
def test_a_rate_says_how_often_a_source_is_read(corpus: list[tuple[int, str]], rate: float) -> None:
    """Rows of a named source come `rate` times as often, each as often as another; other sources come once."""
    rows = draw([*corpus, (0, "z")], rates={"a": rate})
    counts = np.bincount(rows, minlength=len(corpus) + 1)
    own = np.array([source == "a" for _, source in corpus] + [False])
    assert counts[own].sum() == np.rint(own.sum() * rate)
    assert set(counts[~own].tolist()) == {1}
    if own.any():
        assert counts[own].max() - counts[own].min() <= 1


def test_a_part_of_a_source_is_another_part_in_each_epoch() -> None:
    """With a rate of a half, two epochs do not read the same half."""
    corpus = [(0, "a")] * 100
    first, second = (set(draw(corpus, seed=seed, rates={"a": 0.5}).tolist()) for seed in (1, 2))
    assert len(first) == len(second) == 50
    assert first != second


def test_wrong_rates_are_refused() -> None:
    """Rates beside another method, a source that there is not, and rates that leave nothing."""
    with pytest.raises(ConfigError, match="choose one"):
        parse(BalanceOptions, {"method": "up", "rates": {"a": 2.0}})
    with pytest.raises(ConfigError, match="Did you mean 'waimai-10k'"):
        check_rates(BalanceOptions(rates={"waimai-10": 2.0}), ["waimai-10k", "cedr"])
    with pytest.raises(ConfigError, match="leave no row"):
        draw([(0, "a")], rates={"a": 0.0})


@settings(deadline=None)
@given(corpora, st.floats(0, 1))
def test_classes_weigh_within_their_source(corpus: list[tuple[int, str]], alpha: float) -> None:
    """A source's rows weigh 1 on average, rarer classes not less than commoner ones, rows without a label nothing."""
    labels, sources = (np.array(column) for column in zip(*corpus, strict=True))
    labels = labels - 1  # of class 0 becomes: no label
    weights = row_weights(labels, sources, alpha)
    assert weights[labels < 0].sum() == 0
    for source in set(sources[labels >= 0]):
        own = (sources == source) & (labels >= 0)
        assert weights[own].mean() == pytest.approx(1, rel=1e-5)
        sizes = np.bincount(labels[own])
        by_size = sorted((sizes[label], -weights[own & (labels == label)][0]) for label in set(labels[own]))
        assert [weight for _, weight in by_size] == pytest.approx(sorted(weight for _, weight in by_size))


def test_a_rare_class_weighs_at_most_four() -> None:
    """One row among a thousand does not outweigh the rest: at most 4 before the mean is made 1."""
    weights = row_weights([0] * 999 + [1], ["a"] * 1_000, 1.0)
    assert weights[-1] / weights[0] == pytest.approx(4 / (500 / 999))
