"""The quick head: a logistic regression on the embeddings of a model whose encoder stays as it is.

scikit-learn, which fits it, comes with the extras `sklearn` and `data`.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import ConfigError, InputError
from ottenok.core.lazy import need
from ottenok.core.progress import SILENT, stage, tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier

__all__ = ["embedded", "fit_head", "fold_rows", "out_of_sample"]

# Vectors that are kept of texts seen lately: a grid search fits the same texts again and again. At 384 numbers each,
# 15 MB.
_KEPT = 10_000
_vectors: OrderedDict[tuple[str, str], npt.NDArray[np.float32]] = OrderedDict()
# Texts that are embedded between two reports of progress.
_BLOCK = 1024


def embedded(
    classifier: Classifier, texts: Sequence[str], *, file: Path | None = None, progress: Progress = SILENT
) -> npt.NDArray[np.float32]:
    """Return the embeddings of texts; equal ones, and those of texts that were seen lately, are computed once.

    Args:
        classifier: Whose embeddings.
        texts: Strings only; of an empty one the vector is zeros.
        file: A new .npy file that holds them, so that the memory does not; None: the memory does.
        progress: Told of distinct texts.

    Returns:
        float32 `[texts, width]`.

    Raises:
        ModelError: The model has no embeddings; see `Classifier.embed`.
    """
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, []).append(place)
    shape = (len(texts), classifier.embed([]).shape[1])
    found: npt.NDArray[np.float32] = np.empty(shape, dtype=np.float32)
    if file is not None:
        found = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    names, identity = list(places), classifier.identity
    with stage(progress, "embed", total=len(names), unit="texts"):
        for start in range(0, len(names), _BLOCK):
            block = names[start : start + _BLOCK]
            seen = {text: _vectors.get((identity, text)) for text in block}  # once: other threads drop what is old
            unknown = [text for text in block if seen[text] is None]
            fresh = dict(zip(unknown, classifier.embed(unknown), strict=True))
            for text in block:
                found[places[text]] = fresh[text] if text in fresh else seen[text]
            _vectors.update(((identity, text), vector.copy()) for text, vector in fresh.items())
            while len(_vectors) > _KEPT:
                _vectors.popitem(last=False)
            progress.advance(len(block))
    return found


def fit_head(
    vectors: npt.NDArray[np.float32],
    labels: npt.NDArray[Any],
    *,
    C: float = 1.0,  # noqa: N803 - scikit-learn's name
    class_weight: str | Mapping[Any, float] | None = None,
    tol: float = 1e-4,
    seed: int | None = 0,
) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Return a fitted `LogisticRegression`; of several labels at once, a `OneVsRestClassifier` of one for each.

    Args:
        vectors: `[texts, width]`, as `embedded` gives them.
        labels: One for each text, of two kinds or more; or 0/1 `[texts, labels]`, of two labels or more, of which one
            that all texts have, or none, is certain.
        C: Inverse strength of the regularisation, above 0.
        class_weight: As `LogisticRegression` has it: None, `balanced`, or label to weight.
        tol: When the fit stops, as `LogisticRegression` has it.
        seed: Of the fit.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    with need("sklearn"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
    head = LogisticRegression(C=C, class_weight=class_weight, tol=tol, max_iter=1000, random_state=seed)
    if labels.ndim == 1:
        return head.fit(vectors, labels)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Label .* is present in all training examples")
        return OneVsRestClassifier(head).fit(vectors, labels)


def fold_rows(
    codes: npt.NDArray[np.int64], folds: int, *, seed: int = 0, groups: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """Return the fold of each row, 0..folds-1, so that each label is spread evenly and no group is divided.

    Args:
        codes: The label of each row, a whole number. A group counts as the label of its first row.
        folds: How many, two or more.
        seed: Of the shuffle.
        groups: The group of each row, such as that of its near duplicates; None: each row is alone.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        groups = np.arange(len(codes))
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    order = np.lexsort((rng.random(len(first)), codes[first]))
    found = np.empty(len(first), dtype=np.int64)
    found[order] = np.arange(len(first)) % folds
    rows: npt.NDArray[np.int64] = found[group]
    return rows


def out_of_sample(
    features: Any,  # noqa: ANN401 - an array or a sparse matrix, and scipy has no types
    codes: npt.NDArray[np.int64],
    *,
    folds: int = 5,
    seed: int = 0,
    groups: npt.NDArray[np.int64] | None = None,
    learn: Callable[[Any, npt.NDArray[np.int64]], Any] = fit_head,
    most: int | None = None,
    progress: Progress = SILENT,
) -> npt.NDArray[np.float64]:
    """Return each text's probabilities by a head that has not learned from it, nor from its group.

    Args:
        features: `[texts, width]`, as `embedded` gives them, or whatever else `learn` takes; sparse or not.
        codes: The label of each text, 0..classes-1.
        folds: So many heads are fitted, each on the texts of the other folds.
        seed: Of folds.
        groups: Texts of a group stay in one fold; see `fold_rows`.
        learn: Makes of features and labels a classifier as scikit-learn has them.
        most: Texts that a head learns from, chosen at random of the others' folds; None: all.
        progress: Told of folds.

    Returns:
        float64 `[texts, classes]`; rows sum to 1. A label that only texts of one fold have is unknown to the head
        that is asked there: 0.

    Raises:
        ConfigError: Fewer than two folds.
        InputError: Fewer than two labels.
        MissingExtraError: scikit-learn is not installed.
    """
    if folds < 2:
        raise ConfigError(f"found {folds}, expected 2 or more", key="folds")
    if len(codes) == 0 or codes.min() == codes.max():
        raise InputError("there is one label or none, so there is nothing to tell apart", hint="Give two labels.")
    fold = fold_rows(codes, folds, seed=seed, groups=groups)
    found = np.zeros((len(codes), int(codes.max()) + 1))
    present = [int(number) for number in np.unique(fold)]
    for number in tracked(present, progress, "cross-fit", total=len(present), unit="folds"):
        asked, learned = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if most is not None and len(learned) > most:
            learned = np.sort(np.random.default_rng(seed).choice(learned, most, replace=False))
        known = np.unique(codes[learned])
        if len(known) == 1:
            found[asked, known[0]] = 1.0
        elif len(known):
            head = learn(features[learned], codes[learned])
            found[np.ix_(asked, head.classes_)] = head.predict_proba(features[asked])
        else:
            found[asked] = 1.0 / found.shape[1]
    return found
