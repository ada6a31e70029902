"""How far probabilities can be believed, and the temperature that makes them more believable.

Reliability bins and the expected calibration error are those of Guo et al. 2017, "On Calibration of Modern Neural
Networks" (arXiv:1706.04599), with bins of equal width. Even claims that are perfectly right in the long run miss by
chance on few rows; what chance alone gives is told beside each error (the idea of Bröcker and Smith 2007, "Increasing
the reliability of reliability diagrams", in closed form). A bootstrap interval would mislead here: resampled rows add
chance to the error, so that small errors lie below their own interval.

The temperature is one number, fitted on validation rows (Guo et al. again). It changes no one-label answer of a
softmax; multi-label answers change, so thresholds are fitted after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log, pi
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ConfigError, ModelError
from ottenok.tasks.decision import coral, log_sigmoid, log_softmax, sigmoid, softmax
from ottenok.tasks.metrics import ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ottenok.tasks.decision import Activation, Decision

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "Calibration",
    "Reliability",
    "TemperatureFit",
    "calibration",
    "cross_fitted",
    "fit_temperature",
    "log_loss",
    "logits_of",
    "reliability",
    "untempered",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """What came true of what was claimed, per bin of claimed probability; tuples of one length.

    Attributes:
        count: Claims in the bin.
        claimed: Their mean probability; 0 in an empty bin.
        true: Share of them that hold; 0 in an empty bin.
        error: Expected calibration error: mean distance of `claimed` and `true` over claims, 0..1.
        chance: The error that perfectly honest claims would have on so many rows, on average. An error that is no
            larger says nothing against the probabilities.
    """

    count: tuple[int, ...]
    claimed: tuple[float, ...]
    true: tuple[float, ...]
    error: float
    chance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The reliability of a set of probabilities.

    Attributes:
        overall: Of every claim; a one-label row makes one, its best label's probability, a multi-label row one a label.
        labels: Of each label's claims, in the scheme's order; empty for one-label schemes.
    """

    overall: Reliability
    labels: tuple[Reliability, ...] = ()


def calibration(probs: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_], *, one_label: bool) -> Calibration:
    """Compare claims with the truth, all together and, for multi-label schemes, label by label; see `reliability`."""
    labels = (
        ()
        if one_label
        else tuple(
            reliability(probs[:, [label]], truth[:, [label]], one_label=False) for label in range(truth.shape[1])
        )
    )
    return Calibration(overall=reliability(probs, truth, one_label=one_label), labels=labels)


