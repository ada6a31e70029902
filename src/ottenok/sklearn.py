"""One's own labels the short way: a scikit-learn classifier of texts on a model that knows moods already.

>>> from ottenok.sklearn import TextClassifier
>>> clf = TextClassifier().fit(["хорошо", "плохо", ...], ["praise", "blame", ...])     # doctest: +SKIP
>>> clf.predict(["服务态度很差，再也不来了"])                                              # doctest: +SKIP
array(['blame'], dtype='<U6')
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ottenok.bundle.manifest import MANIFEST
from ottenok.core.errors import ConfigError, InputError, ModelError
from ottenok.core.lazy import need
from ottenok.core.suggest import suggest
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier, listed
from ottenok.inference.head import embedded, fit_head, fold_rows
from ottenok.studies.texts import train_texts
from ottenok.tables.labels import clean_label

with need("sklearn"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

__all__ = ["TextClassifier", "WrongInput"]

_METHODS = ("head", "full", "auto")


class WrongInput(InputError, ValueError):  # noqa: N818 - it is an InputError, in the words of scikit-learn
    """What can't be learned from or classified; scikit-learn's tools expect ValueError for that."""


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Learns labels from tens to thousands of texts.

    A model's encoder stays as it is, and a logistic regression learns from its embeddings in seconds; or the whole
    model learns, in minutes. It pickles by the path of the model, which has to be there when it is read again.

    Args:
        model: Whose embeddings are learned from: what `ottenok.load` takes, or a classifier; None: the model that
            ottenok ships.
        method: `head`: the encoder stays as it is; `full`: the whole model is trained (extra `train`); `auto`:
            whichever has the better macro F1 in cross-validation.
        C: Inverse strength of the head's regularisation, above 0.
        class_weight: As scikit-learn's `LogisticRegression` has it: None, `balanced`, or label to weight; of several
            labels at once, for 0 and 1 of each.
        cv: Folds of the cross-validation that `scores_` tells of; 0: none, which `auto` can't do without.
        train: Keys of a training recipe, nested, that are laid over the recipe `default` for `full`, such as
            `{"model": {"encoder": "cointegrated/rubert-tiny2"}}`. Where `model` is the folder of a classifier with
            torch's weights, and no encoder is named, training starts from it.
        folder: Where `full` puts the classifier that it trains, empty or absent; None: a temporary folder, gone with
            the object, which can't be pickled then.
        threads: See `ottenok.load`.
        random_state: Seed of folds and of training.

    Attributes:
        classes_: The labels, sorted; of a matrix, its columns' names or numbers in their order.
        multilabel_: Whether a text may have several of them.
        method_: What was chosen: `head` or `full`.
        scores_: Method to macro F1 on texts that it had not learned from, 0..1; empty without cross-validation.
        report_: The same as a sentence.
        head_: The fitted `LogisticRegression`, or `OneVsRestClassifier` of a matrix; None for `full`.
    """

    def __init__(  # noqa: PLR0913 - options by name
        self,
        model: Classifier | str | Path | None = None,
        *,
        method: Literal["head", "full", "auto"] = "head",
        C: float = 1.0,  # noqa: N803 - scikit-learn's name
        class_weight: str | Mapping[Any, float] | None = None,
        cv: int = 5,
        train: Mapping[str, Any] | None = None,
        folder: str | Path | None = None,
        threads: int | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.model = model
        self.method = method
        self.C = C
        self.class_weight = class_weight
        self.cv = cv
        self.train = train
        self.folder = folder
        self.threads = threads
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        """Say to scikit-learn that texts are read, not numbers, and that they may have several labels."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def fit(self, X: Any, y: Any) -> TextClassifier:  # noqa: ANN401, N803 - scikit-learn's name
        """Learn.

        Args:
            X: Texts: a list, an array, or a column of a data frame.
            y: A label for each: strings or whole numbers. Or a matrix of 0 and 1 with a column for each label, where a
                text may have several or none: an array, a frame whose columns are called as the labels, or sparse.

        Raises:
            ConfigError: An argument has a value that it can't have.
            WrongInput: A text is missing or no string, there are not as many labels as texts, or fewer than two labels.
            ValueError: scikit-learn's own, of labels that are missing or are measurements.
            MissingExtraError: `full` without the extra `train`.
        """
        from sklearn.metrics import f1_score

        if self.method not in _METHODS:
            raise ConfigError(f"found {self.method!r}", hint=suggest(str(self.method), _METHODS), key="method")
        if self.method == "auto" and not self.cv:
            raise ConfigError("without cross-validation there is nothing to choose by", hint="cv=5", key="cv")
        texts = _texts(X)
        self.classes_, codes = _targets(y, len(texts))
        self.multilabel_ = codes.ndim == 2
        methods = ("head", "full") if self.method == "auto" else (self.method,)
        # Rows alike in all labels are spread evenly; a label that is rarer than the folds can't be in each.
        _, kinds, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
        folds = min(int(self.cv), len(texts) if self.multilabel_ else int(counts.min()))
        scores: dict[str, list[float]] = {method: [] for method in methods}
        if folds > 1:
            fold = fold_rows(kinds.reshape(-1), folds, seed=self.random_state or 0)
            for number in range(folds):
                learned, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                known, held = ([texts[row] for row in rows] for rows in (learned, asked))
                if "head" in methods:
                    found = self._fit_head(known, codes[learned])(held)
                    answers = (found >= 0.5).astype(int) if self.multilabel_ else found.argmax(axis=1)
                    scores["head"].append(float(f1_score(codes[asked], answers, average="macro", zero_division=0.0)))
                if "full" in methods:
                    scores["full"].append(self._train((known, codes[learned]), (held, codes[asked])))
        elif self.method == "auto":
            raise WrongInput(
                f"the label {str(self.classes_[counts.argmin()])!r} has one text, so methods can't be compared",
                hint="Give two texts or more of each label, or choose method='head'.",
            )
        self.scores_ = {method: float(np.mean(found)) for method, found in scores.items() if found}
        self.method_ = max(methods, key=lambda method: self.scores_.get(method, 0.0))
        told = ", ".join(f"{method} {score:.3f}" for method, score in self.scores_.items())
        self.report_ = f"macro F1 of {folds} folds: {told}; {self.method_} is used" if told else "not cross-validated"
        if self.method_ == "head":
            self._learned = self._fit_head(texts, codes)
        else:
            place = Path(tempfile.mkdtemp(prefix="ottenok-") if self.folder is None else self.folder).resolve()
            self._train((texts, codes), None, place)
            columns = [clean_label(str(label)) for label in self.classes_]
            self._learned = _Learned(place, self.threads, columns=columns, temporary=self.folder is None)
        self.head_ = self._learned.head
        return self

    def _fit_head(self, texts: Sequence[str], codes: npt.NDArray[np.int64]) -> _Learned:
        model = self.model
        if model is not None and not isinstance(model, Classifier) and Path(model).is_dir():
            model = Path(model).resolve()  # a relative one means another folder from elsewhere
        vectors = embedded(_opened(model, self.threads), texts)
        labels = codes if codes.ndim == 2 else self.classes_[codes]
        head = fit_head(vectors, labels, C=self.C, class_weight=self.class_weight, seed=self.random_state)
        return _Learned(model, self.threads, head=head)

    def _train(
        self,
        learned: tuple[Sequence[str], npt.NDArray[np.int64]],
        held: tuple[Sequence[str], npt.NDArray[np.int64]] | None,
        out: Path | None = None,
    ) -> float:
        model = None if isinstance(self.model, Classifier) else self.model
        names = [str(label) for label in self.classes_]
        return train_texts(names, learned, held, out, model=model, over=self.train, seed=self.random_state or 0)

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: ANN401, N803
        """Return the most probable label of each text; of several, int `[texts, labels]`: 1 where it is probable.

        Probable is what has a probability of .5, or, where the whole model was trained, reaches its own threshold.

        Raises:
            WrongInput: A text is missing or no string.
            ModelError: The model is another than it was learned on.
        """
        probabilities = self.predict_proba(X)
        if self.multilabel_:
            return (probabilities >= self._learned.thresholds).astype(int)
        found: npt.NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401, N803
        """Return the probability of each label, float64 `[texts, labels]`, in the order of `classes_`.

        Rows sum to 1, but where a text may have several labels.

        A text without anything to read gets what the labels have without one, about their shares in training.

        Raises:
            WrongInput: A text is missing or no string.
            ModelError: The model is another than it was learned on.
        """
        check_is_fitted(self)
        found: npt.NDArray[np.float64] = self._learned(_texts(X))
        return found


class _Learned:
    """What was learned: a head on a model's embeddings, or a model.

    Args:
        model: What is loaded.
        threads: For it.
        head: Reads its embeddings; None: its own probabilities count.
        columns: The labels whose probabilities are given, where there is no head.
        temporary: The model's folder is removed with this object.
    """

    def __init__(
        self,
        model: Classifier | str | Path | None,
        threads: int | None,
        *,
        head: Any = None,  # noqa: ANN401 - scikit-learn has no types
        columns: Sequence[str] = (),
        temporary: bool = False,
    ) -> None:
        self.head = head
        self._model = model
        self._threads = threads
        self._columns = columns
        self._temporary = temporary
        if temporary:
            weakref.finalize(self, shutil.rmtree, str(model), ignore_errors=True)
        classifier = _opened(model, threads)
        self._identity = classifier.identity
        self.thresholds = np.full(len(columns) or 1, 0.5)
        for column, place in self._known(classifier):
            limits = classifier.tasks[0].decision.thresholds
            self.thresholds[column] = limits[place] if limits else 0.5

    def _known(self, classifier: Classifier) -> list[tuple[int, int]]:
        """Return the columns of labels that the model has, and their places in it.

        A label whose texts were all dropped as duplicates of others' is unknown to it.
        """
        places = {label: place for place, label in enumerate(classifier.labels)}
        return [(column, places[label]) for column, label in enumerate(self._columns) if label in places]

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return float64 `[texts, labels]`.

        Raises:
            ModelError: The model is not the one that was there.
        """
        classifier = _opened(self._model, self._threads)
        if classifier.identity != self._identity:
            raise ModelError(
                "the model is another than the one that the head was fitted on",
                hint="Fit again, or bring the old model back.",
                file=str(self._model),
            )
        if self.head is not None:
            found: npt.NDArray[np.float64] = self.head.predict_proba(embedded(classifier, texts)).astype(np.float64)
            return found
        found = np.full((len(texts), len(self._columns)), 1e-12)
        rows = classifier.predict_proba(texts)
        for column, place in self._known(classifier):
            found[:, column] += rows[:, place]
        return found if classifier.tasks[0].scheme.kind == "multi-label" else found / found.sum(axis=1, keepdims=True)

    def __getstate__(self) -> dict[str, Any]:
        if self._temporary:
            raise TypeError("the trained model lies in a temporary folder: fit with folder=FOLDER to pickle it")
        return self.__dict__


def _targets(y: Any, rows: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:  # noqa: ANN401 - of any library
    """Return the labels, and for each text the number of its label, or a matrix of 0 and 1.

    Raises:
        WrongInput: They don't go with the texts, or there is nothing to tell apart.
        ValueError: scikit-learn's own, of labels that are missing or are measurements.
    """
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import assert_all_finite, column_or_1d

    if y is None:
        raise WrongInput("TextClassifier requires y to be passed, but the target y is None")
    if isinstance(y, list) and any(isinstance(one, (list, tuple, set)) and len(one) != len(y[0]) for one in y):
        raise WrongInput(
            "expected a label for each text or a matrix of 0 and 1, found lists of labels",
            hint="sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y) makes a matrix of them.",
        )
    names = getattr(y, "columns", None)
    labels = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = column_or_1d(labels, warn=True)
    if labels.ndim not in {1, 2} or len(labels) != rows:
        raise WrongInput(f"expected a label for each of {rows} texts, found {' x '.join(map(str, labels.shape))}")
    assert_all_finite(labels, input_name="y")
    if labels.ndim == 2:
        kinds = np.unique(labels)
        if set(kinds.tolist()) - {0, 1}:
            shown = ", ".join(map(str, kinds[:5].tolist()))
            hint = "sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y) makes one of lists of labels."
            raise WrongInput(f"expected 0 and 1 in a matrix with a column for each label, found {shown}", hint=hint)
        classes = np.arange(labels.shape[1]) if names is None else np.asarray([str(name) for name in names])
        return classes, labels.astype(np.int64)
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise WrongInput(f"expected two labels or more, found {len(classes)} class")
    return classes, codes


def _opened(model: Classifier | str | Path | None, threads: int | None) -> Classifier:
    """Return a classifier; those that were loaded lately are kept, for every clone of an estimator asks for its own."""
    if isinstance(model, Classifier):
        return model
    manifest = None if model is None else Path(model) / MANIFEST
    return _loaded(model, threads, manifest.stat().st_mtime_ns if manifest and manifest.is_file() else 0)


@lru_cache(maxsize=4)
def _loaded(model: str | Path | None, threads: int | None, changed: int) -> Classifier:  # noqa: ARG001 - part of the key
    return load(model, threads=threads)


def _texts(values: Any) -> list[str]:  # noqa: ANN401 - columns of any library
    """Return texts as a list.

    Raises:
        WrongInput: Naming the first row that has none.
    """
    if getattr(values, "ndim", 1) == 2 and values.shape[1] == 1:
        values = np.asarray(values)[:, 0]  # one column of a ColumnTransformer
    try:
        return [str(text) for text in listed(list(values) if isinstance(values, Iterator) else values, "raise")]
    except InputError as error:
        raise WrongInput(error.message, hint=error.hint, row=error.row) from error
