"""Losses, against their definitions: torch's own, and numpy's sums over single labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError
from ottenok.recipes.model import LOSSES, LossOptions, resolve_loss

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402 - after the check for torch

from ottenok.models.losses import FUNCTIONS, LossSetting  # noqa: E402

pytestmark = pytest.mark.train

PLAIN = LossSetting()
WEIGHTS = torch.tensor([1.0, 2.0, 0.5])
ONE = torch.tensor([0, 1, 2, 2, 0])
SEVERAL = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]])


def _scores(seed: int = 0) -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)) * 2.0


def _sigmoid(score: float) -> float:
    return 1.0 / (1.0 + math.exp(-score))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    """With class weights and label smoothing the loss is that of `torch.nn.functional`."""
    ours = FUNCTIONS["ce"](_scores(), ONE, LossSetting(class_weights=WEIGHTS, smoothing=smoothing))

    theirs = functional.cross_entropy(_scores(), ONE, weight=WEIGHTS, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)


def test_binary_cross_entropy_is_torchs() -> None:
    """A class weight is torch's `pos_weight`; smoothing moves both targets towards a half."""
    ours = FUNCTIONS["bce"](_scores(), SEVERAL, LossSetting(class_weights=WEIGHTS, smoothing=0.2))

    theirs = functional.binary_cross_entropy_with_logits(_scores(), SEVERAL * 0.8 + 0.1, pos_weight=WEIGHTS)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    ("name", "plain", "targets"), [("focal", "ce", ONE), ("focal", "bce", SEVERAL), ("asymmetric", "bce", SEVERAL)]
)
def test_without_gammas_nothing_is_looked_away_from(
    name: str, plain: str, targets: torch.Tensor, weights: torch.Tensor | None
) -> None:
    """With gammas and clip 0 the loss and its gradient are those of cross-entropy, class weights included."""
    flat = LossSetting(class_weights=weights, gamma=0.0, gamma_positive=0.0, gamma_negative=0.0, clip=0.0)
    results = []
    for loss in (name, plain):
        scores = _scores().requires_grad_()
        value = FUNCTIONS[loss](scores, targets, flat)
        value.backward()
        results.append((value.detach(), scores.grad))

    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_is_the_formula_of_lin(gamma: float) -> None:
    """For one label: `-(1 - p)^gamma log p` of the softmax, weighed by class, over the sum of the weights."""
    rows = _scores().numpy().astype(np.float64)
    total = share = 0.0
    for row, target in zip(rows, ONE.tolist(), strict=True):
        p = np.exp(row[target]) / np.exp(row).sum()
        total += float(WEIGHTS[target]) * -((1.0 - p) ** gamma) * math.log(p)
        share += float(WEIGHTS[target])

    found = FUNCTIONS["focal"](_scores(), ONE, LossSetting(class_weights=WEIGHTS, gamma=gamma))
    assert float(found) == pytest.approx(total / share, rel=1e-5)


def test_focal_over_several_labels_is_the_mean_over_them() -> None:
    """Each label is a sigmoid of its own, and p the probability of what is true of it."""
    total = 0.0
    for row, truth in zip(_scores().tolist(), SEVERAL.tolist(), strict=True):
        for score, has in zip(row, truth, strict=True):
            p = _sigmoid(score) if has else 1.0 - _sigmoid(score)
            total += -((1.0 - p) ** 2.0) * math.log(p)

    assert float(FUNCTIONS["focal"](_scores(), SEVERAL, PLAIN)) == pytest.approx(total / SEVERAL.numel(), rel=1e-5)


@pytest.mark.parametrize(("positive", "negative", "clip"), [(0.0, 4.0, 0.05), (1.0, 2.0, 0.2), (1.5, 0.5, 0.0)])
def test_asymmetric_is_the_formula_of_ridnik(positive: float, negative: float, clip: float) -> None:
    """Present labels get one gamma; absent ones another, and a probability lowered by the clip."""
    total = 0.0
    for row, truth in zip(_scores().tolist(), SEVERAL.tolist(), strict=True):
        for score, has, weight in zip(row, truth, WEIGHTS.tolist(), strict=True):
            p = _sigmoid(score)
            q = max(p - clip, 0.0)
            total += weight * -((1.0 - p) ** positive) * math.log(p) if has else -(q**negative) * math.log(1.0 - q)

    setting = LossSetting(class_weights=WEIGHTS, gamma_positive=positive, gamma_negative=negative, clip=clip)
    found = FUNCTIONS["asymmetric"](_scores(), SEVERAL, setting)
    assert float(found) == pytest.approx(total / SEVERAL.numel(), rel=1e-5)


