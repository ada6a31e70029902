"""What a recipe says about a classifier's network: plain tables, readable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ottenok.core.table import Table

__all__ = ["HeadOptions", "LayerOptions", "LossOptions", "ModelOptions", "Problem"]

Problem = Literal["multi-class", "multi-label", "ordinal", "regression"]


class LayerOptions(Table):
    """Hidden layers: each is dropout, a linear layer, a norm and an activation.

    Attributes:
        hidden: Widths of the hidden layers, the first one first.
        dropout: Share of the inputs of every linear layer that training drops, 0..1.
        activation: A name of `ottenok.models.blocks.ACTIVATIONS`, after every hidden layer.
        norm: A name of `ottenok.models.blocks.NORMS`, between every hidden layer's linear part and its activation.
        groups: For `group` norm, which normalises so many equal parts of a vector, each by itself; None: the most, up
            to 32, that leave at least 4 values in each.
        residual: Add to the output of every hidden layer its input, by a linear map where the widths differ.
    """

    hidden: tuple[int, ...] = ()
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    activation: str = "gelu"
    norm: str = "none"
    groups: int | None = Field(default=None, gt=0)
    residual: bool = False


class HeadOptions(LayerOptions):
    """The layers between the pooled vector and the scores.

    Attributes:
        kind: A name of `ottenok.models.heads.HEADS`: `linear` (no hidden layers), `mlp` (at least one), or `parallel`
            (several heads side by side and a linear layer over all their scores).
        branches: The heads of `parallel`, at least two; one without hidden layers is linear. `dropout` beside it is
            that of the layer over them.
    """

    kind: str = "linear"
    branches: tuple[LayerOptions, ...] = ()


class ModelOptions(Table):
    """The network.

    Attributes:
        encoder: Folder or hub name of any encoder that transformers' `AutoModel` loads.
        origin: For the model card: whose encoder it is, and what was done to it.
        licence: SPDX identifier of the encoder's licence, or `unknown`.
        revision: Branch, tag or commit on the hub.
        pooling: A name of `ottenok.models.pooling.POOLINGS`. `cls` with a linear head is the architecture's own
            sequence classifier, with its own layer between the first token and the scores (BERT's pooler, RoBERTa's
            dense layer), as in models on the hub; `first` is the first token's vector itself; `pooler` is what the
            encoder's own pretrained pooler makes of it (LaBSE).
        problem: `auto` takes it from the label scheme.
        head: See `HeadOptions`.
        link: For ordinal problems: `corn` (also what `auto` means) or `coral`, see `ottenok.models.links`.
        attention: How attention is computed; `auto` is `eager` on a CPU (its fused backward is slower there for short
            texts) and the encoder's default elsewhere.
        dropout: Dropout inside the encoder (hidden states and attention); None keeps the encoder's own. The default
            of 0 costs nothing on a fine-tuned small encoder and saves the time of the masks.
        freeze_embeddings: Do not train the embedding matrices.
        freeze_layers: Do not train the first so many layers either.
    """

    encoder: str
    origin: str = ""
    licence: str = "unknown"
    revision: str | None = None
    pooling: str = "mean"
    problem: Literal["auto", "multi-class", "multi-label", "ordinal", "regression"] = "auto"
    head: HeadOptions = HeadOptions()
    link: Literal["auto", "identity", "corn", "coral"] = "auto"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    dropout: float | None = Field(default=0.0, ge=0.0, lt=1.0)
    freeze_embeddings: bool = False
    freeze_layers: int = Field(default=0, ge=0)


class LossOptions(Table):
    """What training minimises.

    Attributes:
        name: A name of `ottenok.models.losses.LOSSES`, or `auto` for the problem's usual one: `ce` (multi-class,
            ordinal), `bce` (multi-label), `mse` (regression). Beside them: `focal` (all but regression), `asymmetric`
            (multi-label).
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
    gamma: float | None = Field(default=None, ge=0.0)
    gamma_positive: float | None = Field(default=None, ge=0.0)
    gamma_negative: float | None = Field(default=None, ge=0.0)
    clip: float | None = Field(default=None, ge=0.0, lt=1.0)
