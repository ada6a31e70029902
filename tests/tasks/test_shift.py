"""True shares from the counts of answers: what always holds, and what is found where the truth is known."""

from __future__ import annotations

from dataclasses import replace

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
    texts = counts.tally(counts.cells(_SENTIMENT, probs), ["ru"] * 2000)
    point, drawn = Correction(counts, method=method).label_shares(texts, raw)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert point.sum() == pytest.approx(1)
    assert np.abs(point - truth).sum() < 0.3 * np.abs(raw - truth).sum()
    assert (low <= truth).all()
    assert (truth <= high).all()


def _emotions(truth: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return probabilities of seven labels, of which the true ones are likelier, and each is taken for the next one."""
    confused = 0.25 + 0.35 * truth + 0.15 * np.roll(truth, 1, axis=1)
    return np.clip(confused + draw.normal(0, 0.15, truth.shape), 0.01, 0.99).astype(np.float32)


def test_labels_that_come_together_are_corrected_together() -> None:
    """Whoever picks texts by one label changes which others come with it: sets of labels are told apart by then."""
    draw = np.random.default_rng(1)
    kinds = np.array([[1, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0]], bool)
    truth = kinds[draw.integers(0, 4, size=1200)]
    counts = count_answers(_EMOTIONS, _emotions(truth, draw), truth, languages=["ru"] * 1200, data="known")
    assert counts.fits(_EMOTIONS)
    assert set(counts.sets) == {(0,), (0, 1), (3,), (4,)}
    new = kinds[draw.choice(4, p=[0.1, 0.7, 0.1, 0.1], size=1000)]
    probs = _emotions(new, draw)
    texts = counts.tally(counts.cells(_EMOTIONS, probs), ["ru"] * 1000)
    answered = np.full(7, 0.3)
    found, drawn = Correction(counts).label_shares(texts, answered)
    known = [0, 1, 3, 4]
    assert found[known] == pytest.approx(new[:, known].mean(axis=0), abs=0.06)
    low, high = np.quantile(drawn[:, known], [0.01, 0.99], axis=0)
    assert ((low <= new[:, known].mean(axis=0)) & (new[:, known].mean(axis=0) <= high)).all()
    assert np.isnan(drawn[0, [2, 5, 6]]).all()
    assert (found[[2, 5, 6]] == 0.3).all()
    apart, _ = Correction(counts, method="bbse").label_shares(texts, answered)
    assert np.abs(apart - new.mean(axis=0))[known].max() > np.abs(found - new.mean(axis=0))[known].max()


def test_counts_without_sets_are_read_as_before() -> None:
    """Manifests of ottenok before it counted sets have a question for each label, and no other."""
    draw = np.random.default_rng(3)
    truth = draw.random((900, 7)) < 0.3
    counts = count_answers(_EMOTIONS, _emotions(truth, draw), truth, data="known")
    group = counts.groups[0]
    old = AnswerCounts(data="old", edges=counts.edges[:7], groups=(replace(group, counts=group.counts[:7]),))
    assert old.fits(_EMOTIONS)
    texts = old.tally(old.cells(_EMOTIONS, _emotions(truth, draw)), [""] * 900)
    found, _ = Correction(old).label_shares(texts, np.full(7, 0.3))
    assert found == pytest.approx(truth.mean(axis=0), abs=0.06)


def test_few_labelled_rows_leave_the_answers() -> None:
    """What draws can not tell from chance is not corrected: the share lies between the answers and their mean."""
    draw = np.random.default_rng(4)
    new = draw.choice(3, p=[0.7, 0.25, 0.05], size=500)
    probs = _noisy(new, draw)
    raw = np.bincount(probs.argmax(axis=1), minlength=3) / 500
    part = []
    for rows in (15, 3000):
        known = draw.integers(0, 3, size=rows)
        counts = count_answers(_SENTIMENT, _noisy(known, draw), np.eye(3, dtype=bool)[known], data="known")
        found, drawn = Correction(counts).label_shares(counts.tally(counts.cells(_SENTIMENT, probs), [""] * 500), raw)
        part.append(np.abs(found - raw).sum() / np.abs(drawn.mean(axis=0) - raw).sum())
    assert 0 <= part[0] < part[1] <= 1


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
    texts = counts.tally(counts.cells(_SENTIMENT, probs[:500]), ["ru"] * 500)
    reach = []
    for elsewhere in (False, True):
        correction = Correction(counts, elsewhere=elsewhere)
        _, drawn = correction.label_shares(texts, np.full(3, 1 / 3))
        reach.append(np.ptp(np.quantile(drawn, [0.025, 0.975], axis=0), axis=0).mean())
    assert reach[1] > 1.3 * reach[0]


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