def test_gradients_are_those_of_the_formulas() -> None:
    """Numeric derivatives agree, the gammas' factor included."""
    setting = LossSetting(gamma=1.5, gamma_positive=1.0, gamma_negative=3.0, clip=0.1)
    scores = _scores().double().requires_grad_()
    for name, targets in (("focal", ONE), ("focal", SEVERAL.double()), ("asymmetric", SEVERAL.double())):
        loss = FUNCTIONS[name]
        assert torch.autograd.gradcheck(lambda s, loss=loss, targets=targets: loss(s, targets, setting), (scores,))


@settings(max_examples=30, deadline=None)
@given(
    gamma=st.sampled_from([0.0, 0.3, 1.0, 4.0]), clip=st.sampled_from([0.0, 0.05]), scale=st.floats(-1e4, 1e4, width=32)
)
def test_far_off_scores_learn_too(gamma: float, clip: float, scale: float) -> None:
    """Losses and gradients are finite for any score and gamma."""
    setting = LossSetting(gamma=gamma, gamma_positive=gamma, gamma_negative=gamma, clip=clip)
    for name, targets in (("focal", ONE), ("focal", SEVERAL), ("asymmetric", SEVERAL)):
        scores = (torch.sign(_scores()) * scale).requires_grad_()
        loss = FUNCTIONS[name](scores, targets, setting)
        loss.backward()
        assert bool(loss.isfinite())
        assert scores.grad is not None
        assert bool(scores.grad.isfinite().all())


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("ce", torch.tensor([0, 2])),
        ("focal", torch.tensor([0, 2])),
        ("bce", torch.tensor([[1.0, 0, 0], [0, 0, 1]])),
        ("focal", torch.tensor([[1.0, 0, 0], [0, 0, 1]])),
        ("asymmetric", torch.tensor([[1.0, 0, 0], [0, 0, 1]])),
        ("mse", torch.tensor([0.5, -1])),
    ],
)
def test_an_example_that_weighs_two_counts_twice(name: str, targets: torch.Tensor) -> None:
    """Weighing a row 2 is the same as having it twice."""
    scores = torch.randn(2, 1 if name == "mse" else 3)
    weighed = FUNCTIONS[name](scores, targets, LossSetting(example_weights=torch.tensor([2.0, 1.0])))
    repeated = FUNCTIONS[name](scores[[0, 0, 1]], targets[[0, 0, 1]], PLAIN)

    torch.testing.assert_close(weighed, repeated)


def test_an_unknown_loss_is_refused_with_those_that_there_are() -> None:
    """The error lists the losses."""
    with pytest.raises(ConfigError, match="asymmetric, bce, ce, focal, mse"):
        resolve_loss(LossOptions(name="hinge"), "multi-class")


def test_each_problem_has_a_usual_loss() -> None:
    """`auto` is cross-entropy in the problem's form, and every loss that fits is taken by name."""
    usual = {"multi-class": "ce", "ordinal": "ce", "multi-label": "bce", "regression": "mse"}
    for problem, name in usual.items():
        assert resolve_loss(LossOptions(), problem) == name
    for name, facts in LOSSES.items():
        assert {resolve_loss(LossOptions(name=name), problem) for problem in facts.problems} == {name}


@pytest.mark.parametrize(
    ("options", "problem", "key", "hint"),
    [
        (LossOptions(name="asymmetric"), "multi-class", "loss.name", "ce, focal"),
        (LossOptions(name="ce"), "multi-label", "loss.name", "asymmetric, bce, focal"),
        (LossOptions(name="focal"), "regression", "loss.name", "mse"),
        (LossOptions(gamma=1.0), "multi-class", "loss.gamma", "focal"),
        (LossOptions(name="focal", clip=0.1), "multi-label", "loss.clip", "asymmetric"),
        (LossOptions(name="focal", label_smoothing=0.1), "multi-class", "loss.label_smoothing", "bce, ce"),
        (LossOptions(name="asymmetric", label_smoothing=0.1), "multi-label", "loss.label_smoothing", "bce, ce"),
        (LossOptions(class_weights="sqrt"), "regression", "loss.class_weights", "asymmetric, bce, ce, focal"),
        (LossOptions(name="focl"), "multi-class", "loss.name", "Did you mean 'focal'"),
    ],
)
def test_what_means_nothing_to_a_loss_is_refused(options: LossOptions, problem: str, key: str, hint: str) -> None:
    """Nothing is silently ignored: the error names the key, and what would fit."""
    with pytest.raises(ConfigError) as caught:
        resolve_loss(options, problem)  # type: ignore[arg-type]
    assert caught.value.key == key
    assert hint in str(caught.value)


def test_a_recipes_gammas_reach_the_loss() -> None:
    """What is left out is the papers' default."""
    setting = LossSetting.of(LossOptions(name="asymmetric", gamma_negative=2.0, clip=0.0), None)

    assert (setting.gamma, setting.gamma_positive, setting.gamma_negative, setting.clip) == (2.0, 0.0, 2.0, 0.0)
