"""The stored rule from a model's outputs to its answer: activation, temperature, thresholds, empty answers.

Training fits a `Decision`, the bundle keeps it, and every surface uses it through the functions here, so that no
surface can apply another activation than the one that a model was trained with. Activations work in float64; each
takes logits `[rows, outputs]` and gives probabilities `[rows, labels]`, and none of them overflows: exponents are
taken of non-positive numbers only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError, ModelError, SchemeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme

    Floats = npt.NDArray[np.float64]
    AnyFloats = npt.NDArray[np.floating[Any]]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Decision",
    "ProblemType",
    "check_fit",
    "chosen",
    "codes",
    "coral",
    "corn",
    "decide",
    "finite",
    "indicator",
    "interpolate",
    "log_odds",
    "log_sigmoid",
    "log_softmax",
    "ordered_score",
    "output_count",
    "probabilities",
    "sigmoid",
    "softmax",
]


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithm of `softmax`, exact also where the softmax itself would be 0."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def softmax(logits: Floats) -> Floats:
    """Return shares that sum to 1 in each row: for models whose labels exclude each other."""
    return np.exp(log_softmax(logits))


def log_sigmoid(logits: Floats) -> Floats:
    """Return the logarithm of `sigmoid`, exact also where the sigmoid itself would be 0."""
    return -np.logaddexp(0.0, -logits)


def sigmoid(logits: Floats) -> Floats:
    """Return each label's own probability: for models whose labels are independent yes-or-no questions."""
    return np.exp(log_sigmoid(logits))


def corn(logits: Floats) -> Floats:
    """Return class probabilities of a CORN model.

    Shi, Cao and Raschka 2021, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities" (arXiv:2111.08851): output j is the logit of `P(rank > j | rank > j - 1)`, so products of the
    sigmoids are `P(rank > j)`, and neighbours' differences are the classes.

    Args:
        logits: `[rows, labels - 1]`, labels in the order of rank.
    """
    return _from_exceedance(np.exp(np.cumsum(log_sigmoid(logits), axis=1)))


def coral(logits: Floats) -> Floats:
    """Return class probabilities of a CORAL model.

    Cao, Mirjalili and Raschka 2020, "Rank consistent ordinal regression for neural networks" (Pattern Recognition
    Letters 140): output j is the logit of `P(rank > j)`. Where outputs cross, which training does not forbid, the
    running minimum is taken, so no class gets a negative probability.

    Args:
        logits: `[rows, labels - 1]`, labels in the order of rank.
    """
    return _from_exceedance(np.minimum.accumulate(sigmoid(logits), axis=1))


def _from_exceedance(above: Floats) -> Floats:
    """Turn `P(rank > j)`, non-increasing in j, into class probabilities."""
    rows = len(above)
    padded = np.concatenate([np.ones((rows, 1)), above, np.zeros((rows, 1))], axis=1)
    classes: Floats = padded[:, :-1] - padded[:, 1:]
    return classes


def interpolate(outputs: Floats, values: Sequence[float]) -> Floats:
    """Return the shares of a predicted number between its two neighbouring labels.

    The number is clipped to the labels' range and split linearly, so that the mean of `values` under the shares is the
    number itself: 0.2 between the labels at 0 and 1 becomes 0.8 and 0.2.

    Args:
        outputs: `[rows, 1]`, on the scale of `values`.
        values: Each label's place on the scale, all different, in the labels' order, which need not be sorted.
    """
    order = np.argsort(values)
    scale = np.asarray(values, dtype=np.float64)[order]
    number = np.clip(outputs[:, 0], scale[0], scale[-1])
    left = np.clip(np.searchsorted(scale, number, side="right") - 1, 0, len(scale) - 2)
    share = (number - scale[left]) / (scale[left + 1] - scale[left])
    rows = np.arange(len(number))
    result = np.zeros((len(number), len(scale)))
    result[rows, order[left]] = 1.0 - share
    result[rows, order[left + 1]] = share
    return result


Activation = Literal["softmax", "sigmoid", "corn", "coral", "regression"]
ProblemType = Literal["multi-class", "multi-label", "ordinal", "regression"]

# What a model of each problem type may be read with; the first is the usual one. A multi-label model is never
# softmaxed and a multi-class model never put through sigmoids: both mistakes are common, and silent.
ACTIVATIONS: Mapping[ProblemType, tuple[Activation, ...]] = MappingProxyType(
    {
        "multi-class": ("softmax",),
        "multi-label": ("sigmoid",),
        # softmax where the graph itself ends in the logarithms of class probabilities, as ottenok's own do.
        "ordinal": ("softmax", "corn", "coral"),
        "regression": ("regression",),
    }
)

