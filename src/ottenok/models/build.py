"""From a recipe's `ModelOptions` and a label scheme to a network ready to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from ottenok.core.errors import ConfigError
from ottenok.models.classifier import OttenokClassifier, OttenokConfig
from ottenok.models.encoder import (
    attention_kind,
    freeze,
    load_config,
    load_encoder,
    load_tokenizer,
    text_limit,
)
from ottenok.models.problems import PROBLEMS, resolve_problem
from ottenok.recipes.model import HeadOptions

if TYPE_CHECKING:
    from ottenok.core.schemes import LabelScheme
    from ottenok.recipes.model import ModelOptions, Problem

__all__ = ["NATIVE_POOLING", "Network", "build"]

# Architectures whose own sequence classifier scores one position with (its own layers and) a linear layer, by pooling.
# What is saved as such opens in transformers without ottenok. An architecture that is not here is saved as ours.
NATIVE_POOLING: dict[str, str] = {
    **dict.fromkeys(
        ("albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
         "electra", "ernie", "megatron-bert", "mpnet", "nystromformer", "rembert", "roberta", "roformer",
         "xlm-roberta", "xlm-roberta-xl"),
        "cls",
    ),
    **dict.fromkeys(("gemma", "gemma2", "llama", "mistral", "phi3", "qwen2", "qwen3", "smollm3"), "last"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network ready to train.

    Attributes:
        model: A transformers model for sequence classification, float32, with the scheme's labels in its config.
        tokenizer: The encoder's fast tokenizer.
        problem: What it learns.
        limit: Most tokens that the encoder can read, or None.
        native: True if the model is the architecture's own sequence classifier.
    """

    model: Any
    tokenizer: Any
    problem: Problem
    limit: int | None
    native: bool

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that are new, that is, all but the encoder's."""
        return [value for name, value in self.model.named_parameters() if not self.is_encoder(name)]

    def is_encoder(self, name: str) -> bool:
        """Tell whether the parameter called `name` came with the encoder; a native pooler counts as new."""
        return name.startswith(f"{self.model.base_model_prefix}.") and not (self.native and ".pooler." in name)


def build(options: ModelOptions, scheme: LabelScheme) -> Network:
    """Build the network. Seed everything before: new layers are drawn here.

    Raises:
        ConfigError: An option is unknown or does not fit the scheme.
        ModelError: The encoder can't be loaded.
    """
    problem = resolve_problem(options.problem, scheme)
    config = load_config(options, head_dropout=options.head.dropout)
    tokenizer = load_tokenizer(options)
    native = _is_native(options, config.model_type, problem) and not _natively_misread(options, tokenizer)
    config.pad_token_id = tokenizer.pad_token_id
    model = _native(options, config, _label_fields(scheme, problem)) if native else _own(options, config, scheme)
    freeze(model.base_model, embeddings=options.freeze_embeddings, layers=options.freeze_layers)
    return Network(model=model, tokenizer=tokenizer, problem=problem, limit=text_limit(config), native=native)


def _is_native(options: ModelOptions, model_type: str, problem: Problem) -> bool:
    if PROBLEMS[problem].link != "identity" or problem == "regression":
        return False
    head = options.head
    plain = head == HeadOptions(dropout=head.dropout, activation=head.activation)
    # The decoders' own classifiers have no dropout before their scores.
    return (
        plain and NATIVE_POOLING.get(model_type) == options.pooling and not (options.pooling == "last" and head.dropout)
    )


def _natively_misread(options: ModelOptions, tokenizer: Any) -> bool:  # noqa: ANN401
    """Tell whether texts end in the padding token, as Qwen3's embedders have it.

    The architectures' own classifiers look for the last token that is no padding, and would take the one before.
    """
    return options.pooling == "last" and tokenizer("a")["input_ids"][-1] == tokenizer.pad_token_id


def _label_fields(scheme: LabelScheme, problem: Problem) -> dict[str, Any]:
    facts = PROBLEMS[problem]
    # A regression has one output, which is none of the labels: a pipeline must not call every text by the first one.
    names = ("score",) if problem == "regression" else scheme.labels
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {label: number for number, label in enumerate(names)},
        "problem_type": facts.hub_name,
        "function_to_apply": facts.activation if facts.activation in {"softmax", "sigmoid"} else "none",
    }


def _native(options: ModelOptions, config: Any, labels: dict[str, Any]) -> Any:  # noqa: ANN401
    for key, value in labels.items():
        setattr(config, key, value)
    # The head is always new, also where the encoder is a classifier of its own: its labels may have another order.
    encoder = load_encoder(options, config, pooler=True)
    model: Any = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
        config, dtype=torch.float32, attn_implementation=attention_kind(options)
    )
    inner = model.base_model
    _set_head_dropout(model, options.head.dropout)
    known = inner.state_dict().keys()
    inner.load_state_dict({key: value for key, value in encoder.state_dict().items() if key in known})
    return model


def _set_head_dropout(model: Any, share: float) -> None:  # noqa: ANN401
    # Some architectures have no field for it in their configuration, and take the encoder's.
    encoder = {id(part) for part in model.base_model.modules()}
    for part in model.modules():
        if isinstance(part, nn.Dropout) and id(part) not in encoder:
            part.p = share


def _own(options: ModelOptions, config: Any, scheme: LabelScheme) -> OttenokClassifier:  # noqa: ANN401
    problem = resolve_problem(options.problem, scheme)
    encoder = load_encoder(options, config, pooler=options.pooling == "pooler")
    if options.link not in {"auto", "identity"} and problem != "ordinal":
        raise ConfigError(f"the link {options.link!r} is for ordinal problems, this one is {problem}", key="model.link")
    own = OttenokConfig(
        encoder=_plain(encoder.config),
        pooling=options.pooling,
        head=options.head.model_dump(mode="json"),
        link=PROBLEMS[problem].link if options.link == "auto" else options.link,
        pad_token_id=config.pad_token_id,
        **_label_fields(scheme, problem),
    )
    return OttenokClassifier(own, encoder)


def _plain(config: Any) -> dict[str, Any]:  # noqa: ANN401
    # Only what differs from the architecture's defaults, and nothing about the file it came from.
    fields: dict[str, Any] = config.to_diff_dict()
    dropped = {"architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path", "id2label", "label2id"}
    return {"model_type": config.model_type} | {key: value for key, value in fields.items() if key not in dropped}
