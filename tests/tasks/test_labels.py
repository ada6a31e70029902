"""Labels by name to arrays and back."""

from __future__ import annotations

import pytest

from ottenok.core.errors import SchemeError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import codes, indicator

SENTIMENT = load_scheme("sentiment-3")
CEDR = load_scheme("cedr-5")


def test_names_become_columns_in_the_schemes_order() -> None:
    """The order of a row's own labels does not matter."""
    assert indicator([("anger", "joy"), ()], CEDR).tolist() == [[True, False, False, False, True], [False] * 5]


def test_codes_are_positions() -> None:
    """A one-label mask goes back to label positions."""
    assert codes(indicator([["positive"], ["negative"]], SENTIMENT)).tolist() == [2, 0]


def test_a_strange_label_is_refused_with_its_row() -> None:
    """The second row's unknown label is named."""
    with pytest.raises(SchemeError, match="row 2: the scheme sentiment-3 has no label 'mixed'"):
        indicator([["positive"], ["mixed"]], SENTIMENT)


@pytest.mark.parametrize("labels", [(), ("negative", "positive")])
def test_a_one_label_row_has_exactly_one(labels: tuple[str, ...]) -> None:
    """None and two labels are both refused in a one-label scheme."""
    with pytest.raises(SchemeError, match="expected exactly one label"):
        indicator([labels], SENTIMENT)