_ELEMENTWISE = MappingProxyType({"softmax": softmax, "sigmoid": sigmoid, "corn": corn, "coral": coral})
_RANKED = ("corn", "coral")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """From logits to labels.

    Attributes:
        activation: `softmax`, `sigmoid`, `corn`, `coral`, or `regression` (one output on the scale of `values`).
        temperature: Logits are divided by it before the activation; above 0. Fixed at 1 for `regression`.
        thresholds: The least probability of each label for it to be in the answer, in the labels' order; or empty:
            then 0.5 for multi-label schemes, and nothing for the others, whose best label always stands.
        empty: What an answer without any label becomes: `allow` leaves it empty, `top` gives the most probable label,
            and a label's name (such as `neutral`) gives that label.
        exclusive: A label that means "none of the others", such as `neutral`: where others reach their thresholds
            too, it answers alone or not at all, whichever is further above its threshold; "" where labels may all
            come together. For multi-label schemes only.
        values: For `regression` only: each label's place on the scale of the output.
        pick: Which label of a one-label scheme is the answer: `top`, the most probable (the first of equals), or, where
            labels have an order, `median`, the highest rank that is exceeded with more than 0.5, which makes the mean
            absolute error least (the rule of Shi et al. 2021 for CORN).
    """

    # Read by pydantic where a manifest holds a decision: unknown keys are refused there as everywhere.
    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    activation: Activation
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    empty: str = "allow"
    values: tuple[float, ...] = ()
    pick: Literal["top", "median"] = "top"
    exclusive: str = ""

    def __post_init__(self) -> None:
        if self.activation not in {*_ELEMENTWISE, "regression"}:
            raise _wrong("activation", self.activation, suggest(str(self.activation), [*_ELEMENTWISE, "regression"]))
        if not (1e-3 <= self.temperature <= 1e3):
            raise _wrong("temperature", self.temperature, "It is a number from 0.001 to 1000.")
        if not all(0.0 <= threshold <= 1.0 for threshold in self.thresholds):
            raise _wrong("thresholds", list(self.thresholds), "Each one lies between 0 and 1.")
        if self.pick not in {"top", "median"}:
            raise _wrong("pick", self.pick, "It is `top` or `median`.")
        if self.activation != "regression":
            if self.values:
                raise _wrong("values", list(self.values), "Only a regression has values of its own.")
            return
        if self.temperature != 1.0:
            raise _wrong("temperature", self.temperature, "A regression has no temperature: leave it at 1.")
        bounded = all(-1e6 <= value <= 1e6 for value in self.values)
        if len(self.values) < 2 or len(set(self.values)) < len(self.values) or not bounded:
            raise _wrong("values", list(self.values), "A regression needs one value per label, all different.")

    def to_json(self) -> dict[str, Any]:
        """Return the decision as a mapping that JSON can hold."""
        tree = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in tree.items()}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Decision:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: A key is unknown, missing or has a wrong value.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            adapter: TypeAdapter[Decision] = TypeAdapter(cls)
            return adapter.validate_python(dict(tree))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{first['msg']}, found {first['input']!r}", key=f"decision.{key}") from error


def _wrong(key: str, found: object, hint: str) -> ConfigError:
    return ConfigError(f"a decision can't have {key} = {found!r}", hint=hint, key=key)


def output_count(activation: Activation, labels: int) -> int:
    """Return how many outputs a model with this activation has for so many labels."""
    if activation == "regression":
        return 1
    return labels - 1 if activation in _RANKED else labels


def check_fit(decision: Decision, scheme: LabelScheme) -> None:
    """Refuse a decision that can't answer in a scheme's labels.

    Raises:
        SchemeError: Softmax or an ordinal activation for a multi-label scheme, an ordinal activation without an order
            or on labels out of order, a wrong number of thresholds or values, an empty-answer or exclusive label that
            isn't there, an exclusive label in a one-label scheme.
    """
    if scheme.kind == "multi-label" and decision.activation != "sigmoid":
        raise SchemeError(
            f"the scheme {scheme.name} is multi-label, but the activation is {decision.activation}",
            hint="Labels that may come together need sigmoid: any other activation makes them compete.",
        )
    if decision.activation in _RANKED or decision.pick == "median":
        ranked = list(scheme.values) in (sorted(scheme.values), sorted(scheme.values, reverse=True))
        if not (scheme.values and ranked):
            labels = ", ".join(scheme.labels)
            raise SchemeError(
                f"the labels of the scheme {scheme.name} are not in the order of their rank: {labels}",
                hint="Ordinal activations and the median need labels with rising (or falling) values.",
            )
    for name, numbers in (("thresholds", decision.thresholds), ("values", decision.values)):
        if numbers and len(numbers) != len(scheme.labels):
            raise SchemeError(f"found {len(numbers)} {name}, expected one for each of the {len(scheme.labels)} labels")
    if decision.empty not in {"allow", "top"}:
        scheme.index(decision.empty)
    if decision.exclusive:
        scheme.index(decision.exclusive)
        if scheme.kind != "multi-label":
            raise SchemeError(
                f"the scheme {scheme.name} has one label a row, so {decision.exclusive!r} can't be exclusive",
                hint="Labels of such a scheme exclude each other anyway.",
            )


