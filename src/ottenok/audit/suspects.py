"""Labels that are probably wrong, by confident learning on probabilities of models that have not learned from the row.

Confident learning: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, Journal
of Artificial Intelligence Research 70 (2021), through its authors' library cleanlab. Rows are ranked by the odds of the
likeliest other label against their own, each weighed by how often rows of that label seem to be given the row's: which
finds labels that were changed at random as well as those that were changed for the one that they are most often taken
for (docs/audit.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.lazy import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.audit.judges import CrossFit

    Floats = npt.NDArray[np.float64]

__all__ = ["FEWEST", "Suspicion", "suspect_labels", "weigh_labels"]

# Different texts that a label needs to be learned from all folds but one, and judged in that.
FEWEST = 5
# Doubt from which on a label is suspected whatever confident learning says, whose thresholds few rows pass where
# there are few: another label is four times as likely.
_LISTED = 0.8
# Share of labels that are expected to be wrong before anything is known of them.
_WRONG = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """How far each of n rows' labels are to be believed.

    Attributes:
        probabilities: float64[n, labels], out of sample; 0 where a label is not judged.
        doubt: float64[n], 0..1: how much likelier another label is, p(other) / (p(other) + p(given)) of the likeliest
            other one, as `weigh_labels` weighs them; of several labels, of that which is doubted most; NaN where it is
            not judged.
        wrong: bool[n], whether it is suspected: by confident learning, or for its doubt alone.
        suggested: bool[n, labels], the likeliest labels: what the row has, where it is not suspected.
        unjudged: Labels that too few texts have.
    """

    probabilities: Floats
    doubt: Floats
    wrong: npt.NDArray[np.bool_]
    suggested: npt.NDArray[np.bool_]
    unjudged: tuple[str, ...]

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Places of the judged rows, the least believable first."""
        order = np.argsort(-self.doubt, kind="stable")
        return order[: int(np.count_nonzero(~np.isnan(self.doubt)))]


def suspect_labels(
    truth: npt.NDArray[np.bool_], labels: Sequence[str], groups: npt.NDArray[np.int64], fit: CrossFit, *, several: bool
) -> Suspicion:
    """Judge the labels of all rows.

    Args:
        truth: bool[n, labels], what each row has.
        labels: Their names.
        groups: int64[n], equal for copies.
        fit: Gives probabilities out of sample.
        several: Whether a row may have any number of labels: each is then judged by itself. Otherwise it has one.

    Raises:
        DataError: Fewer than two labels have enough texts (of several labels, none).
        MissingExtraError: The extra `audit` is not installed.
    """
    sizes = np.array([len(np.unique(groups[truth[:, place]])) for place in range(len(labels))])
    if several:
        absent = np.array([len(np.unique(groups[~truth[:, place]])) for place in range(len(labels))])
        sizes = np.minimum(sizes, absent)
    judged = np.flatnonzero(sizes >= FEWEST)
    if len(judged) < (1 if several else 2):
        counts = ", ".join(f"{label!r} {size:,}" for label, size in list(zip(labels, sizes, strict=True))[:10])
        raise DataError(
            f"labels can't be judged: fewer than two of them have {FEWEST} different texts (found: {counts})",
            hint="Check --label, or give more rows.",
        )
    probabilities = np.zeros(truth.shape)
    doubt = np.full(len(truth), np.nan)
    wrong = np.zeros(len(truth), dtype=np.bool_)
    suggested = truth.copy()
    if several:
        everything = np.arange(len(truth))
        for place in judged:
            codes = truth[:, place].astype(np.int64)
            found = fit(codes, everything)
            probabilities[:, place] = found[:, 1]
            one, _ = weigh_labels(codes, found)
            doubt = np.fmax(doubt, one)
            flagged = _confident(codes, found) | (one >= _LISTED)
            wrong |= flagged
            suggested[flagged, place] ^= True
    else:
        rows = np.flatnonzero(truth[:, judged].any(axis=1))
        codes = truth[np.ix_(rows, judged)].argmax(axis=1)
        found = fit(codes, rows)
        probabilities[np.ix_(rows, judged)] = found
        doubt[rows], other = weigh_labels(codes, found)
        flagged = _confident(codes, found) | (doubt[rows] >= _LISTED)
        wrong[rows] = flagged
        suggested[rows[flagged]] = False
        suggested[rows[flagged], judged[other[flagged]]] = True
    unjudged = tuple(label for place, label in enumerate(labels) if place not in set(judged.tolist()))
    return Suspicion(probabilities=probabilities, doubt=doubt, wrong=wrong, suggested=suggested, unjudged=unjudged)


def weigh_labels(codes: npt.NDArray[np.int64], probabilities: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return how much likelier another label of each row is, and which.

    Wrong labels are seldom spread evenly: who errs takes a label for one that is like it. So the probability of each
    label is multiplied by how often rows that seem to have it are given the row's label instead, compared with an even
    spread; half and half with that even spread, because it is an estimate. Of two labels nothing changes.

    Args:
        codes: int64[n], the label that each row has.
        probabilities: float64[n, labels], out of sample.

    Returns:
        float64[n], 0..1, p(other) / (p(other) + p(given)) of the likeliest other label, and int64[n], that label.
    """
    rows, labels = np.arange(len(codes)), probabilities.shape[1]
    own = probabilities[rows, codes]
    others = probabilities.copy()
    others[rows, codes] = 0.0
    # Share of each other label, were wrong labels spread evenly.
    shares = others * (_WRONG / (labels - 1))
    shares /= np.maximum(shares.sum(axis=1) + (1.0 - _WRONG) * own, 1e-12)[:, None]
    taken = np.zeros((labels, labels))  # label that a row seems to have, label that it has
    np.add.at(taken.T, codes, shares)
    sums = taken.sum(axis=1, keepdims=True)
    even = np.full_like(taken, 1.0 / (labels - 1))
    pattern = np.divide(taken, sums, out=even, where=sums > 0)
    others *= (0.5 + 0.5 * (labels - 1) * pattern)[:, codes].T
    other: npt.NDArray[np.int64] = others.argmax(axis=1)
    likeliest = others[rows, other]
    return likeliest / np.maximum(likeliest + own, 1e-12), other


def _confident(codes: npt.NDArray[np.int64], probabilities: Floats) -> npt.NDArray[np.bool_]:
    with need("audit"):
        from cleanlab.filter import find_label_issues
    likely: npt.NDArray[np.bool_] = probabilities.argmax(axis=1) != codes
    if likely.any():
        # In one process: what cleanlab computes takes seconds, and forking copies a user's memory.
        likely &= find_label_issues(codes, probabilities, filter_by="confident_learning", n_jobs=1)
    return likely
