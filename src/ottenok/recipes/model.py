"""What a recipe says about a classifier's network and loss, and what fits which labels; readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.core.table import Table

if TYPE_CHECKING:
    from ottenok.core.schemes import LabelScheme

__all__ = [
    "LOSSES",
    "PROBLEMS",
    "HeadOptions",
    "LayerOptions",
    "LossFacts",
    "LossOptions",
    "ModelOptions",
    "Problem",
    "ProblemFacts",
    "resolve_loss",
    "resolve_problem",
]

Problem = Literal["multi-class", "multi-label", "ordinal", "regression"]
ProblemOption = Literal["auto", "multi-class", "multi-label", "ordinal", "regression"]
LinkOption = Literal["auto", "identity", "corn", "coral"]


class LayerOptions(Table):
    """Hidden layers: each is dropout, a linear layer, a norm and an activation.

    Attributes:
        hidden: Widths of the hidden layers, the first one first.
        dropout: Share of the inputs of every linear layer that training drops, 0..1.
        activation: A name of `ottenok.models.heads.ACTIVATIONS`, after every hidden layer.
        norm: A name of `ottenok.models.heads.NORMS`, between every hidden layer's linear part and its activation.
        groups: For `group` norm, which normalises so many equal parts of a vector, each by itself; None: the most, up
            to 32, that leave at least 4 values in each.
        residual: Add to the output of every hidden layer its input, by a linear map where the widths differ.
    """

    hidden: tuple[int, ...] = ()
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    activation: str = "gelu"
    norm: str = "none"
    groups: int | None = Field(default=None, gt=0, le=65_536)
    residual: bool = False


class HeadOptions(LayerOptions):
    """The layers between the pooled vector and the logits.

    Attributes:
        kind: A name of `ottenok.models.heads.HEADS`: `linear` (no hidden layers), `mlp` (at least one), or `parallel`
            (branches side by side, each with logits of its own, and a linear layer over them).
        branches: Of a `parallel` head, two or more: the hidden layers of each.
    """

    kind: str = "linear"
    branches: tuple[LayerOptions, ...] = ()


class ModelOptions(Table):
    """The network.

    Attributes:
        encoder: Folder or hub name of any encoder that transformers' `AutoModel` loads.
        init_from: Folder of a classifier that ottenok trained: the encoder's weights are taken from it in place of
            `encoder`'s, and those of every head whose task has the same name, labels and layers. None: `encoder`'s.
        origin: For the model card: whose encoder it is, and what was done to it.
        licence: SPDX identifier of the encoder's licence, or `unknown`.
        revision: Branch, tag or commit on the hub.
        layers: Numbers of the encoder's layers to keep, from 0, rising; for students. Empty: all.
        pooling: A name of `ottenok.models.pooling.POOLINGS`. `cls` with a linear head is the architecture's own
            sequence classifier, with its own layer between the first token and the logits (BERT's pooler, RoBERTa's
            dense layer), as in models on the hub; `first` is the first token's vector itself; `pooler` is what the
            encoder's own pretrained pooler makes of it (LaBSE).
        problem: `auto` takes it from the label scheme.
        head: See `HeadOptions`.
        link: For ordinal problems: `corn` (also what `auto` means) or `coral`, see `ottenok.models.heads`.
        attention: How attention is computed; `auto` is `eager` on a CPU (its fused backward is slower there for short
            texts) and the encoder's default elsewhere.
        dropout: Dropout inside the encoder (hidden states and attention); None keeps the encoder's own. The default
            of 0 costs nothing on a fine-tuned small encoder and saves the time of the masks.
        freeze_embeddings: Do not train the embedding matrices.
        freeze_layers: Do not train the first so many layers either.
    """

    encoder: str
    init_from: str | None = None
    origin: str = ""
    licence: str = "unknown"
    revision: str | None = None
    layers: tuple[int, ...] = ()
    pooling: str = "mean"
    problem: ProblemOption = "auto"
    head: HeadOptions = HeadOptions()
    link: LinkOption = "auto"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    dropout: float | None = Field(default=0.0, ge=0.0, lt=1.0)
    freeze_embeddings: bool = False
    freeze_layers: int = Field(default=0, ge=0, le=10_000)


class LossOptions(Table):
    """What training minimises.

    Attributes:
        name: A name of `LOSSES`, or `auto` for the problem's usual one: `ce` (multi-class, ordinal), `bce`
            (multi-label), `mse` (regression). Beside them: `focal` (all but regression), `asymmetric` (multi-label).
        class_weights: A method of `ottenok.data.balance.class_weights` (of `positive_weights`, for multi-label
            problems), or one weight per label. Not with `mse`.
        label_smoothing: Share of the target's mass that is spread over all labels, 0..1. With `ce` and `bce` only.
        gamma: `focal` only: how much less a label counts that is right already; 0: not at all less. None: 2.
        gamma_positive: `asymmetric` only: the same for labels that a text has. None: 0.
        gamma_negative: `asymmetric` only: the same for labels that it has not. None: 4.
        clip: `asymmetric` only: labels that a text has not are right enough below this probability. None: 0.05.
    """

    name: str = "auto"
    class_weights: Literal["none", "balanced", "sqrt", "effective"] | tuple[float, ...] = "none"
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    gamma: float | None = Field(default=None, ge=0.0, le=100.0)
    gamma_positive: float | None = Field(default=None, ge=0.0, le=100.0)
    gamma_negative: float | None = Field(default=None, ge=0.0, le=100.0)
    clip: float | None = Field(default=None, ge=0.0, lt=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFacts:
    """What follows from a problem.

    Attributes:
        hub_name: transformers' `problem_type`.
        activation: Name of `ottenok.tasks`'s activation for the model's outputs, and, where transformers has it,
            its `function_to_apply`.
        loss: The usual loss.
        link: Name of `ottenok.models.heads.LINKS`: what stands between the head and the model's outputs.
        kinds: Kinds of scheme that it fits.
    """

    hub_name: str
    activation: Literal["softmax", "sigmoid", "regression"]
    loss: str
    link: str
    kinds: tuple[str, ...]


PROBLEMS: dict[Problem, ProblemFacts] = {
    "multi-class": ProblemFacts(
        hub_name="single_label_classification",
        activation="softmax",
        loss="ce",
        link="identity",
        kinds=("multi-class", "ordinal"),
    ),
    "multi-label": ProblemFacts(
        hub_name="multi_label_classification",
        activation="sigmoid",
        loss="bce",
        link="identity",
        # Stars or sentiments as one-hot targets are published too, so every kind fits.
        kinds=("multi-label", "multi-class", "ordinal"),
    ),
    "ordinal": ProblemFacts(
        hub_name="single_label_classification", activation="softmax", loss="ce", link="corn", kinds=("ordinal",)
    ),
    "regression": ProblemFacts(
        hub_name="regression", activation="regression", loss="mse", link="identity", kinds=("ordinal",)
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossFacts:
    """What goes with a loss; its function is `ottenok.models.losses.FUNCTIONS[name]`.

    Attributes:
        problems: What it can teach.
        options: Options of `LossOptions` that belong to it.
    """

    problems: tuple[Problem, ...]
    options: tuple[str, ...] = ()


LOSSES = {
    "asymmetric": LossFacts(
        problems=("multi-label",), options=("class_weights", "gamma_positive", "gamma_negative", "clip")
    ),
    "bce": LossFacts(problems=("multi-label",), options=("class_weights", "label_smoothing")),
    "ce": LossFacts(problems=("multi-class", "ordinal"), options=("class_weights", "label_smoothing")),
    "focal": LossFacts(problems=("multi-class", "multi-label", "ordinal"), options=("class_weights", "gamma")),
    "mse": LossFacts(problems=("regression",)),
}


def resolve_problem(name: str, scheme: LabelScheme) -> Problem:
    """Return the problem that a recipe's `model.problem` means for a scheme; `auto` is the scheme's own kind.

    Raises:
        ConfigError: The problem does not fit the scheme.
    """
    # An ordinal scheme of three labels (negative, neutral, positive) is usually published as a multi-class one, and a
    # recipe that wants the order says so.
    problem: Problem = "multi-label" if scheme.kind == "multi-label" else "multi-class"
    if name != "auto":
        problem = name  # type: ignore[assignment]
    if scheme.kind not in PROBLEMS[problem].kinds:
        fitting = [known for known, facts in PROBLEMS.items() if scheme.kind in facts.kinds]
        raise ConfigError(
            f"the scheme {scheme.name} is {scheme.kind}, which can't be learned as {problem}",
            hint=f"Use one of: {', '.join(fitting)}.",
            key="model.problem",
        )
    return problem


def resolve_loss(options: LossOptions, problem: Problem) -> str:
    """Return the name of the loss that a recipe means for a problem; `auto` is the problem's usual one.

    Raises:
        ConfigError: There is no such loss, it can't teach the problem, or an option does not belong to it.
    """
    name = PROBLEMS[problem].loss if options.name == "auto" else options.name
    if name not in LOSSES:
        raise ConfigError(f"there is no loss {name!r}", hint=suggest(name, LOSSES), key="loss.name")
    facts = LOSSES[name]
    if problem not in facts.problems:
        fitting = [known for known, others in LOSSES.items() if problem in others.problems]
        raise ConfigError(
            f"the loss {name!r} is for problems that are {' or '.join(facts.problems)}, this one is {problem}",
            hint=f"Use one of: {', '.join(fitting)}.",
            key="loss.name",
        )
    for option, field in LossOptions.model_fields.items():
        if option not in {"name", *facts.options} and getattr(options, option) != field.default:
            having = [known for known, others in LOSSES.items() if option in others.options]
            raise ConfigError(
                f"the loss {name!r} has no {option}",
                hint=f"Leave it out; losses with it: {', '.join(having)}.",
                key=f"loss.{option}",
            )
    return name
