"""Logits to labels: the rule that every surface shares."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ottenok.core.errors import ConfigError, ModelError, SchemeError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import (
    ACTIVATIONS,
    Decision,
    check_fit,
    chosen,
    decide,
    ordered_score,
    output_count,
    probabilities,
)

SENTIMENT = load_scheme("sentiment-3")
STARS = load_scheme("stars-5")
EMOTIONS = load_scheme("emotions-7")
CEDR = load_scheme("cedr-5")
SOFTMAX = Decision(activation="softmax")
SIGMOID = Decision(activation="sigmoid")
CORN = Decision(activation="corn")
CORAL = Decision(activation="coral")
STARS_NUMBER = Decision(activation="regression", values=STARS.values)
ALL = [SOFTMAX, SIGMOID, CORN, CORAL]

finite = st.floats(-1e4, 1e4, width=32)
logit_rows = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(2, 7)), elements=finite)


def test_multi_label_logits_go_through_sigmoids() -> None:
    """The known case of (2, 1.5, -3): .88/.82/.05, and not softmax's .62/.38/.004."""
    probs = probabilities([[2.0, 1.5, -3.0]], SIGMOID)

    assert probs[0].tolist() == pytest.approx([0.8808, 0.8176, 0.0474], abs=1e-4)


def test_multi_class_logits_go_through_softmax() -> None:
    """The same logits of a multi-class model give shares that sum to 1."""
    probs = probabilities([[2.0, 1.5, -3.0]], SOFTMAX)

    assert probs[0].tolist() == pytest.approx([0.6199, 0.3760, 0.0042], abs=1e-4)


@pytest.mark.parametrize("decision", [SOFTMAX, CORN, CORAL])
def test_a_multi_label_scheme_refuses_competing_activations(decision: Decision) -> None:
    """A multi-label answer can't be made from an activation under which labels compete."""
    with pytest.raises(SchemeError, match="multi-label, but the activation is"):
        chosen(np.full((1, 7), 0.2), EMOTIONS, decision)


def test_problem_types_name_one_usual_activation_each() -> None:
    """Softmax belongs to multi-class alone and sigmoid to multi-label alone."""
    assert {kind: names[0] for kind, names in ACTIVATIONS.items()} == {
        "multi-class": "softmax",
        "multi-label": "sigmoid",
        "ordinal": "softmax",
        "regression": "regression",
    }
    assert "sigmoid" not in ACTIVATIONS["multi-class"]
    assert "softmax" not in ACTIVATIONS["multi-label"]


@settings(deadline=None)
@given(logit_rows, st.sampled_from(ALL), st.floats(0.05, 20))
def test_probabilities_are_finite_and_in_range(logits: np.ndarray, decision: Decision, temperature: float) -> None:
    """Logits up to +-1e4 give float32 probabilities in 0..1; rows sum to 1 except under sigmoid."""
    probs = probabilities(logits, replace(decision, temperature=temperature))

    assert probs.dtype == np.float32
    assert np.isfinite(probs).all()
    assert ((probs >= 0) & (probs <= 1)).all()
    assert output_count(decision.activation, probs.shape[1]) == logits.shape[1]
    if decision.activation != "sigmoid":
        assert probs.sum(axis=1) == pytest.approx(np.ones(len(probs)), abs=1e-5)


@settings(deadline=None)
@given(logit_rows, st.floats(0.05, 20))
def test_temperature_keeps_the_best_class(logits: np.ndarray, temperature: float) -> None:
    """Softening a softmax never makes another class better than the best one."""
    probs = probabilities(logits, Decision(activation="softmax", temperature=temperature))

    best = logits.argmax(axis=1)
    assert (probs[np.arange(len(probs)), best] == probs.max(axis=1)).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_no_numbers_are_refused(bad: float) -> None:
    """NaN and infinities are refused, and the row is named."""
    with pytest.raises(ModelError, match="row 2 of 2 are not finite"):
        probabilities([[0.0, 1.0], [bad, 1.0]], SOFTMAX)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 1), (2, 0)])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Only [rows, outputs] is read; nothing is broadcast."""
    with pytest.raises(ModelError, match="of shape"):
        probabilities(np.zeros(shape), SOFTMAX)


def test_no_rows_give_no_answers() -> None:
    """An empty batch is answered by an empty array and an empty list."""
    probs = probabilities(np.zeros((0, 3)), SOFTMAX)

    assert probs.shape == (0, 3)
    assert decide(probs, SENTIMENT, SOFTMAX) == []
    assert ordered_score(probs, SENTIMENT.values).shape == (0,)


def test_corn_multiplies_conditional_probabilities() -> None:
    """Shi et al. 2021: P(rank > j) is the product of the sigmoids up to j."""
    probs = probabilities([[np.log(4), 0.0, -np.log(3)]], CORN)

    assert probs[0].tolist() == pytest.approx([0.2, 0.4, 0.3, 0.1])


@pytest.mark.parametrize("decision", [SOFTMAX, CORN, CORAL])
def test_the_median_counts_exceeded_ranks(decision: Decision) -> None:
    """The median counts the ranks that are exceeded with more than one half, even where another class is likelier."""
    probs = np.array([[0.4, 0.0, 0.3, 0.3, 0.0]])

    assert decide(probs, STARS, replace(decision, pick="median")) == [("Star_3",)]
    assert decide(probs, STARS, decision) == [("Star_1",)]


def test_coral_never_gives_negative_probabilities() -> None:
    """Outputs that cross are cut to their running minimum."""
    probs = probabilities([[0.0, 2.0]], CORAL)

    assert probs[0].tolist() == pytest.approx([0.5, 0.0, 0.5])


def test_an_ordinal_activation_needs_labels_in_order() -> None:
    """Labels such as neutral, positive, negative can't be ranks."""
    shuffled = replace(SENTIMENT, labels=("neutral", "positive", "negative"), values=(0.0, 1.0, -1.0))

    for decision in (CORN, CORAL, replace(SOFTMAX, pick="median")):
        with pytest.raises(SchemeError, match="not in the order of their rank"):
            check_fit(decision, shuffled)
    check_fit(SOFTMAX, shuffled)


