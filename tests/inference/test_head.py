"""The quick head: embeddings, folds and probabilities of texts that were not learned from."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given
from hypothesis import strategies as st

import ottenok
from ottenok.core.errors import ConfigError, InputError
from ottenok.inference.head import embedded, fit_head, fold_rows, out_of_sample


def test_embeddings_are_those_of_the_model_however_often_a_text_comes() -> None:
    """Each row has the vector of its text, for equal texts and for texts seen before too."""
    classifier = ottenok.load(threads=1)
    texts = ["хорошо", "плохо", "хорошо", "", "房间又小又脏"]
    found = embedded(classifier, texts)

    np.testing.assert_allclose(found, classifier.embed(texts), atol=1e-5)
    np.testing.assert_array_equal(embedded(classifier, texts[::-1]), found[::-1])
    assert embedded(classifier, []).shape == (0, found.shape[1])


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=60),
    st.integers(2, 6),
    st.integers(0, 5),
)
def test_folds_are_even_and_divide_no_group(rows: list[tuple[int, int]], folds: int, seed: int) -> None:
    """A group lies in one fold; without groups every label is in every fold as often, give or take one."""
    codes, groups = (np.array(column) for column in zip(*rows, strict=True))
    found = fold_rows(codes, folds, seed=seed, groups=groups)
    alone = fold_rows(codes, folds, seed=seed)

    assert all(len(set(found[groups == group])) == 1 for group in set(groups))
    assert found.min() >= 0
    assert found.max() < folds
    for code in set(codes):
        counts = np.bincount(alone[codes == code], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_a_copy_does_not_confirm_a_wrong_label() -> None:
    """Of pairs of equal vectors with a wrong label the head sees one in the other's place, unless they are grouped."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(2), 40)
    vectors = (rng.normal(size=(80, 100)) + 2 * codes[:, None] * np.eye(100)[0]).astype(np.float32)
    vectors, given, groups = np.repeat(vectors, 2, axis=0), np.repeat(codes, 2), np.repeat(np.arange(80), 2)
    given[:8] = 1
    wrong = np.arange(8)
    learn = partial(fit_head, C=100.0)
    apart = out_of_sample(vectors, given, learn=learn)[wrong, 1]
    together = out_of_sample(vectors, given, learn=learn, groups=groups)[wrong, 1]

    assert together.mean() < 0.6 < apart.mean()


def test_rare_labels_and_what_can_not_be_fitted() -> None:
    """A label with one text is 0 where it is asked; one label alone or one fold is an error; rows sum to one."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(31, 4)).astype(np.float32)
    codes = np.array([0] * 15 + [1] * 15 + [2])
    found = out_of_sample(vectors, codes)

    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found[30, 2] == 0
    assert out_of_sample(vectors[:2], np.array([0, 1])).tolist() == [[0, 1], [1, 0]]
    assert list(fit_head(vectors, codes).classes_) == [0, 1, 2]
    with pytest.raises(InputError, match="nothing to tell apart"):
        out_of_sample(vectors, np.zeros(31, dtype=np.int64))
    with pytest.raises(ConfigError, match="folds"):
        out_of_sample(vectors, codes, folds=1)
