"""The classifier: any encoder, a pooling, a head and a link, as one transformers model.

Importing this module registers `model_type = "ottenok"` with transformers, so that `AutoConfig` and
`AutoModelForSequenceClassification` (and with them pipelines) open our folders, without remote code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from ottenok.models.encoder import accepts_no_pooler
from ottenok.models.heads import create_head
from ottenok.models.links import create_link
from ottenok.models.pooling import create_pooling
from ottenok.recipes.model import HeadOptions

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["OttenokClassifier", "OttenokConfig", "register"]


class OttenokConfig(PreTrainedConfig):  # type: ignore[no-untyped-call] # transformers has no types here
    """What `config.json` holds.

    Args:
        encoder: The encoder's own transformers configuration, as a mapping with its `model_type`.
        pooling: A name of `ottenok.models.pooling.POOLINGS`.
        head: Fields of `ottenok.recipes.model.HeadOptions`.
        link: A name of `ottenok.models.links.LINKS`.
        **kwargs: transformers' common fields: `id2label`, `problem_type`, ...
    """

    model_type = "ottenok"

    def __init__(
        self,
        *,
        encoder: dict[str, Any] | None = None,
        pooling: str = "mean",
        head: dict[str, Any] | None = None,
        link: str = "identity",
        **kwargs: Any,  # noqa: ANN401 - transformers' protocol
    ) -> None:
        self.encoder = encoder or {"model_type": "bert"}
        self.pooling = pooling
        self.head = head or HeadOptions().model_dump(mode="json")
        self.link = link
        super().__init__(**kwargs)

    def encoder_config(self) -> Any:  # noqa: ANN401 - one class per architecture
        """Return the encoder's configuration as transformers' own class."""
        fields = {key: value for key, value in self.encoder.items() if key != "model_type"}
        return AutoConfig.for_model(self.encoder["model_type"], **fields)


class OttenokClassifier(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Encoder, pooling, head, link: `logits` are `[batch, labels]`, float32.

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
        inner: Any = _empty_encoder(config) if encoder is None else encoder
        self.encoder = inner
        width = int(inner.config.hidden_size)
        self.pooling = create_pooling(config.pooling, width)
        self.link = create_link(config.link, len(config.id2label or ()))
        head = HeadOptions.model_validate_json(_json(config.head))
        self.head = create_head(width * self.pooling.factor, self.link.raw, head)
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
    ) -> SequenceClassifierOutput:
        """Score token ids, `[batch, tokens]`; a missing mask means that no token is padding."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        extra = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.encoder(input_ids=input_ids, attention_mask=mask, **extra)
        hidden = found.pooler_output if self.pooling.reads_pooler else found.last_hidden_state
        scores = self.link(self.head(self.pooling(hidden, mask)))
        return SequenceClassifierOutput(logits=scores.to(torch.float32))


def _json(fields: dict[str, Any]) -> str:
    import json

    return json.dumps(fields)


def _empty_encoder(config: OttenokConfig) -> nn.Module:
    inner = config.encoder_config()
    extra = {"add_pooling_layer": config.pooling == "pooler"} if accepts_no_pooler(inner) else {}
    attention = config._attn_implementation  # noqa: SLF001 - transformers keeps the caller's wish only there
    if attention == "sdpa" and not getattr(MODEL_MAPPING[type(inner)], "_supports_sdpa", False):
        attention = "eager"
    encoder: nn.Module = AutoModel.from_config(inner, attn_implementation=attention, **extra)  # type: ignore[no-untyped-call]
    return encoder


def register() -> None:
    """Tell transformers about our model type; done on import, and harmless when repeated."""
    AutoConfig.register("ottenok", OttenokConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(OttenokConfig, OttenokClassifier, exist_ok=True)


register()
