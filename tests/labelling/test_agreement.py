"""Krippendorff's alpha against what he published, and what must hold of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.labelling.agreement import alpha, masi

# K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
UNITS = [[value for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]


def test_the_published_example() -> None:
    """Nominal alpha is .743 and interval alpha .849, as published; the interval of the bootstrap holds the value."""
    found = alpha(UNITS)
    assert found.value == pytest.approx(0.743, abs=0.0005)
    assert found.low < found.value < found.high
    assert alpha(UNITS, lambda one, other: (one - other) ** 2).value == pytest.approx(0.849, abs=0.0005)


def test_the_published_example_of_two_observers() -> None:
    """Section A of the same paper, binary data of two observers: alpha is .095."""
    meg = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0)
    owen = (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    assert alpha(list(zip(meg, owen, strict=True))).value == pytest.approx(0.095, abs=0.0005)


def test_sets_of_labels_are_compared_by_what_they_share() -> None:
    """MASI is 0 for equal sets, 1 for strangers, and less where one holds the other than where they overlap."""
    assert masi(("joy", "anger"), ("anger", "joy")) == 0
    assert masi((), ()) == 0
    assert masi(("joy",), ("anger",)) == 1
    assert masi(("joy",), ()) == 1
    assert masi(("joy",), ("joy", "anger")) == pytest.approx(1 - 1 / 2 * 2 / 3)
    assert masi(("joy", "fear"), ("joy", "anger")) == pytest.approx(1 - 1 / 3 * 1 / 3)


def test_it_is_not_defined_without_pairs_or_variety() -> None:
    """There is no alpha where nobody answered the same text, or everybody always the same."""
    assert alpha([["a"], ["b"]]) is None
    assert alpha([["a", "a"], ["a", "a"]]) is None


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=4), min_size=1, max_size=12))
def test_order_does_not_matter(units: list[list[str]]) -> None:
    """Raters and texts in another order give the same alpha, which is 1 exactly where all agree."""
    found = alpha(units, resamples=0)
    again = alpha([unit[::-1] for unit in units[::-1]], resamples=0)
    if found is None:
        assert again is None
        return
    assert again.value == pytest.approx(found.value)
    assert (found.value == pytest.approx(1)) == all(len(set(unit)) == 1 for unit in units)
