"""True shares from the counts of answers: what always holds, and what is found where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.shift import AnswerCounts, Correction, GroupCounts, bbse, count_answers, em
from ottenok.tasks.task import Task

_SENTIMENT = Task(
    name="sentiment-3",
    scheme=load_scheme("sentiment-3"),
    problem="multi-class",
    decision=Decision(activation="softmax"),
)
_EMOTIONS = Task(
    name="emotions-7",
    scheme=load_scheme("emotions-7"),
    problem="multi-label",
    decision=Decision(activation="sigmoid", thresholds=(0.4,) * 7, empty="top"),
)


def _noisy(kinds: np.ndarray, draw: np.random.Generator, sureness: float = 1.5) -> np.ndarray:
    """Return probabilities of three labels, of which the true one is likelier."""
    logits = draw.normal(size=(len(kinds), 3))
    logits[np.arange(len(kinds)), kinds] += sureness
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(np.int64, st.integers(2, 9), elements=st.integers(0, 500)),
    st.integers(2, 5),
    st.integers(0, 10_000),
)
def test_shares_are_shares(counts: np.ndarray, classes: int, seed: int) -> None:
    """Whatever the counts and the tables are, shares lie in 0..1 and sum to 1."""
    draw = np.random.default_rng(seed)
    tables = draw.dirichlet(np.full(len(counts), 0.3), size=classes).T
    answers = np.sort(draw.integers(0, 3, size=len(counts)))
    for found in (em(counts.astype(np.float64), tables), bbse(counts.astype(np.float64), tables, answers)):
        assert found.sum() == pytest.approx(1.0)
        assert (found >= 0).all()


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.int64, st.integers(2, 6), elements=st.integers(0, 1000)).filter(np.any))
def test_without_mistakes_the_shares_are_those_of_the_answers(counts: np.ndarray) -> None:
    """A classifier that is never wrong needs no correction."""
    perfect = np.eye(len(counts))
    shares = counts / counts.sum()
    assert em(counts.astype(np.float64), perfect) == pytest.approx(shares, abs=1e-5)
    assert bbse(counts.astype(np.float64), perfect, np.arange(len(counts))) == pytest.approx(shares, abs=1e-5)


@pytest.mark.parametrize("method", ["em", "bbse"])
def test_a_planted_shift_is_found(method: str) -> None:
    """Labels are equally frequent where they are known and very unequal in new texts: the interval holds the truth."""
    draw = np.random.default_rng(0)
    known = draw.integers(0, 3, size=1500)
    counts = count_answers(_SENTIMENT, _noisy(known, draw), np.eye(3, dtype=bool)[known], data="known")
    assert counts.rows == 1500
    assert counts.fits(_SENTIMENT)
    assert not counts.fits(_EMOTIONS)
    new = draw.choice(3, p=[0.7, 0.25, 0.05], size=2000)
    probs = _noisy(new, draw)
    truth = np.bincount(new, minlength=3) / len(new)
    raw = np.bincount(probs.argmax(axis=1), minlength=3) / len(new)
    correction = Correction(counts, method=method)
    point, drawn = correction.label_shares(counts.cells(_SENTIMENT, probs), ["ru"] * 2000, several=False)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert np.abs(point - truth).sum() < 0.3 * np.abs(raw - truth).sum()
    assert (low <= truth).all()
    assert (truth <= high).all()


def test_each_of_several_labels_is_a_question_of_its_own() -> None:
    """Of labels that come together each is corrected; one that no labelled row has is not known."""
    draw = np.random.default_rng(1)
    truth = draw.random((1200, 7)) < 0.3
    truth[:, 2] = False
    probs = np.clip(0.25 + 0.4 * truth + draw.normal(0, 0.15, truth.shape), 0.01, 0.99).astype(np.float32)
    counts = count_answers(_EMOTIONS, probs[:800], truth[:800], languages=["ru"] * 800, data="known")
    correction = Correction(counts)
    point, drawn = correction.label_shares(counts.cells(_EMOTIONS, probs[800:]), ["ru"] * 400, several=True)
    known = [0, 1, 3, 4, 5, 6]
    assert not correction.knows(2)
    assert np.isnan(point[2])
    assert drawn.shape == (400, 7)
    assert point[known] == pytest.approx(truth[800:, known].mean(axis=0), abs=0.08)


def test_where_sources_differ_ranges_are_wider() -> None:
    """Texts of a kind that was not seen may lie where any of the seen kinds would put them."""
    draw = np.random.default_rng(2)
    known = draw.integers(0, 3, size=2000)
    sources = [f"set {place % 5}" for place in range(2000)]
    sureness = np.array([0.6, 1.0, 1.5, 2.0, 2.5])[np.arange(2000) % 5]
    logits = draw.normal(size=(2000, 3))
    logits[np.arange(2000), known] += sureness
    probs = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    truth = np.eye(3, dtype=bool)[known]
    counts = count_answers(_SENTIMENT, probs, truth, sources=sources, languages=["ru"] * 2000, data="known")
    cells = counts.cells(_SENTIMENT, probs[:500])
    reach = []
    for elsewhere in (False, True):
        correction = Correction(counts, elsewhere=elsewhere)
        _, drawn = correction.label_shares(cells, ["ru"] * 500, several=False)
        reach.append(np.ptp(np.quantile(drawn, [0.025, 0.975], axis=0), axis=0).mean())
    assert reach[1] > 1.5 * reach[0]


def test_counts_that_do_not_fit_are_told() -> None:
    """Cells and counts of a stranger's manifest have to go together with the task."""
    edges = ((((0.5,)), (), (), ()),)
    good = AnswerCounts(data="x", edges=edges, groups=(GroupCounts(source="", language="ru", counts=((1,) * 15,)),))
    short = AnswerCounts(data="x", edges=edges, groups=(GroupCounts(source="", language="ru", counts=((1,) * 14,)),))
    falling = AnswerCounts(data="x", edges=(((0.7, 0.5), (), (), ()),), groups=())
    assert good.fits(_SENTIMENT)
    assert not short.fits(_SENTIMENT)
    assert not falling.fits(_SENTIMENT)
    assert good.rows == 15
    assert good.languages == ("ru",)
