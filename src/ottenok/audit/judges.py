"""Models that judge labels, each row by models that have not learned from it: quick ones, or whole trainings."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.lazy import need
from ottenok.core.progress import SILENT, stage
from ottenok.inference.head import fit_head, fold_rows, out_of_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.progress import Progress

    Floats = npt.NDArray[np.float64]
    # From codes, int64[m] in 0..k-1, and places of rows, int64[m], to probabilities, [m, k].
    CrossFit = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], Floats]

__all__ = ["head_fit", "learn_head", "pool", "training_fit"]

# Inverse strength of the heads' regularisation, of embeddings and of letters: wrong labels are not learned by heart.
_STRENGTH, _LETTERS_STRENGTH = 0.1, 3.0
# What naive Bayes adds to each count.
_ADDED = 0.03
# Rows that a model learns from: more make no better ranking, and take minutes more.
_MOST_LEARNED = 60_000
# Rows whose runs of letters are known, and how many of the most frequent ones.
_KNOWN, _RUNS = 20_000, 200_000
# Characters that are read of a text, and of all texts together: of many the beginnings, so that memory is bounded.
_READ, _READ_TOGETHER = 2_000, 20_000_000
_BLOCK = 10_000
# Rows that the weights of a pool are fitted on.
_WEIGHED = 20_000


def head_fit(
    vectors: npt.NDArray[np.float32],
    texts: Sequence[str],
    groups: npt.NDArray[np.int64],
    *,
    folds: int = 5,
    seed: int = 0,
    progress: Progress = SILENT,
) -> CrossFit:
    """Return what cross-fits quick models: on embeddings, and on runs of letters, which tell what embeddings do not.

    Of letters there are two, a logistic regression and naive Bayes; their probabilities and the head's are pooled.

    Args:
        vectors: float32[n, width], the texts' embeddings.
        texts: The texts.
        groups: int64[n]; no group is divided between folds.
        folds: How many, two or more.
        seed: Of folds and fits.
        progress: Told of texts and folds.
    """
    with need("audit"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.naive_bayes import MultinomialNB
    letters = _letters(texts, seed, progress)
    # liblinear's dual, a label at a time, is ten times as fast as the multinomial regression, and finds as much.
    on_letters = LogisticRegression(
        C=_LETTERS_STRENGTH, solver="liblinear", dual=True, tol=0.1, max_iter=1000, random_state=seed
    )
    judges: list[tuple[Any, Callable[[Any, Any], Any]]] = [
        (vectors, partial(learn_head, seed=seed)),
        (letters, OneVsRestClassifier(on_letters).fit),
        (letters, MultinomialNB(alpha=_ADDED).fit),
    ]

    def fit(codes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Floats:
        found = [
            out_of_sample(
                features if len(rows) == len(texts) else features[rows],
                codes,
                folds=folds,
                seed=seed,
                groups=groups[rows],
                learn=learn,
                most=_MOST_LEARNED,
                progress=progress,
            )
            for features, learn in judges
        ]
        return pool(found, codes)

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


def learn_head(vectors: npt.NDArray[np.float32], codes: npt.NDArray[np.int64], *, seed: int = 0) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Return a head that learned from embeddings, `[n, width]`, as audits fit it: strongly regularised."""
    return fit_head(vectors, codes, C=_STRENGTH, tol=1e-3, seed=seed)


def pool(found: Sequence[Floats], codes: npt.NDArray[np.int64]) -> Floats:
    """Return the probabilities of several judges as one: the product of their powers.

    The powers, 0 or more, are those with the least log loss against the labels that the rows have: of probabilities
    out of sample, so that a judge that is of no use for these data is not heard, and one that is too sure is damped.

    Source: Heskes, Selecting weighting factors in logarithmic opinion pools, NIPS 10 (1997).

    Args:
        found: float64[n, labels] of each judge; rows sum to 1.
        codes: int64[n], the label that each row has.
    """
    from scipy.optimize import minimize

    logs = np.log(np.maximum(np.stack(found), 1e-9))
    picked = np.unique(np.linspace(0, len(codes) - 1, _WEIGHED).astype(np.int64))
    few, known, rows = logs[:, picked], codes[picked], np.arange(len(picked))

    def pooled(weights: Floats, logs: Floats) -> Floats:
        together = np.tensordot(weights, logs, axes=1)
        shares: Floats = np.exp(together - together.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def loss(weights: Floats) -> tuple[float, Floats]:
        shares = pooled(weights, few)
        slopes = (shares * few).sum(axis=2).mean(axis=1) - few[:, rows, known].mean(axis=1)
        return -float(np.log(np.maximum(shares[rows, known], 1e-12)).mean()), slopes

    start = np.full(len(found), 1.0 / len(found))
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(found))
    return pooled(fitted.x, logs)


def _letters(texts: Sequence[str], seed: int, progress: Progress) -> Any:  # noqa: ANN401 - scipy has no types
    """Return float32[n, runs], sparse: how much each text has of the runs of one to four letters within words."""
    with need("audit"):
        from scipy.sparse import vstack
        from sklearn.feature_extraction.text import TfidfVectorizer
    most = max(1, min(_READ, _READ_TOGETHER // len(texts)))
    counter = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(1, 4), min_df=2, sublinear_tf=True, max_features=_RUNS, dtype=np.float32
    )
    with stage(progress, "letters", total=len(texts), unit="texts"):
        known = np.sort(np.random.default_rng(seed).permutation(len(texts))[:_KNOWN])
        counter.fit([texts[row][:most] for row in known])
        blocks = []
        for start in range(0, len(texts), _BLOCK):
            block = [text[:most] for text in texts[start : start + _BLOCK]]
            blocks.append(counter.transform(block))
            progress.advance(len(block))
        return vstack(blocks, format="csr")
