"""Tiny random encoders of the published architectures, made in code, and networks on them.

They know nothing; what they share with the real ones is the architecture, the files and the kind of tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, PreTrainedTokenizerFast

from ottenok.core.config import suggest
from ottenok.core.errors import ModelError
from ottenok.models.encoder import quiet
from ottenok.models.network import Network, build
from ottenok.recipes.train import TrainRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.core.schemes import LabelScheme
    from ottenok.recipes.model import ModelOptions

_LETTERS = (
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюяabcdefghijklmnopqrstuvwxyz0123456789"
    "!?.,:;()-«»，。！？我你他她的了是不很好坏差喜欢讨厌爱电影书店酒菜味道服务一般还行非常太棒糟糕"
)
_MARKS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_NAMED = ("pad", "cls", "sep", "mask")
_END = "<|endoftext|>"
_DECODERS = frozenset({"qwen2", "qwen3"})
_POSITIONS = 64

_BERT_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": _POSITIONS,
}

# Architecture to the names and values of its sizes.
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": _BERT_SIZES,
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": _POSITIONS},
    "electra": _BERT_SIZES,
    "eurobert": _BERT_SIZES,
    "gte": _BERT_SIZES,
    "jina_embeddings_v3": _BERT_SIZES,
    "modernbert": _BERT_SIZES,
    "qwen2": {**_BERT_SIZES, "num_key_value_heads": 2},
    "qwen3": {**_BERT_SIZES, "num_key_value_heads": 2, "head_dim": 8},
    "roberta": _BERT_SIZES,
    "ultrabert": _BERT_SIZES,
    "xlm-roberta": _BERT_SIZES,
}


def network_of(options: ModelOptions, *schemes: LabelScheme) -> Network:
    """Return a network with a task for each scheme."""
    return build(TrainRecipe(name="toy", model=options), {scheme.name: scheme for scheme in schemes})


def tiny_encoder(folder: Path, *, family: str = "bert", seed: int = 0, sizes: dict[str, Any] | None = None) -> Path:
    """Write a random encoder with its tokenizer into a folder.

    Args:
        folder: Where to; made if need be.
        family: A name of `FAMILIES`.
        seed: Of the weights.
        sizes: Sizes to use in place of the usual ones.

    Raises:
        ModelError: There is no such family.
    """
    if family not in FAMILIES:
        raise ModelError(f"there is no tiny encoder {family!r}", hint=suggest(family, FAMILIES))
    tokenizer = _tokenizer(family)
    fields = {**FAMILIES[family], **(sizes or {}), **_marks(family, tokenizer), "vocab_size": len(tokenizer)}
    config = AutoConfig.for_model(family, **fields)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _marks(family: str, tokenizer: Any) -> dict[str, int | None]:
    """Return the numbers of the special tokens that the architecture's configuration has names for."""
    numbers = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in _NAMED}
    numbers["bos_token_id"] = tokenizer.cls_token_id
    numbers["eos_token_id"] = tokenizer.eos_token_id or tokenizer.sep_token_id
    return {name: number for name, number in numbers.items() if hasattr(CONFIG_MAPPING[family], name)}


def _tokenizer(family: str) -> Any:
    inner, marks = _byte_pairs() if family in _DECODERS else _word_pieces()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner,
        model_max_length=_POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
        **marks,
    )


def _word_pieces() -> tuple[Tokenizer, dict[str, str]]:
    """Return a WordPiece tokenizer of single letters."""
    pieces = [*_MARKS.values(), *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token=_MARKS["unk_token"]))
    inner.normalizer = normalizers.BertNormalizer(strip_accents=False)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    ends = [_MARKS["cls_token"], _MARKS["sep_token"]]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(mark, vocabulary[mark]) for mark in ends]
    )
    return inner, _MARKS


def _byte_pairs() -> tuple[Tokenizer, dict[str, str]]:
    """Return a tokenizer of single bytes, which puts no marks around texts, as decoders have them."""
    pieces = [_END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner, {"pad_token": _END, "eos_token": _END}
