"""A scikit-learn classifier on the model's embeddings."""

from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import ottenok
from ottenok.core.errors import ConfigError, InputError, ModelError
from ottenok.sklearn import TextClassifier
from toys import tiny_manifest, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

WORDS = {
    "praise": ["отличная", "прекрасная", "замечательная", "чудесная", "вкусная"],
    "blame": ["ужасная", "отвратительная", "мерзкая", "невкусная", "холодная"],
    "question": ["почём", "откуда", "зачем", "когда", "какая это"],
}
TEXTS = [
    f"{word} {what}" for words in WORDS.values() for word in words for what in ("еда", "каша", "гостиница", "рыба")
]
LABELS = [label for label, words in WORDS.items() for _ in range(len(words) * 4)]


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    """Return a classifier that learned sixty texts on the embedded model."""
    return TextClassifier(threads=1).fit(TEXTS, LABELS)


def test_few_texts_teach_labels_of_ones_own(fitted: TextClassifier) -> None:
    """Sixty texts suffice for labels that the model never saw, and the cross-validation says how well."""
    asked = ["превосходная рыба", "гадкая каша", "где гостиница?"]

    assert list(fitted.classes_) == ["blame", "praise", "question"]
    assert list(fitted.predict(asked)) == ["praise", "blame", "question"]
    np.testing.assert_allclose(fitted.predict_proba(asked).sum(axis=1), 1)
    assert fitted.score(TEXTS, LABELS) > 0.95
    assert fitted.method_ == "head"
    assert set(fitted.scores_) == {"head"}
    assert fitted.scores_["head"] > 0.7
    assert fitted.report_ == f"macro F1 of 5 folds: head {fitted.scores_['head']:.3f}; head is used"


def test_it_is_a_citizen_of_scikit_learn(fitted: TextClassifier) -> None:
    """It clones, stands in a pipeline, is searched over and cross-validated, with numbers as labels too."""
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "classes_")
    line = make_pipeline(FunctionTransformer(lambda texts: [text.lower() for text in texts]), copy.set_params(cv=0))
    search = GridSearchCV(line, {"textclassifier__C": [1e-9, 1.0]}, cv=3).fit(TEXTS, LABELS)

    assert search.best_params_ == {"textclassifier__C": 1.0}
    numbers = np.array([list(WORDS).index(label) for label in LABELS])
    found = cross_val_predict(TextClassifier(threads=1, cv=0), np.array(TEXTS), numbers, cv=3)
    assert (found == numbers).mean() > 0.7


def test_a_text_may_have_several_labels() -> None:
    """A matrix of 0 and 1 gives a head for each label; answers are such a matrix, and columns' names are labels."""
    pandas = pytest.importorskip("pandas")
    matrix = np.array([[label == "praise", "рыба" in text] for text, label in zip(TEXTS, LABELS, strict=True)], int)
    learned = TextClassifier(threads=1).fit(TEXTS, pandas.DataFrame(matrix, columns=["praise", "fish"]))
    asked = ["превосходная рыба", "гадкая рыба", "превосходная каша", "где гостиница?"]

    assert (learned.multilabel_, list(learned.classes_)) == (True, ["praise", "fish"])
    assert learned.predict(asked).tolist() == [[1, 1], [0, 1], [1, 0], [0, 0]]
    assert learned.predict_proba(asked).shape == (4, 2)
    assert learned.scores_["head"] > 0.7
    assert cross_val_predict(TextClassifier(threads=1, cv=0), TEXTS, matrix, cv=3).shape == matrix.shape
    constant = TextClassifier(threads=1, cv=0).fit(TEXTS, np.column_stack([matrix[:, 0], np.zeros(60, int)]))
    assert constant.predict_proba(asked)[:, 1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "numpy"])
def test_columns_of_every_library_are_texts(library: str, fitted: TextClassifier) -> None:
    """A column, or a table of one column in numpy, gives what the list gives."""
    module = pytest.importorskip(library)
    column = {"pandas": "Series", "polars": "Series", "pyarrow": "array", "numpy": "array"}[library]
    values = getattr(module, column)(TEXTS[::7])
    if library == "numpy":
        values = values[:, None]

    np.testing.assert_array_equal(fitted.predict_proba(values), fitted.predict_proba(TEXTS[::7]))