@settings(deadline=None)
@given(st.floats(-5, 5), st.permutations(STARS.values))
def test_a_regression_keeps_its_number(number: float, values: list[float]) -> None:
    """The score of the interpolated shares is the predicted number within the labels' range, in any label order."""
    probs = probabilities([[number]], Decision(activation="regression", values=tuple(values)))

    assert probs.sum() == pytest.approx(1.0)
    assert (probs > 0).sum() <= 2
    assert ordered_score(probs, values)[0] == pytest.approx(min(max(number, -1.0), 1.0), abs=1e-6)


def test_a_regression_answers_with_the_nearest_label() -> None:
    """0.3 is nearer to the fourth star's 0.5 than to the third's 0."""
    assert decide(probabilities([[0.3], [-7.0]], STARS_NUMBER), STARS, STARS_NUMBER) == [("Star_4",), ("Star_1",)]


def test_every_label_that_reaches_its_threshold_is_in_the_answer() -> None:
    """Thresholds are per label, in the labels' order, and reaching is enough."""
    decision = Decision(activation="sigmoid", thresholds=(0.7, 0.2, 0.5, 0.5, 0.5))
    probs = np.array([[0.7, 0.3, 0.4, 0.5, 0.1], [0.69, 0.1, 0.4, 0.4, 0.1]], dtype=np.float32)

    assert decide(probs, CEDR, decision) == [("joy", "sadness", "fear"), ()]


def test_without_thresholds_a_multi_label_answer_takes_one_half() -> None:
    """0.5 is the threshold of labels that have none."""
    assert decide([[0.5, 0.4999, 0.9, 0, 0]], CEDR, SIGMOID) == [("joy", "surprise")]


@pytest.mark.parametrize(("empty", "answer"), [("allow", ()), ("top", ("anger",)), ("neutral", ("neutral",))])
def test_an_empty_answer_follows_its_policy(empty: str, answer: tuple[str, ...]) -> None:
    """An answer without labels stays empty, becomes the most probable label, or a named one."""
    decision = Decision(activation="sigmoid", empty=empty)

    assert decide([[0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2]], EMOTIONS, decision) == [answer]


def test_an_exclusive_label_stands_alone() -> None:
    """Of neutral and emotions the answer is what is furthest above its threshold; two emotions stay together."""
    decision = Decision(activation="sigmoid", exclusive="neutral")
    probs = [[0.6, 0, 0, 0, 0, 0, 0.9], [0, 0, 0, 0, 0, 0, 0.9], [0.6, 0.7, 0, 0, 0, 0, 0.65], [0.1] * 7]

    assert decide(probs, EMOTIONS, decision) == [("neutral",), ("neutral",), ("anger", "disgust"), ()]
    assert decide(probs, EMOTIONS, replace(decision, exclusive=""))[0] == ("anger", "neutral")
    high = replace(decision, thresholds=(0.2, *(0.5,) * 5, 0.8))
    assert decide(probs[:1], EMOTIONS, high) == [("anger",)]
    assert decide(probs, EMOTIONS, replace(decision, empty="neutral"))[3] == ("neutral",)


def test_an_exclusive_label_must_fit() -> None:
    """It is a label of the scheme, and the scheme allows several."""
    with pytest.raises(SchemeError, match="neutrall"):
        check_fit(Decision(activation="sigmoid", exclusive="neutrall"), EMOTIONS)
    with pytest.raises(SchemeError, match="one label a row"):
        check_fit(replace(SOFTMAX, exclusive="neutral"), SENTIMENT)


def test_a_one_label_answer_below_its_threshold_is_empty() -> None:
    """A threshold lets a multi-class model say that it does not know."""
    unsure = Decision(activation="softmax", thresholds=(0.5, 0.0, 0.5))

    assert decide([[0.4, 0.3, 0.3], [0.6, 0.2, 0.2]], SENTIMENT, unsure) == [(), ("negative",)]
    assert decide([[0.4, 0.3, 0.3]], SENTIMENT, replace(unsure, empty="neutral")) == [("neutral",)]