def reliability(
    probs: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_], *, one_label: bool, bins: int = 15
) -> Reliability:
    """Compare claims with the truth.

    A one-label row makes one claim, its best label's probability; a multi-label row makes one per label.

    Args:
        probs: `[rows, labels]` in 0..1.
        truth: bool `[rows, labels]`.
        one_label: Whether exactly one label is true a row.
        bins: Number of bins of equal width.
    """
    if one_label:
        best = probs.argmax(axis=1)
        claims, holds = probs[np.arange(len(probs)), best], truth[np.arange(len(truth)), best]
    else:
        claims, holds = probs.ravel(), truth.ravel()
    claims = claims.astype(np.float64)
    bin_of = np.minimum((claims * bins).astype(np.int64), bins - 1)

    def total(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(bin_of, weights=weights, minlength=bins).astype(np.float64)

    count, claimed, true = total(np.ones(len(claims))), total(claims), total(holds.astype(np.float64))
    # The mean distance of a normal variable from its mean is its deviation times sqrt(2 / pi).
    deviations = np.sqrt(np.maximum(total(claims * (1.0 - claims)), 0.0))
    return Reliability(
        count=tuple(int(number) for number in count),
        claimed=tuple(ratio(claimed, count).tolist()),
        true=tuple(ratio(true, count).tolist()),
        error=float(np.abs(claimed - true).sum() / max(len(claims), 1)),
        chance=float(deviations.sum() * np.sqrt(2.0 / pi) / max(len(claims), 1)),
    )


# Outside this range a model is broken rather than badly calibrated, or validation has too few mistakes to tell.
_COLDEST, _HOTTEST = 0.05, 20.0
_GOLDEN = (5**0.5 - 1) / 2
_STEPS = 32  # narrows log(20 / 0.05) = 6 to 2e-6
_TINY = 1e-300
# What probabilities that float32 rounded to 0 or 1 are taken for: the numbers nearest to these.
_LEAST, _MOST = 2.0**-149, 1.0 - 2.0**-25


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureFit:
    """What the search found.

    Attributes:
        temperature: The best temperature, in 0.05..20.
        loss_before: Log loss at temperature 1, in nats: a row's, or under sigmoid a row's and label's.
        loss_after: Log loss at `temperature`; never above `loss_before`.
    """

    temperature: float
    loss_before: float
    loss_after: float


def log_loss(logits: npt.ArrayLike, truth: Mask, decision: Decision) -> float:
    """Return the mean negative log likelihood of the truth, in nats.

    Args:
        logits: `[rows, outputs]`.
        truth: bool `[rows, labels]`; exactly one True a row except under sigmoid.
        decision: Its activation and temperature count.

    Raises:
        ModelError: There are no rows, or their number differs.
        ConfigError: The activation is a regression, which has no likelihood.
    """
    numbers = np.asarray(logits, dtype=np.float64)
    _check(numbers, truth, decision)
    return _loss(numbers, truth, decision)


def _check(logits: Floats, truth: Mask, decision: Decision) -> None:
    if decision.activation == "regression":
        raise ConfigError("a regression has no temperature", key="temperature")
    if not len(truth) or len(truth) != len(logits):
        raise ModelError(f"found {len(logits)} rows of logits for {len(truth)} labelled rows")
    if not np.isfinite(logits).all():
        raise ModelError("the logits are not finite numbers")


def _loss(logits: Floats, truth: Mask, decision: Decision) -> float:
    scaled = logits / decision.temperature
    if decision.activation == "sigmoid":
        return float(-log_sigmoid(np.where(truth, scaled, -scaled)).mean())
    if decision.activation == "softmax":
        logs = log_softmax(scaled)
    elif decision.activation == "coral":
        logs = np.log(np.maximum(coral(scaled), _TINY))
    else:
        # CORN: the chance to reach a label, times the chance to stop there; the first is always reached, and the last
        # always stopped at.
        sure = np.zeros((len(scaled), 1))
        reached = np.concatenate([sure, np.cumsum(log_sigmoid(scaled), axis=1)], axis=1)
        logs = reached + np.concatenate([log_sigmoid(-scaled), sure], axis=1)
    return float(-logs[truth].mean())


def fit_temperature(logits: npt.ArrayLike, truth: Mask, decision: Decision) -> TemperatureFit:
    """Find the temperature with the least log loss, by golden-section search over its logarithm.

    The loss is convex in the inverse temperature for softmax, sigmoid and CORN, so the search can't miss. The result
    is kept only if it beats temperature 1.

    Args:
        logits: `[rows, outputs]` of validation rows, which the model was not trained on.
        truth: bool `[rows, labels]`.
        decision: Only its activation counts.

    Raises:
        ModelError: There are no rows, their number differs, or logits are not finite.
        ConfigError: The activation is a regression.
    """
    numbers = np.asarray(logits, dtype=np.float64)
    plain = replace(decision, temperature=1.0)
    _check(numbers, truth, plain)

    def loss(log_temperature: float) -> float:
        return _loss(numbers, truth, replace(plain, temperature=exp(log_temperature)))

    low, high = log(_COLDEST), log(_HOTTEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    best = (low + high) / 2.0
    before, after = loss(0.0), loss(best)
    if after >= before:
        return TemperatureFit(temperature=1.0, loss_before=before, loss_after=before)
    return TemperatureFit(temperature=exp(best), loss_before=before, loss_after=after)


def cross_fitted(logits: npt.ArrayLike, truth: Mask, decision: Decision, *, folds: int = 5, seed: int = 0) -> Floats:
    """Return a temperature for each row that was fitted without it, float64 `[rows]`.

    A loss of rows that chose the temperature themselves is a little too good. With fewer rows than folds there are
    as many folds as rows; a single row gets 1.

    Args:
        logits: `[rows, outputs]`.
        truth: bool `[rows, labels]`.
        decision: Only its activation counts.
        folds: Parts, at least 2.
        seed: Of the parts.

    Raises:
        ModelError: As `fit_temperature`.
        ConfigError: Likewise.
    """
    numbers = np.asarray(logits, dtype=np.float64)
    _check(numbers, truth, replace(decision, temperature=1.0))
    fold = np.random.default_rng(seed).permutation(len(truth)) % folds
    found = np.ones(len(truth))
    for part in range(folds):
        held = fold == part
        if held.any() and not held.all():
            found[held] = fit_temperature(numbers[~held], truth[~held], decision).temperature
    return found


def logits_of(probs: npt.ArrayLike, activation: Activation) -> Floats:
    """Return logits that `probabilities` at temperature 1 turns into these probabilities, float64 `[rows, labels]`.

    Those of a softmax are known up to a number that each row adds to all of them, which changes nothing.

    Args:
        probs: `[rows, labels]`.
        activation: `softmax` or `sigmoid`.

    Raises:
        ConfigError: Another activation.
    """
    if activation not in _INVERSES:
        raise ConfigError(f"logits can't be found from the probabilities of {activation}", key="activation")
    return _INVERSES[activation](np.maximum(np.asarray(probs, dtype=np.float64), _LEAST))


_INVERSES: dict[str, Callable[[Floats], Floats]] = {
    "softmax": np.log,
    "sigmoid": lambda probs: np.log(probs) - np.log1p(-np.minimum(probs, _MOST)),
}


def untempered(probs: npt.ArrayLike, activation: Activation, temperature: float) -> npt.NDArray[np.float32]:
    """Return what probabilities were before their logits were divided by `temperature`.

    So a model whose temperature is in its weights, or a table of its probabilities, still shows what the temperature
    did. What float32 rounded to 1 under a sigmoid comes back a little less sure than it was (by 0.001 at most for
    temperatures from 0.4 on).

    Args:
        probs: `[rows, labels]`.
        activation: `softmax` or `sigmoid`.
        temperature: Above 0.

    Raises:
        ConfigError: Another activation.
    """
    logits = logits_of(probs, activation) * temperature
    return (softmax(logits) if activation == "softmax" else sigmoid(logits)).astype(np.float32)
