"""The classifier: any encoder, and for each task a pooling, a head and a link over it, as one transformers model.

Importing this module, as `import ottenok.models` does too, registers its `model_type` with transformers, so that
`AutoConfig` and `AutoModelForSequenceClassification` (and with them pipelines) open our folders, without remote code.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from ottenok.bundle.stock import OWN_MODEL_TYPE
from ottenok.models.encoder import accepts_no_pooler
from ottenok.models.heads import create_head, create_link
from ottenok.models.pooling import create_pooling
from ottenok.recipes.model import HeadOptions

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OttenokClassifier", "OttenokConfig", "TaskHead", "register"]


class OttenokConfig(PreTrainedConfig):  # type: ignore[no-untyped-call] # transformers has no types here
    """What `config.json` holds.

    Args:
        encoder: The encoder's own transformers configuration, as a mapping with its `model_type`.
        pooling: A name of `ottenok.models.pooling.POOLINGS`; of the primary task, as are head, link and `id2label`.
        head: Fields of `ottenok.recipes.model.HeadOptions`.
        link: A name of `ottenok.models.heads.LINKS`.
        other_tasks: What the model answers besides: for each task its `name`, `labels`, `problem_type`, `pooling`,
            `head` and `link`.
        **kwargs: transformers' common fields: `id2label`, `problem_type`, ...
    """

    model_type = OWN_MODEL_TYPE

    def __init__(
        self,
        *,
        encoder: dict[str, Any] | None = None,
        pooling: str = "mean",
        head: dict[str, Any] | None = None,
        link: str = "identity",
        other_tasks: list[dict[str, Any]] | None = None,
        **kwargs: Any,  # noqa: ANN401 - transformers' protocol
    ) -> None:
        self.encoder = encoder or {"model_type": "bert"}
        self.pooling = pooling
        self.head = head or HeadOptions().model_dump(mode="json")
        self.link = link
        self.other_tasks = other_tasks or []
        super().__init__(**kwargs)

    def encoder_config(self) -> Any:  # noqa: ANN401 - one class per architecture
        """Return the encoder's configuration as transformers' own class."""
        fields = {key: value for key, value in self.encoder.items() if key != "model_type"}
        return AutoConfig.for_model(self.encoder["model_type"], **fields)


class TaskHead(nn.Module):
    """What one task has over the encoder.

    Args:
        width: Of the encoder's vectors.
        labels: Outputs; for an ordinal link, labels.
        pooling: A name of `ottenok.models.pooling.POOLINGS`.
        head: Fields of `ottenok.recipes.model.HeadOptions`.
        link: A name of `ottenok.models.heads.LINKS`.
    """

    def __init__(self, width: int, labels: int, *, pooling: str, head: dict[str, Any], link: str) -> None:
        super().__init__()
        self.pooling = create_pooling(pooling, width)
        self.link = create_link(link, labels)
        options = HeadOptions.model_validate_json(json.dumps(head))
        self.head = create_head(width * self.pooling.factor, self.link.raw, options)

    def forward(self, hidden: Tensor, pooler: Tensor | None, mask: Tensor) -> Tensor:
        """Return `[batch, labels]`.

        Args:
            hidden: `[batch, tokens, width]`.
            pooler: `[batch, width]` of the encoder's own pooler; None where it has none.
            mask: `[batch, tokens]`, 1 for real tokens.
        """
        given = pooler if self.pooling.reads_pooler and pooler is not None else hidden
        logits: Tensor = self.link(self.head(self.pooling(given, mask)))
        return logits.to(torch.float32)


class OttenokClassifier(PreTrainedModel):  # type: ignore[no-untyped-call]
    """An encoder and the heads of one task or more.

    Weights of the primary task are called `pooling.*`, `head.*` and `link.*`, as in a model with one task; those of the
    others `others.<number>.*`.

    Attributes:
        all_tasks: Whether `logits` are those of all tasks side by side. transformers' own tools, which know of one
            task alone, get the primary one's; ottenok's `build` and `load` ask for all.

    Args:
        config: See `OttenokConfig`.
        encoder: The encoder with its weights; None builds one with random weights, which loading then fills.
    """

    config_class = OttenokConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: OttenokConfig, encoder: nn.Module | None = None) -> None:
        super().__init__(config)
        self.all_tasks = False
        inner: Any = _empty_encoder(config) if encoder is None else encoder
        self.encoder = inner
        width = int(inner.config.hidden_size)
        primary = TaskHead(
            width, len(config.id2label or ()), pooling=config.pooling, head=config.head, link=config.link
        )
        self.pooling, self.link, self.head = primary.pooling, primary.link, primary.head
        if config.other_tasks:
            self.others = nn.ModuleList(
                TaskHead(width, len(task["labels"]), pooling=task["pooling"], head=task["head"], link=task["link"])
                for task in config.other_tasks
            )
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Leave new layers as torch initialises them; the encoder's are loaded."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,  # noqa: ARG002 - pipelines and trainers look for the name; losses are ours
        return_dict: bool | None = None,  # noqa: ARG002, FBT001 - transformers' protocol
        output_hidden_states: bool | None = None,  # noqa: FBT001
    ) -> SequenceClassifierOutput:
        """Return logits for token ids, `[batch, tokens]`; a missing mask means that no token is padding."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        extra: dict[str, Any] = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        if output_hidden_states:
            extra["output_hidden_states"] = True
        found = self.encoder(input_ids=input_ids, attention_mask=mask, **extra)
        hidden, pooler = found.last_hidden_state, getattr(found, "pooler_output", None)
        logits = TaskHead.forward(self, hidden, pooler, mask)  # type: ignore[arg-type] # it has the same three parts
        if self.all_tasks and self.config.other_tasks:
            logits = torch.cat([logits, *(part(hidden, pooler, mask) for part in self.others)], dim=-1)
        return SequenceClassifierOutput(
            logits=logits, hidden_states=found.hidden_states if output_hidden_states else None
        )


def _empty_encoder(config: OttenokConfig) -> nn.Module:
    inner = config.encoder_config()
    pools = any(pooling == "pooler" for pooling in (config.pooling, *(task["pooling"] for task in config.other_tasks)))
    extra = {"add_pooling_layer": pools} if accepts_no_pooler(inner) else {}
    attention = config._attn_implementation  # noqa: SLF001 - transformers keeps the caller's wish only there
    if attention == "sdpa" and not getattr(MODEL_MAPPING[type(inner)], "_supports_sdpa", False):
        attention = "eager"
    encoder: nn.Module = AutoModel.from_config(inner, attn_implementation=attention, **extra)  # type: ignore[no-untyped-call]
    return encoder


def register() -> None:
    """Tell transformers about our model type; done on import, and harmless when repeated."""
    AutoConfig.register(OWN_MODEL_TYPE, OttenokConfig, exist_ok=True)
    CONFIG_MAPPING.register("ottenok", OttenokConfig, exist_ok=True)  # as folders had it before
    AutoModelForSequenceClassification.register(OttenokConfig, OttenokClassifier, exist_ok=True)


register()
