"""The stored rule from a model's outputs to its answer: activation, temperature, thresholds, empty answers.

Training fits a `Decision`, the bundle keeps it, and every surface uses it through the functions here, so that no
surface can apply another activation than the one that a model was trained with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError, ModelError, SchemeError
from ottenok.tasks.activations import coral, corn, interpolate, sigmoid, softmax
from ottenok.tasks.arrays import finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme

    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Decision",
    "ProblemType",
    "check_fit",
    "chosen",
    "decide",
    "output_count",
    "probabilities",
]

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
        exclusive: A label that means "none of the others", such as `neutral`: beside another label it is left out of
            the answer; "" where labels may all come together. For multi-label schemes only.
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
        if not (0.0 < self.temperature < float("inf")):
            raise _wrong("temperature", self.temperature, "It is a finite number above 0.")
        if not all(0.0 <= threshold <= 1.0 for threshold in self.thresholds):
            raise _wrong("thresholds", list(self.thresholds), "Each one lies between 0 and 1.")
        if self.pick not in {"top", "median"}:
            raise _wrong("pick", self.pick, "It is `top` or `median`.")
        self._check_values()

    def _check_values(self) -> None:
        if self.activation != "regression":
            if self.values:
                raise _wrong("values", list(self.values), "Only a regression has values of its own.")
            return
        if self.temperature != 1.0:
            raise _wrong("temperature", self.temperature, "A regression has no temperature: leave it at 1.")
        if len(self.values) < 2 or len(set(self.values)) < len(self.values) or not np.isfinite(self.values).all():
            raise _wrong("values", list(self.values), "A regression needs one finite value per label, all different.")

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
        _check_ranks(scheme)
    for name, numbers in (("thresholds", decision.thresholds), ("values", decision.values)):
        if numbers and len(numbers) != len(scheme.labels):
            raise SchemeError(f"found {len(numbers)} {name}, expected one for each of the {len(scheme.labels)} labels")
    if decision.empty not in {"allow", "top"}:
        scheme.index(decision.empty)
    if decision.exclusive:
        _check_exclusive(decision, scheme)


def _check_exclusive(decision: Decision, scheme: LabelScheme) -> None:
    scheme.index(decision.exclusive)
    if scheme.kind != "multi-label":
        raise SchemeError(
            f"the scheme {scheme.name} has one label a row, so {decision.exclusive!r} can't be exclusive",
            hint="Labels of such a scheme exclude each other anyway.",
        )


def _check_ranks(scheme: LabelScheme) -> None:
    if not scheme.values or list(scheme.values) not in (sorted(scheme.values), sorted(scheme.values, reverse=True)):
        raise SchemeError(
            f"the labels of the scheme {scheme.name} are not in the order of their rank: {', '.join(scheme.labels)}",
            hint="Ordinal activations and the median need labels with rising (or falling) values.",
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
    if decision.activation == "regression":
        _check_regression(scaled)
        return interpolate(scaled, decision.values).astype(np.float32)
    return _ELEMENTWISE[decision.activation](scaled).astype(np.float32)


def _check_regression(outputs: npt.NDArray[np.float64]) -> None:
    if outputs.shape[1] != 1:
        raise ModelError(f"found {outputs.shape[1]} outputs, expected the single output of a regression")


def chosen(probs: npt.ArrayLike, scheme: LabelScheme, decision: Decision) -> Mask:
    """Say which labels are in each answer.

    One-label schemes answer with the label that `decision.pick` says, if it reaches its threshold. Multi-label schemes
    answer with every label that reaches its threshold; then an exclusive label goes from beside others, and then an
    empty answer becomes what the decision says. A one-label row of zeros, which stands for a text of which nothing
    could be read, has no answer, whatever the decision says.

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
    mask = _above(numbers, scheme, decision)
    if decision.exclusive:
        mask[mask.sum(axis=1) > 1, scheme.index(decision.exclusive)] = False
    mask = _fill_empty(mask, numbers, scheme, decision)
    if scheme.kind != "multi-label":
        mask[~numbers.any(axis=1)] = False
    return mask


def _above(probs: Probabilities, scheme: LabelScheme, decision: Decision) -> Mask:
    several = scheme.kind == "multi-label"
    least = decision.thresholds or (0.5 if several else 0.0,) * len(scheme.labels)
    # float32 on both sides: a threshold that is written like a probability is reached by it.
    reached: Mask = probs >= np.asarray(least, dtype=np.float32)
    if several:
        return reached
    best = _median(probs) if decision.pick == "median" else probs.argmax(axis=1)
    alone: Mask = np.arange(probs.shape[1]) == best[:, None]
    return alone & reached


def _median(probs: Probabilities) -> npt.NDArray[np.intp]:
    """Count the ranks that are exceeded with more than 0.5; labels are in the order of rank."""
    exceeded = np.cumsum(probs[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
    ranks: npt.NDArray[np.intp] = (exceeded[:, 1:] > 0.5).sum(axis=1)
    return ranks


def _fill_empty(mask: Mask, probs: Probabilities, scheme: LabelScheme, decision: Decision) -> Mask:
    if decision.empty == "allow":
        return mask
    rows = np.flatnonzero(~mask.any(axis=1))
    top = decision.empty == "top"
    mask[rows, probs[rows].argmax(axis=1) if top else scheme.index(decision.empty)] = True
    return mask


def decide(probs: npt.ArrayLike, scheme: LabelScheme, decision: Decision) -> list[tuple[str, ...]]:
    """Return each row's labels, in the scheme's order; see `chosen` for the rule and the errors."""
    mask = chosen(probs, scheme, decision)
    if not len(mask):
        return []
    # Few of the possible answers occur, so each is spelt once and shared by its rows.
    packed = np.packbits(mask, axis=1)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    answers = [tuple(scheme.labels[i] for i in np.flatnonzero(mask[row])) for row in first]
    return [answers[i] for i in inverse.ravel().tolist()]
