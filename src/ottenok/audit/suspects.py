"""Labels that are probably wrong, by confident learning on probabilities of models that have not learned from the row.

Confident learning: Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, Journal
of Artificial Intelligence Research 70 (2021), through its authors' library cleanlab. Rows are ranked by the odds of the
likeliest other label against their own, which finds labels that were changed at random as well as those that were
changed for the one that they are most often taken for (docs/audit.md).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.lazy import need
from ottenok.core.progress import SILENT
from ottenok.inference.head import fold_rows, out_of_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.progress import Progress

    Floats = npt.NDArray[np.float64]
    # From codes, int64[m] in 0..k-1, and places of rows, int64[m], to probabilities, [m, k].
    CrossFit = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], Floats]

__all__ = ["FEWEST", "Suspicion", "head_fit", "suspect_labels", "training_fit"]

# Different texts that a label needs to be learned from all folds but one, and judged in that.
FEWEST = 5
# Inverse strength of the heads' regularisation: wrong labels are not learned by heart.
_STRENGTH = 0.1
# Doubt from which on a label is suspected whatever confident learning says, whose thresholds few rows pass where
# there are few: another label is four times as likely.
_LISTED = 0.8
# Rows that a head learns from: more make no better ranking, and take minutes more.
_MOST_LEARNED = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """How far each of n rows' labels are to be believed.

    Attributes:
        probabilities: float64[n, labels], out of sample; 0 where a label is not judged.
        doubt: float64[n], 0..1: how much likelier another label is, p(other) / (p(other) + p(given)) of the likeliest
            other one; of several labels, of that which is doubted most; NaN where it is not judged.
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


def head_fit(
    vectors: npt.NDArray[np.float32],
    groups: npt.NDArray[np.int64],
    *,
    folds: int = 5,
    seed: int = 0,
    progress: Progress = SILENT,
) -> CrossFit:
    """Return what cross-fits quick heads on embeddings, `[n, width]`, without dividing groups, int64[n]."""

    def fit(codes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Floats:
        return out_of_sample(
            vectors[rows] if len(rows) < len(vectors) else vectors,
            codes,
            folds=folds,
            seed=seed,
            groups=groups[rows],
            C=_STRENGTH,
            most=_MOST_LEARNED,
            progress=progress,
        )

    return fit


def training_fit(
    texts: Sequence[str],
    groups: npt.NDArray[np.int64],
    *,
    folds: int,
    model: str | Path | None,
    over: Mapping[str, Any] | None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> CrossFit:
    """Return what cross-fits whole trainings, a model a fold; see `ottenok.studies.texts.train_texts`."""
    from ottenok.inference.api import load
    from ottenok.studies.texts import train_texts

    def fit(codes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Floats:
        fold = fold_rows(codes, folds, seed=seed, groups=groups[rows])
        found = np.full((len(rows), int(codes.max()) + 1), 1e-9)
        for number in np.unique(fold):
            progress.note(f"Training {number + 1} of {folds}")
            asked, learned = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            with tempfile.TemporaryDirectory(prefix="ottenok-") as work:
                known = [texts[place] for place in rows[learned]]
                names = [f"label {code}" for code in range(found.shape[1])]
                place = Path(work) / "model"
                train_texts(names, (known, codes[learned]), out=place, model=model, over=over, seed=seed)
                classifier = load(place, always=True)
                answers = classifier.predict_proba([texts[place] for place in rows[asked]])
                columns = np.array([int(label.removeprefix("label ")) for label in classifier.labels])
                found[np.ix_(asked, columns)] += answers
        found /= found.sum(axis=1, keepdims=True)
        return found

    return fit


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
            one = _doubt(codes, found)
            doubt = np.fmax(doubt, one)
            flagged = _confident(codes, found) | (one >= _LISTED)
            wrong |= flagged
            suggested[flagged, place] ^= True
    else:
        rows = np.flatnonzero(truth[:, judged].any(axis=1))
        codes = truth[np.ix_(rows, judged)].argmax(axis=1)
        found = fit(codes, rows)
        probabilities[np.ix_(rows, judged)] = found
        doubt[rows] = _doubt(codes, found)
        flagged = _confident(codes, found) | (doubt[rows] >= _LISTED)
        wrong[rows] = flagged
        likeliest = judged[found.argmax(axis=1)[flagged]]
        suggested[rows[flagged]] = False
        suggested[rows[flagged], likeliest] = True
    unjudged = tuple(label for place, label in enumerate(labels) if place not in set(judged.tolist()))
    return Suspicion(probabilities=probabilities, doubt=doubt, wrong=wrong, suggested=suggested, unjudged=unjudged)


def _doubt(codes: npt.NDArray[np.int64], probabilities: Floats) -> Floats:
    others = probabilities.copy()
    rows = np.arange(len(codes))
    others[rows, codes] = 0.0
    likeliest = others.max(axis=1)
    shares: Floats = likeliest / np.maximum(likeliest + probabilities[rows, codes], 1e-12)
    return shares


def _confident(codes: npt.NDArray[np.int64], probabilities: Floats) -> npt.NDArray[np.bool_]:
    with need("audit"):
        from cleanlab.filter import find_label_issues
    likely: npt.NDArray[np.bool_] = probabilities.argmax(axis=1) != codes
    if likely.any():
        # In one process: what cleanlab computes takes seconds, and forking copies a user's memory.
        likely &= find_label_issues(codes, probabilities, filter_by="confident_learning", n_jobs=1)
    return likely
