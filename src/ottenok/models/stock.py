"""The commonest classifier, a BERT with mean pooling and a linear head, as a class that transformers has itself.

`BertForSequenceClassification` and its kin score the first token. XLM's layers are BERT's (Lample and Conneau 2019:
post-norm, learned positions), and `XLMForSequenceClassification` takes the mean of all tokens where its configuration
says `summary_type = "mean"`, with one linear layer over it. So the weights are renamed, the only segment's embedding
goes into the positions', and feed-forward layers narrower than XLM's four widths are filled with zeros.

XLM's mean counts padding. A text alone has none, and pipelines give texts one by one unless they are told otherwise;
the folder's tokenizer names no padding token, so that padded batches are an error of transformers and never a wrong
answer. What the model is in ottenok stands in its `config.json` under `ottenok`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedConfig, XLMConfig, XLMForSequenceClassification
from transformers.utils.hub import cached_file

from ottenok.models.classifier import OttenokClassifier, OttenokConfig
from ottenok.recipes.model import HeadOptions

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["own_weights", "read_stock", "to_stock"]

# Where the layers of the encoders stand: what begins their names, and their parts by XLM's names.
_BERT = {
    "attentions.{}.q_lin": "encoder.layer.{}.attention.self.query",
    "attentions.{}.k_lin": "encoder.layer.{}.attention.self.key",
    "attentions.{}.v_lin": "encoder.layer.{}.attention.self.value",
    "attentions.{}.out_lin": "encoder.layer.{}.attention.output.dense",
    "layer_norm1.{}": "encoder.layer.{}.attention.output.LayerNorm",
    "ffns.{}.lin1": "encoder.layer.{}.intermediate.dense",
    "ffns.{}.lin2": "encoder.layer.{}.output.dense",
    "layer_norm2.{}": "encoder.layer.{}.output.LayerNorm",
}
_DISTILBERT = {
    **{
        f"attentions.{{}}.{part}": f"transformer.layer.{{}}.attention.{part}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin")
    },
    "layer_norm1.{}": "transformer.layer.{}.sa_layer_norm",
    "ffns.{}.lin1": "transformer.layer.{}.ffn.lin1",
    "ffns.{}.lin2": "transformer.layer.{}.ffn.lin2",
    "layer_norm2.{}": "transformer.layer.{}.output_layer_norm",
}
_FAMILIES = {
    **dict.fromkeys(("bert", "camembert", "roberta", "xlm-roberta"), _BERT),
    "distilbert": _DISTILBERT,
}
# Their positions start after the padding token's number.
_SHIFTED = frozenset({"camembert", "roberta", "xlm-roberta"})


def to_stock(model: OttenokClassifier) -> Any | None:  # noqa: ANN401 - transformers has no types
    """Return the same network as an XLM, or None where it can't be one.

    It can for one task with mean pooling and one linear layer over BERT, RoBERTa, XLM-R, CamemBERT or DistilBERT.
    """
    config, own = model.encoder.config, model.config
    state = model.encoder.state_dict()
    head = HeadOptions.model_validate_json(json.dumps(own.head))
    width, activation = config.hidden_size, getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    if (
        config.model_type not in _FAMILIES
        or own.other_tasks
        or own.pooling != "mean"
        or own.link != "identity"
        or head != HeadOptions(dropout=head.dropout, activation=head.activation)
        or activation not in {"gelu", "relu"}
        or getattr(config, "position_embedding_type", "absolute") != "absolute"
    ):
        return None
    names = _FAMILIES[config.model_type]
    if len(state[f"{names['ffns.{}.lin1'].format(0)}.weight"]) > 4 * width:
        return None
    positions = state["embeddings.position_embeddings.weight"][_first(config) :]
    if "embeddings.token_type_embeddings.weight" in state:
        positions = positions + state["embeddings.token_type_embeddings.weight"][0]
    xlm = XLMConfig(
        vocab_size=len(state["embeddings.word_embeddings.weight"]),
        emb_dim=width,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        max_position_embeddings=len(positions),
        layer_norm_eps=getattr(config, "layer_norm_eps", 1e-12),
        gelu_activation=activation == "gelu",
        n_langs=1,
        use_lang_emb=False,
        pad_token_id=config.pad_token_id,
        summary_type="mean",
        summary_first_dropout=0.0,
    )
    tree: Any = own.to_diff_dict()
    for key in ("id2label", "label2id", "problem_type", "function_to_apply"):
        if key in tree:
            setattr(xlm, key, getattr(own, key))
    xlm.ottenok = tree
    stock: Any = XLMForSequenceClassification(xlm)
    weights = {theirs: state[ours] for theirs, ours in _pairs(config).items() if ours in state}
    weights["transformer.position_embeddings.weight"] = positions
    weights |= {f"sequence_summary.summary.{part}": weight for part, weight in model.head.out.state_dict().items()}
    for name, place in stock.state_dict().items():
        # A feed-forward layer that is wider than the encoder's: zeros come out of zeros.
        if weights[name].shape != place.shape:
            padded = torch.zeros_like(place)
            padded[tuple(slice(size) for size in weights[name].shape)] = weights[name]
            weights[name] = padded
    stock.load_state_dict({name: weights[name] for name in stock.state_dict()})
    return stock.eval()


def read_stock(place: str, *, revision: str = "main") -> tuple[OttenokConfig, dict[str, Tensor]] | None:
    """Return the configuration and the weights, by ottenok's names, of a folder that `to_stock`'s network was saved in.

    The only segment's embedding is in the positions', and is itself zero.

    Args:
        place: A folder, or a name on the hub.
        revision: Of a model on the hub.

    Returns:
        None if the folder holds another model.

    Raises:
        OSError: There is no such place or file.
        ValueError: A file can't be read, or a weight is missing or too small.
    """
    tree, _ = PreTrainedConfig.get_config_dict(place, revision=revision)
    if tree.get("model_type") != "xlm" or not isinstance(tree.get("ottenok"), dict):
        return None
    try:
        weights = load_file(str(cached_file(place, "model.safetensors", revision=revision)))
    except SafetensorError as error:
        raise ValueError(f"its weights can't be read: {error}") from error
    config = OttenokConfig.from_dict(tree["ottenok"])
    return config, own_weights(config, weights)


def own_weights(config: OttenokConfig, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a classifier by ottenok's names; those of `to_stock`'s network are renamed.

    Raises:
        ValueError: A weight of `to_stock`'s network is missing or too small.
    """
    if "sequence_summary.summary.weight" not in weights:
        return weights
    encoder = config.encoder_config()
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in OttenokClassifier(config).state_dict().items()}
    try:
        found = {f"head.out.{part}": weights[f"sequence_summary.summary.{part}"] for part in ("weight", "bias")}
        for theirs, ours in _pairs(encoder).items():
            name = f"encoder.{ours}"
            if name.endswith("position_embeddings.weight"):
                found[name] = torch.zeros(shapes[name])
                found[name][_first(encoder) :] = weights[theirs]
            elif name.endswith("token_type_embeddings.weight"):
                found |= {name: torch.zeros(shapes[name])} if name in shapes else {}
            else:
                found[name] = weights[theirs][tuple(slice(size) for size in shapes[name])].clone()
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"its weights are not those that config.json describes: {error}") from error
    wrong = [name for name, shape in shapes.items() if name not in found or found[name].shape != shape]
    if wrong:
        raise ValueError(f"its weights are not those that config.json describes: {wrong[0]}")
    return found


def _first(config: Any) -> int:  # noqa: ANN401
    """Return the row of the first position."""
    return int(config.pad_token_id or 0) + 1 if config.model_type in _SHIFTED else 0


def _pairs(config: Any) -> dict[str, str]:  # noqa: ANN401
    """Return XLM's names of weights to those of the encoder; the segments' stands under a name that XLM has not."""
    parts = {
        "embeddings": "embeddings.word_embeddings",
        "position_embeddings": "embeddings.position_embeddings",
        "segments": "embeddings.token_type_embeddings",
        "layer_norm_emb": "embeddings.LayerNorm",
    }
    for layer in range(config.num_hidden_layers):
        parts |= {theirs.format(layer): ours.format(layer) for theirs, ours in _FAMILIES[config.model_type].items()}
    return {
        f"transformer.{theirs}.{part}": f"{ours}.{part}"
        for theirs, ours in parts.items()
        for part in (("weight",) if "embeddings" in theirs or theirs == "segments" else ("weight", "bias"))
    }