def probabilities(logits: npt.ArrayLike, decision: Decision) -> Probabilities:
    """Turn logits into probabilities.

    Args:
        logits: `[rows, outputs]`, real numbers; `output_count` says how many outputs.
        decision: The model's decision.

    Returns:
        float32 `[rows, labels]` in 0..1. Rows sum to 1 except under sigmoid, where each label stands for itself.

    Raises:
        ModelError: The logits have another shape, or are not finite.
    """
    scaled = finite(logits, "logits") / decision.temperature
    if decision.activation != "regression":
        return _ELEMENTWISE[decision.activation](scaled).astype(np.float32)
    if scaled.shape[1] != 1:
        raise ModelError(f"found {scaled.shape[1]} outputs, expected the single output of a regression")
    return interpolate(scaled, decision.values).astype(np.float32)


def log_odds(logits: npt.ArrayLike, decision: Decision) -> Floats:
    """Return `ln(p / (1 - p))` of each label's probability p, float64 `[rows, labels]`.

    Exact for softmax and sigmoid, also where p itself is 1 to every digit; for ordinal activations p is kept 1e-9 away
    from 0 and 1. A regression has no odds: it gives the predicted number for every label.

    Raises:
        ModelError: The logits have another shape, or are not finite.
    """
    odds: Floats
    scaled = finite(logits, "logits") / decision.temperature
    if decision.activation == "sigmoid":
        return scaled
    if decision.activation == "regression":
        return np.repeat(scaled, len(decision.values), axis=1)
    if decision.activation == "softmax" and scaled.shape[1] > 1:
        others = np.where(np.eye(scaled.shape[1], dtype=np.bool_), -np.inf, scaled[:, None, :])
        top = others.max(axis=2)
        odds = scaled - top - np.log(np.exp(others - top[:, :, None]).sum(axis=2))
        return odds
    probs = np.clip(_ELEMENTWISE[decision.activation](scaled), 1e-9, 1.0 - 1e-9)
    odds = np.log(probs) - np.log1p(-probs)
    return odds