@pytest.mark.parametrize("empty", ["allow", "top", "neutral"])
def test_a_row_of_zeros_has_no_answer(empty: str) -> None:
    """A text of which nothing could be read is not called negative only because that label comes first."""
    assert decide(np.zeros((1, 3)), SENTIMENT, replace(SOFTMAX, empty=empty)) == [()]


def test_one_hot_sigmoids_still_give_one_label() -> None:
    """A one-label scheme under sigmoid (Douban's stars) is answered by its best label, however low."""
    assert decide([[0.1, 0.2, 0.3, 0.1, 0.1]], STARS, SIGMOID) == [("Star_3",)]


def test_the_empty_label_must_exist() -> None:
    """A policy that names an unknown label is refused with the nearest one."""
    with pytest.raises(SchemeError, match="Did you mean 'neutral'"):
        check_fit(Decision(activation="sigmoid", empty="neutrall"), EMOTIONS)


@pytest.mark.parametrize(
    ("decision", "found"),
    [
        (Decision(activation="sigmoid", thresholds=(0.5, 0.5)), "2 thresholds"),
        (Decision(activation="regression", values=(0.0, 1.0)), "multi-label"),
    ],
)
def test_a_decision_of_another_size_is_refused(decision: Decision, found: str) -> None:
    """Thresholds and values come one per label."""
    with pytest.raises(SchemeError, match=found):
        check_fit(decision, CEDR)


def test_probabilities_of_another_width_are_refused() -> None:
    """A model with other labels than the scheme's can't be decided by it."""
    with pytest.raises(ModelError, match="found 2 probabilities"):
        decide([[0.5, 0.5]], SENTIMENT, SOFTMAX)


def test_score_places_probabilities_on_the_scale() -> None:
    """The score is the mean of the values, also when sigmoids do not sum to 1."""
    scores = ordered_score([[0.1, 0.2, 0.7], [0.8, 0.4, 0.0], [0.0, 0.0, 0.0]], SENTIMENT.values)

    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx([0.6, -2 / 3, 0.0])


@settings(deadline=None)
@given(hnp.arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32)))
def test_score_stays_on_the_scale(probs: np.ndarray) -> None:
    """No probabilities lead outside -1..1."""
    assert (np.abs(ordered_score(probs, STARS.values)) <= 1.0).all()


def test_labels_without_order_have_no_score() -> None:
    """A scheme without values is refused, not scored by position."""
    with pytest.raises(SchemeError, match="no order"):
        ordered_score([[0.5, 0.5]], ())


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(7)), elements=st.floats(0, 1, width=32)),
    st.lists(st.floats(0, 1), min_size=7, max_size=7),
    st.sampled_from(["allow", "top", "neutral"]),
)
def test_names_and_mask_agree(probs: np.ndarray, thresholds: list[float], empty: str) -> None:
    """`decide` spells exactly what `chosen` marks, in the scheme's order."""
    decision = Decision(activation="sigmoid", thresholds=tuple(thresholds), empty=empty)

    mask = chosen(probs, EMOTIONS, decision)
    names = decide(probs, EMOTIONS, decision)

    assert names == [tuple(np.array(EMOTIONS.labels)[row].tolist()) for row in mask]
    assert empty == "allow" or mask.any(axis=1).all()


@pytest.mark.parametrize(
    "decision",
    [SOFTMAX, STARS_NUMBER, Decision(activation="sigmoid", temperature=1.7, thresholds=(0.3, 0.7), empty="top")],
)
def test_json_round_trip(decision: Decision) -> None:
    """What is written is read back as the same decision."""
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        ({"activation": "softmaxx"}, "activation"),
        ({"activation": "softmax", "temprature": 1.0}, "temprature"),
        ({"temperature": 1.0}, "activation"),
        ({"activation": "softmax", "temperature": 0.0}, "temperature"),
        ({"activation": "softmax", "temperature": "hot"}, "temperature"),
        ({"activation": "softmax", "temperature": float("nan")}, "temperature"),
        ({"activation": "sigmoid", "thresholds": [1.5]}, "thresholds"),
        ({"activation": "sigmoid", "thresholds": [float("nan")]}, "thresholds"),
        ({"activation": "softmax", "pick": "best"}, "pick"),
        ({"activation": "softmax", "values": [0.0, 1.0]}, "values"),
        ({"activation": "regression"}, "values"),
        ({"activation": "regression", "values": [0.0, 0.0]}, "values"),
        ({"activation": "regression", "values": [0.0, 1.0], "temperature": 2.0}, "temperature"),
    ],
)
def test_a_wrong_decision_is_refused(tree: dict[str, object], found: str) -> None:
    """Wrong, unknown and missing keys are refused by name."""
    with pytest.raises(ConfigError) as caught:
        Decision.from_json(tree)

    assert found in str(caught.value.key)


def test_an_unknown_activation_is_answered_with_the_nearest() -> None:
    """In code too an unknown activation is refused at once."""
    with pytest.raises(ConfigError, match="Did you mean 'sigmoid'"):
        Decision(activation="sigmoyd")  # type: ignore[arg-type]
