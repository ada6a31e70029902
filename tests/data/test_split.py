"""How rows without an official split are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.data.rows import FREE, TEST, TRAIN, VALIDATION
from ottenok.data.split import Groups, assign_splits, cut_stratum
from ottenok.recipes.corpus import SplitOptions

SINGLE = [("negative",), ("positive",)]
SETS = [(), ("joy",), ("fear",), ("joy", "fear"), ("anger",), ("joy", "anger"), ("fear", "anger")]


def make_groups(count: int, *, labels: int = 2, sources: int = 1, seed: int = 0, **columns: np.ndarray) -> Groups:
    """Make random groups; named columns are as given."""
    random = np.random.default_rng(seed)
    fields = {
        "digest": random.integers(0, 2**63, count).astype(np.uint64),
        "pinned": np.full(count, FREE, dtype=np.int8),
        "cuttable": np.zeros(count, dtype=bool),
        "source": random.integers(0, sources, count).astype(np.int32),
        "label": random.integers(0, labels, count).astype(np.int32),
    }
    return Groups(**{**fields, **columns})


def cut(groups: Groups, labels: list[tuple[str, ...]] = SINGLE, seed: int = 1, **shares: float) -> np.ndarray:
    """Split groups whose sources have made-up names."""
    names = [f"source-{number}" for number in range(int(groups.source.max(initial=0)) + 1)]
    return assign_splits(groups, sources=names, labels=labels, shares=SplitOptions(**shares), seed=seed)


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(0, 1, exclude_max=True))
def test_a_stratum_is_cut_to_its_shares(count: int, start: float) -> None:
    """Each split gets its share, up or down to a whole number."""
    splits = cut_stratum(count, (0.8, 0.1, 0.1), start=start)
    for code, share in ((TRAIN, 0.8), (VALIDATION, 0.1), (TEST, 0.1)):
        assert abs(np.count_nonzero(splits == code) - share * count) < 1 + 1e-6


def test_every_source_and_label_has_the_same_shares() -> None:
    """Strata are cut one by one, so a small class is in the test too."""
    groups = make_groups(1_000, sources=2)
    splits = cut(groups)
    for source in (0, 1):
        for label in (0, 1):
            own = splits[(groups.source == source) & (groups.label == label)]
            assert np.count_nonzero(own == TEST) == pytest.approx(len(own) / 10, abs=1)
            assert np.count_nonzero(own == VALIDATION) == pytest.approx(len(own) / 10, abs=1)


def test_many_strata_of_one_row_have_the_shares_together() -> None:
    """A source with a row per label does not end in train as a whole: one in ten is for the test."""
    labels = [(f"label-{number}",) for number in range(2_000)]
    groups = make_groups(2_000, label=np.arange(2_000, dtype=np.int32))
    splits = cut(groups, labels)
    assert np.bincount(splits, minlength=4)[1:] == pytest.approx([1_600, 200, 200], abs=60)


def test_official_splits_stay() -> None:
    """What is pinned is not moved."""
    pinned = np.array([TRAIN, VALIDATION, TEST] * 100, dtype=np.int8)
    assert cut(make_groups(300, pinned=pinned)).tolist() == pinned.tolist()


def test_validation_is_cut_from_train_where_a_source_brings_none() -> None:
    """A ninth of the training rows becomes validation: the shares without a test; the test is not touched."""
    pinned = np.array([TRAIN] * 900 + [TEST] * 100, dtype=np.int8)
    splits = cut(make_groups(1_000, pinned=pinned, cuttable=np.ones(1_000, dtype=bool)))
    assert splits[900:].tolist() == [TEST] * 100
    assert np.bincount(splits[:900], minlength=4)[1:].tolist() == pytest.approx([800, 100, 0], abs=2)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_the_order_of_rows_changes_nothing(seed: int, count: int) -> None:
    """A group's split depends on its text, not on its place; the other groups of its stratum are the same."""
    groups = make_groups(count, seed=seed)
    order = np.random.default_rng(seed).permutation(count)
    columns = ("digest", "pinned", "cuttable", "source", "label")
    moved = Groups(**{name: getattr(groups, name)[order] for name in columns})
    assert cut(moved).tolist() == cut(groups)[order].tolist()


def test_another_source_moves_no_old_row() -> None:
    """A source's split does not depend on what else is in the corpus."""
    both = make_groups(400, sources=2)
    alone = both.source == 0
    columns = ("digest", "pinned", "cuttable", "source", "label")
    one = Groups(**{name: getattr(both, name)[alone] for name in columns})
    assert cut(one).tolist() == cut(both)[alone].tolist()


def test_another_seed_cuts_another_split() -> None:
    """The seed matters."""
    groups = make_groups(200)
    assert cut(groups, seed=1).tolist() != cut(groups, seed=2).tolist()


@pytest.mark.parametrize("count", [30, 700])
def test_several_labels_keep_their_shares(count: int) -> None:
    """Frequent sets of labels are cut one by one, rare ones by iterative stratification: each label keeps its share."""
    groups = make_groups(count, labels=len(SETS))
    splits = cut(groups, SETS)
    assert set(splits.tolist()) <= {TRAIN, VALIDATION, TEST}
    for label in ("joy", "fear", "anger"):
        has = np.array([label in SETS[code] for code in groups.label])
        assert np.count_nonzero(splits[has] == TEST) == pytest.approx(has.sum() / 10, abs=2.5)
    assert cut(groups, SETS).tolist() == splits.tolist()


def test_no_share_means_no_row() -> None:
    """A split with share 0 stays empty, also among rare sets of labels."""
    splits = cut(make_groups(40, labels=len(SETS)), SETS, train=0.9, validation=0.1, test=0.0)
    assert TEST not in splits
    assert VALIDATION in splits