def chosen(probs: npt.ArrayLike, scheme: LabelScheme, decision: Decision) -> Mask:
    """Say which labels are in each answer.

    One-label schemes answer with the label that `decision.pick` says, if it reaches its threshold. Multi-label schemes
    answer with every label that reaches its threshold; where an exclusive label is among several, it stays alone if
    no other is further above its threshold, else it goes; then an empty answer becomes what the decision says. A
    one-label row of zeros, which stands for a text of which nothing could be read, has no answer, whatever the
    decision says.

    Args:
        probs: `[rows, labels]`, from `probabilities`.
        scheme: The labels.
        decision: The model's decision.

    Returns:
        bool `[rows, labels]`.

    Raises:
        ModelError: The probabilities have another shape, or are not finite.
        SchemeError: The decision does not fit the scheme.
    """
    check_fit(decision, scheme)
    numbers = finite(probs, "probabilities").astype(np.float32)
    if numbers.shape[1] != len(scheme.labels):
        raise ModelError(
            f"found {numbers.shape[1]} probabilities, expected one for each of {len(scheme.labels)} labels"
        )
    several = scheme.kind == "multi-label"
    least = decision.thresholds or (0.5 if several else 0.0,) * len(scheme.labels)
    # float32 on both sides: a threshold that is written like a probability is reached by it.
    above = numbers - np.asarray(least, dtype=np.float32)
    mask: Mask = above >= 0
    if not several:
        best = numbers.argmax(axis=1)
        if decision.pick == "median":
            # The ranks that are exceeded with more than 0.5; labels are in the order of rank.
            exceeded = np.cumsum(numbers[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
            best = (exceeded[:, 1:] > 0.5).sum(axis=1)
        mask &= np.arange(numbers.shape[1]) == best[:, None]
    if decision.exclusive:
        place = scheme.index(decision.exclusive)
        torn = np.flatnonzero(mask[:, place] & (mask.sum(axis=1) > 1))
        alone = above[torn].argmax(axis=1) == place
        mask[torn[alone]] = np.arange(mask.shape[1]) == place
        mask[torn[~alone], place] = False
    if decision.empty != "allow":
        rows = np.flatnonzero(~mask.any(axis=1))
        if len(rows):
            fallback = numbers[rows].argmax(axis=1) if decision.empty == "top" else scheme.index(decision.empty)
            mask[rows, fallback] = True
    if not several:
        mask[~numbers.any(axis=1)] = False
    return mask


def decide(probs: npt.ArrayLike, scheme: LabelScheme, decision: Decision) -> list[tuple[str, ...]]:
    """Return each row's labels, in the scheme's order; see `chosen` for the rule and the errors."""
    mask = chosen(probs, scheme, decision)
    if not len(mask):
        return []
    # Few of the possible answers occur, so each is spelt once and shared by its rows.
    answers: dict[bytes, tuple[str, ...]] = {}
    rows, width = mask.tobytes(), mask.shape[1]
    found = []
    for start in range(0, len(rows), width):
        row = rows[start : start + width]
        if row not in answers:
            answers[row] = tuple(label for label, given in zip(scheme.labels, row, strict=True) if given)
        found.append(answers[row])
    return found


def ordered_score(probs: npt.ArrayLike, values: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the mean of the labels' values under the probabilities: -1 is worst, 1 is best.

    Probabilities that do not sum to 1 (those of sigmoids) are divided by their sum first. Where all are 0 every label
    weighs the same.

    Args:
        probs: `[rows, labels]`, from `ottenok.tasks.decision.probabilities`.
        values: The scheme's values, one per label.

    Returns:
        float32 `[rows]`, between the least and the greatest value.

    Raises:
        SchemeError: The scheme has no values, so its labels have no order.
        ModelError: The probabilities have another shape, or are not finite.
    """
    if not values:
        raise SchemeError("these labels have no order, so there is no score", hint="Use the probabilities.")
    numbers = finite(probs, "probabilities")
    if numbers.shape[1] != len(values):
        raise ModelError(f"found {numbers.shape[1]} probabilities, expected one for each of {len(values)} values")
    total = numbers.sum(axis=1, keepdims=True)
    weights = np.where(total > 0.0, numbers, 1.0)
    score = weights @ np.asarray(values, dtype=np.float64) / weights.sum(axis=1)
    scores: npt.NDArray[np.float32] = np.clip(score, min(values), max(values)).astype(np.float32)
    return scores


def finite(numbers: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return numbers as a float64 array `[rows, columns]` of at least one column.

    Raises:
        ModelError: They have another shape, or one is not finite; `name` says in the message what they are.
    """
    array = np.asarray(numbers, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ModelError(f"found {name} of shape {list(array.shape)}, expected [rows, labels]")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise ModelError(
            f"the {name} of row {row + 1} of {len(array)} are not finite numbers",
            hint="The model is broken, or its arithmetic overflowed: try float32.",
        )
    return array


def indicator(rows: Iterable[Sequence[str]], scheme: LabelScheme) -> npt.NDArray[np.bool_]:
    """Say which labels each row has.

    Args:
        rows: Each row's labels by name; the scheme's own order need not hold.
        scheme: The labels; the columns follow its order.

    Returns:
        bool `[rows, labels]`.

    Raises:
        SchemeError: A label is not the scheme's, or a one-label scheme's row has not exactly one.
    """
    position = {label: index for index, label in enumerate(scheme.labels)}
    listed = list(rows)
    mask = np.zeros((len(listed), len(position)), dtype=np.bool_)
    for row, labels in enumerate(listed):
        for label in labels:
            if label not in position:
                raise SchemeError(f"the scheme {scheme.name} has no label {label!r}", row=row + 1)
            mask[row, position[label]] = True
    wrong = np.zeros(0) if scheme.kind == "multi-label" else np.flatnonzero(mask.sum(axis=1) != 1)
    if len(wrong):
        found = ", ".join(label for label, there in zip(scheme.labels, mask[wrong[0]], strict=True) if there)
        raise SchemeError(
            f"found the labels [{found}], expected exactly one label of {scheme.name}", row=int(wrong[0]) + 1
        )
    return mask


def codes(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the position of each row's only label, int64 `[rows]`; `mask` has exactly one True a row."""
    positions: npt.NDArray[np.int64] = mask.argmax(axis=1).astype(np.int64)
    return positions
