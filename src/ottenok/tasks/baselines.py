"""What a model must beat: always the commonest answer, and a linear model on word and character n-grams.

Both give logits, so they go through the very same decision and metric code as a trained model. Character n-grams need
no word borders, which makes the linear baseline a fair one for Chinese too. Needs scikit-learn (extra `data`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.lazy import need
from ottenok.core.progress import SILENT, Progress, tracked
from ottenok.tasks.decision import Decision, log_sigmoid, probabilities
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task
from ottenok.tasks.thresholds import fit_thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.report import Report

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["LabelledTexts", "Majority", "TfidfLinear", "baseline_reports", "fit_majority", "fit_tfidf"]

# Hashed n-grams keep memory bounded and need no vocabulary. Collisions at these sizes cost nothing measurable.
_WORD_BITS, _CHARACTER_BITS = 18, 19
# Weak regularisation: on RuSentiment and on Chinese shop reviews macro F1 was .692 and .925 with 1, .718 and .932 with
# 4, .719 and .935 with 16, which took three times as long as 4.
_INVERSE_PENALTY = 4.0
_CERTAIN = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTexts:
    """Texts with their truth.

    Attributes:
        texts: Normalised as in the corpus.
        truth: bool `[rows, labels]`.
        sources: Each row's source, or None.
        languages: Each row's language, or None.
    """

    texts: Sequence[str]
    truth: Mask
    sources: Sequence[str] | None = None
    languages: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not len(self.texts) or len(self.texts) != len(self.truth):
            raise DataError(f"found {len(self.texts)} texts for {len(self.truth)} labelled rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Majority:
    """Gives every text the label shares of the training rows.

    Attributes:
        row: float64 `[labels]`, the logits of every text.
        decision: How they become answers: a one-label scheme gets its commonest label, a multi-label scheme each label
            that more than half of the training rows have, usually none.
        name: For tables.
    """

    row: Floats
    decision: Decision
    name: str = "majority"

    def logits(self, texts: Sequence[str]) -> Floats:
        """Return the same row for each text, `[rows, labels]`."""
        return np.tile(self.row, (len(texts), 1))


def fit_majority(truth: Mask, scheme: LabelScheme) -> Majority:
    """Count the labels of training rows; `truth` is bool `[rows, labels]`."""
    several = scheme.kind == "multi-label"
    share = (truth.sum(axis=0) + 0.5) / (len(truth) + 1.0)
    row = np.log(share / (1.0 - share)) if several else np.log(share)
    return Majority(row=row, decision=_decision(scheme))


def _decision(scheme: LabelScheme) -> Decision:
    return Decision(activation="sigmoid" if scheme.kind == "multi-label" else "softmax")


@dataclass(frozen=True, slots=True, kw_only=True)
class TfidfLinear:
    """A logistic regression per label on TF-IDF of words and word pairs and of 1 to 4 characters.

    Attributes:
        features: scikit-learn's fitted pair of hashed n-gram transformers.
        weights: float64 `[features, labels]`.
        bias: float64 `[labels]`.
        decision: Softmax for one-label schemes (so that each label's odds are normalised), sigmoid otherwise.
        name: For tables.
    """

    features: Any
    weights: Floats
    bias: Floats
    decision: Decision
    name: str = "TF-IDF linear"

    def logits(self, texts: Sequence[str]) -> Floats:
        """Return float64 `[rows, labels]`."""
        scores: Floats = np.asarray(self.features.transform(texts) @ self.weights + self.bias)
        # The softmax of log-sigmoids divides each label's own probability by their sum: one against the rest.
        return scores if self.decision.activation == "sigmoid" else log_sigmoid(scores)


def fit_tfidf(train: LabelledTexts, scheme: LabelScheme, *, seed: int = 0, progress: Progress = SILENT) -> TfidfLinear:
    """Fit the linear baseline; the same rows and seed give the same baseline.

    Args:
        train: Training rows.
        scheme: The labels, in the order of the columns.
        seed: Of the solver's order of rows.
        progress: Told about each label.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    with need("data"):
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union
    plain = {"alternate_sign": False, "norm": None, "dtype": np.float32}
    words = HashingVectorizer(ngram_range=(1, 2), n_features=1 << _WORD_BITS, **plain)
    characters = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=1 << _CHARACTER_BITS, **plain)
    features = make_union(
        make_pipeline(words, TfidfTransformer(sublinear_tf=True)),
        make_pipeline(characters, TfidfTransformer(sublinear_tf=True)),
    )
    matrix = features.fit_transform(train.texts)
    labels = range(train.truth.shape[1])
    weights, bias = np.zeros((matrix.shape[1], len(labels))), np.zeros(len(labels))
    for label in tracked(labels, progress, "Fitting the linear baseline", total=len(labels), unit="labels"):
        truth = train.truth[:, label]
        # A label that all rows or none have needs no weights.
        if truth.all() or not truth.any():
            bias[label] = _CERTAIN if truth.all() else -_CERTAIN
            continue
        model = LogisticRegression(solver="liblinear", dual=True, C=_INVERSE_PENALTY, max_iter=1000, random_state=seed)
        model.fit(matrix, truth)
        weights[:, label], bias[label] = model.coef_[0], model.intercept_[0]
    return TfidfLinear(features=features, weights=weights, bias=bias, decision=_decision(scheme))


def baseline_reports(
    task: Task,
    train: LabelledTexts,
    test: LabelledTexts,
    *,
    options: EvaluationOptions,
    tuning: LabelledTexts | None = None,
    progress: Progress = SILENT,
) -> tuple[Report, ...]:
    """Fit both baselines on training rows and evaluate them, for the table that the model stands in too.

    Args:
        task: Whose labels the columns are; the baselines have decisions of their own.
        train: Training rows of the corpus that have a label for the task.
        test: The rows that the model is evaluated on.
        options: Intervals as the model's; the systems' names are the baselines' own.
        tuning: Validation rows on which a multi-label linear baseline chooses thresholds; give them where the model has
            thresholds of its own, or the comparison is not fair.
        progress: Told about the fitting.
    """
    linear = fit_tfidf(train, task.scheme, progress=progress)
    if tuning is not None and task.scheme.kind == "multi-label":
        fit = fit_thresholds(probabilities(linear.logits(tuning.texts), linear.decision), tuning.truth)
        linear = replace(linear, decision=replace(linear.decision, thresholds=fit.thresholds))
    reports = []
    for baseline in (fit_majority(train.truth, task.scheme), linear):
        own = Task.of(task.scheme, baseline.decision, name=task.name)
        reports.append(
            evaluate(
                own,
                test.truth,
                own.probabilities(baseline.logits(test.texts)),
                sources=test.sources,
                languages=test.languages,
                options=replace(options, system=baseline.name, temperature=None),
            )
        )
    return tuple(reports)