def test_pickles_go_by_the_models_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle holds the head and the model's path, works from elsewhere, and knows another model from this."""
    write_bundle(tmp_path / "model", tiny_manifest("sentiment-3"))
    monkeypatch.chdir(tmp_path)
    learned = TextClassifier("model", cv=0).fit(TEXTS, LABELS)
    bundle = TextClassifier(ottenok.load("model"), cv=0).fit(TEXTS, LABELS)
    expected = learned.predict_proba(TEXTS)
    data = pickle.dumps(learned)
    monkeypatch.chdir(tmp_path.parent)

    assert len(data) < 20_000
    for one in (pickle.loads(data), pickle.loads(pickle.dumps(bundle))):
        np.testing.assert_array_equal(one.predict_proba(TEXTS), expected)

    shutil.rmtree(tmp_path / "model")
    write_bundle(tmp_path / "model", tiny_manifest("sentiment-3"), width=24)
    with pytest.raises(ModelError, match="the model is another than the one that the head was fitted on"):
        learned.predict(TEXTS)
    with pytest.raises(ModelError):
        pickle.loads(data).predict(TEXTS)


@pytest.mark.parametrize(
    ("fields", "texts", "labels", "message"),
    [
        ({"method": "haed"}, TEXTS, LABELS, "Did you mean 'head'"),
        ({"method": "auto", "cv": 0}, TEXTS, LABELS, "nothing to choose by"),
        ({}, [*TEXTS[:-1], None], LABELS, r"row 60.*the value is missing"),
        ({}, [*TEXTS[:-1], 5], LABELS, r"row 60.*found int 5"),
        ({}, TEXTS, LABELS[:-1], "a label for each of 60 texts, found 59"),
        ({}, TEXTS, ["one"] * 60, "two labels or more, found 1 class"),
        ({"method": "auto"}, TEXTS[:2], ["a", "b"], "the label 'a' has one text"),
        ({}, TEXTS, [["a"]] * 59 + [["a", "b"]], "lists of labels.*MultiLabelBinarizer"),
        ({}, TEXTS, [["a", "b"]] * 60, "0 and 1 in a matrix.*found a, b"),
        ({}, TEXTS, np.full((60, 2), 2), "0 and 1 in a matrix.*found 2"),
    ],
)
def test_what_can_not_be_learned_is_refused(
    fields: dict[str, Any], texts: list[Any], labels: list[Any], message: str
) -> None:
    """Wrong arguments, texts and labels are errors that say which."""
    with pytest.raises((ConfigError, InputError), match=f"(?s){message}"):
        TextClassifier(**fields).fit(texts, labels)


# Of scikit-learn's checks the others put matrices of numbers into `fit`: it leaves them out itself for estimators whose
# tags say that they take texts (`input_tags.two_d_array` is False), as it does for its own CountVectorizer.
_CHECKS = [
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
]


@pytest.mark.parametrize("name", _CHECKS)
def test_scikit_learns_checks_pass(name: str) -> None:
    """Every check of scikit-learn's that gives the estimator no numbers for texts passes."""
    getattr(estimator_checks, name)("TextClassifier", TextClassifier())


class _OfNumbers(TextClassifier):
    """The same for tables of numbers, which become texts: a letter for each number, as often as its size."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, False, True
        return tags

    def fit(self, X: Any, y: Any) -> _OfNumbers:  # noqa: N803
        return super().fit(self._written(X), y)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        return super().predict_proba(self._written(X))

    def _written(self, numbers: Any) -> list[str]:
        rows = np.asarray(numbers, dtype=float)
        return [
            "".join(chr(97 + place) * int(3 * abs(value)) for place, value in enumerate(row)) or "." for row in rows
        ]


# What scikit-learn's checks ask for and texts have not. All others pass.
_NOT_FOR_TEXTS = {
    **dict.fromkeys(
        ("check_n_features_in_after_fitting", "check_n_features_in", "check_fit1d", "check_fit2d_predict1d"),
        "a text has no number of features, and a list of texts has one dimension",
    ),
    **dict.fromkeys(
        ("check_estimator_sparse_tag", "check_estimator_sparse_array", "check_estimator_sparse_matrix"),
        "texts are not sparse",
    ),
    **dict.fromkeys(("check_complex_data", "check_estimators_nan_inf"), "no text has them, so here they are not texts"),
    "check_estimators_empty_data_messages": "numbers without columns are texts without letters",
    "check_classifiers_train": "that a model of moods tells clouds of points apart is not promised",
}


def test_scikit_learns_checks_of_fitting_pass(tiny_bundle: Path) -> None:
    """Fitted on numbers that are written as texts, it passes every check that can be asked of texts."""
    found = estimator_checks.check_estimator(
        _OfNumbers(str(tiny_bundle), cv=0), expected_failed_checks=_NOT_FOR_TEXTS, on_skip=None, on_fail=None
    )

    failed = {one["check_name"]: str(one["exception"]) for one in found if one["status"] == "failed"}
    assert failed == {}
    assert {one["check_name"] for one in found if one["status"] == "xfail"} == set(_NOT_FOR_TEXTS)
    passed = [one["check_name"] for one in found if one["status"] == "passed"]
    assert len(passed) > 40
    assert "check_classifiers_multilabel_output_format_predict_proba" in passed
