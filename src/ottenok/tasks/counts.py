"""F1 and its kin from counts: the one place, for thresholds and for evaluation alike.

Every function takes float64 arrays of any one shape and gives the same shape. What can't be divided is 0, as with
scikit-learn's `zero_division=0`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["f1", "label_accuracy", "ratio", "two_class_f1", "youden_j"]


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return `part / whole`, and 0 where `whole` is 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole != 0)


def f1(hits: Floats, selected: Floats, support: Floats) -> Floats:
    """Return F1 of right answers among `selected` answers and `support` true ones."""
    return ratio(2.0 * hits, selected + support)


def two_class_f1(hits: Floats, selected: Floats, support: Floats, rows: Floats) -> Floats:
    """Return the mean of the F1 of "has the label" and the F1 of "has it not".

    The CEDR paper (Sboev et al. 2021) and the card of ru-izard-emotions average this over labels. It is higher than
    the usual F1 for rare labels, so the two must not be compared.
    """
    rest = rows - selected - support + hits
    return (f1(hits, selected, support) + f1(rest, rows - selected, rows - support)) / 2.0


def label_accuracy(hits: Floats, selected: Floats, support: Floats, rows: Floats) -> Floats:
    """Return the share of rows where "has the label" or "has it not" is answered rightly."""
    return ratio(rows - selected - support + 2.0 * hits, rows)


def youden_j(hits: Floats, selected: Floats, support: Floats, rows: Floats) -> Floats:
    """Return the share of true rows that are found less the share of others that are answered (Youden 1950).

    It does not depend on how rare a label is: 0 is chance, 1 is right. A label without true rows has no share to find,
    so its best is 0.
    """
    return ratio(hits, support) - ratio(selected - hits, rows - support)
