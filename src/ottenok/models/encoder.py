"""Encoders from transformers: their configuration, weights, tokenizer, limits, and what of them is trained."""

from __future__ import annotations

import inspect
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging

from ottenok.bundle.stock import own_config
from ottenok.core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ottenok.recipes.model import ModelOptions

__all__ = [
    "accepts_no_pooler",
    "attention_kind",
    "depths",
    "freeze",
    "give_padding",
    "keep_layers",
    "load_config",
    "load_encoder",
    "load_tokenizer",
    "lost_letters",
    "quiet",
    "refuse_random",
    "text_limit",
]

_LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.\d+\.")

# The same two dropouts and the head's have other names in other families.
_ENCODER_DROPOUTS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "embedding_dropout",
    "mlp_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop",
)  # fmt: skip
_HEAD_DROPOUTS = (
    "classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "cls_dropout", "pooler_dropout",
)  # fmt: skip

_OWN_CODE = (
    "Take a copy for an architecture that transformers has itself, such as alibaba-nlp-community/gte-multilingual-base "
    "or jinaai/jina-embeddings-v3-hf, or another encoder."
)

# Families whose positions start after the padding token's number, so that fewer tokens fit than the table has rows.
_SHIFTED_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "data2vec-text", "mpnet"})


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and messages below errors, and restore both after."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def load_config(options: ModelOptions, *, head_dropout: float) -> Any:  # noqa: ANN401 - one class per architecture
    """Load the encoder's transformers configuration, with the recipe's dropouts in it.

    Raises:
        ModelError: There is no such folder or hub model, or it is no encoder that transformers knows.
    """
    name = _origin(options)
    # What can only be a path and is not there: the hub's own message would speak of repository names.
    if name.startswith((".", "/", "~", "\\")) and not Path(name).is_dir():
        key = "model.encoder" if options.init_from is None else "model.init_from"
        raise ModelError(f"there is no folder {name!r}", hint="Check the path of the encoder.", key=key)
    try:
        config = _read_config(options)
    except (OSError, ValueError, KeyError) as error:
        raise _no_encoder(name, error) from error
    if own_config(config.to_dict()) is not None:
        config = config.encoder_config()
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name!r} is an encoder with a decoder ({config.model_type}), expected an encoder or a decoder alone",
            hint='Take a BERT-like encoder, or a decoder such as Qwen2 with pooling = "last".',
            key="model.encoder",
        )
    if options.dropout is not None:
        _set_known(config, _ENCODER_DROPOUTS, options.dropout)
    _set_known(config, _HEAD_DROPOUTS, head_dropout)
    if hasattr(config, "use_cache"):
        config.use_cache = False  # decoders would keep every layer's keys for a next token that never comes
    return config


def _read_config(options: ModelOptions) -> Any:  # noqa: ANN401
    # A classifier that ottenok trained is a place to start from too, and transformers must know its kind.
    from ottenok.models.classifier import OttenokConfig, register

    register()
    # Without `trust_remote_code=False` transformers would ask the terminal whether to run a stranger's code.
    config = AutoConfig.from_pretrained(_origin(options), revision=options.revision or "main", trust_remote_code=False)
    own = own_config(config.to_dict())
    return config if own is None or isinstance(config, OttenokConfig) else OttenokConfig.from_dict(dict(own))


def _origin(options: ModelOptions) -> str:
    """Return where configuration, weights and tokenizer are read from."""
    return options.encoder if options.init_from is None else options.init_from


def _set_known(config: Any, names: tuple[str, ...], value: float) -> None:  # noqa: ANN401
    for name in names:
        if hasattr(config, name):
            setattr(config, name, value)


def _no_encoder(name: str, error: Exception) -> ModelError:
    if "trust_remote_code" in str(error):
        return ModelError(
            f"the encoder {name!r} comes with Python code of its own, which ottenok never runs",
            hint=_OWN_CODE,
            key="model.encoder",
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"the encoder {name!r} can't be loaded: {reason[:300]}",
        hint="Name a folder with config.json, model.safetensors and tokenizer files, or a model on the hub that has "
        "safetensors weights: --model.encoder PATH",
        key="model.encoder",
    )


def attention_kind(options: ModelOptions) -> str | None:
    """Return the attention implementation to ask for; None is the encoder's default."""
    if options.attention != "auto":
        return options.attention
    return None if torch.cuda.is_available() else "eager"


def load_encoder(options: ModelOptions, config: Any, *, pooler: bool = False) -> nn.Module:  # noqa: ANN401
    """Load the encoder's weights in float32.

    Args:
        options: Which encoder.
        config: Its configuration.
        pooler: Build the architecture's pooler, where it has one. Its weights may be missing: they are new then,
            unless `options.pooling` reads it.

    Raises:
        ConfigError: The pooling reads the encoder's pooler, and there is none.
        ModelError: There are no safetensors weights, or some of the encoder's weights are not in them.
    """
    from ottenok.models.stock import read_stock

    extra: dict[str, Any] = {"add_pooling_layer": pooler} if accepts_no_pooler(config) else {}
    try:
        # Inside a classifier of ours the names of the encoder's weights begin with `encoder.`.
        if own_config(_read_config(options).to_dict()) is not None:
            extra["key_mapping"] = {r"^encoder\.": ""}
        revision = options.revision or "main"
        stock = read_stock(_origin(options), revision=revision)
        source: Any = AutoModel
        if stock is not None:
            source, extra["state_dict"] = MODEL_MAPPING[type(config)], stock[1]
        with quiet():
            encoder, info = source.from_pretrained(
                _origin(options) if stock is None else None,
                config=config,
                revision=revision,
                dtype=torch.float32,
                attn_implementation=attention_kind(options),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **extra,
            )
    except (OSError, ValueError, ImportError) as error:
        raise _no_encoder(_origin(options), error) from error
    new = [key for key in info["missing_keys"] if key.startswith("pooler.")]
    if options.pooling == "pooler" and (new or getattr(encoder, "pooler", None) is None):
        raise ConfigError(
            f"the encoder {_origin(options)!r} ({config.model_type}) has no trained pooler of its own",
            hint='Use another pooling: "mean" or "cls", or "last" for a decoder.',
            key="model.pooling",
        )
    missing = set(info["missing_keys"]).difference(new)
    refuse_random(_origin(options), missing=missing, own_code=hasattr(config, "auto_map"), key="model.encoder")
    # transformers cuts some checkpoints' fused matrices into views of one, which safetensors refuses to save.
    for weight in encoder.parameters():
        if weight.untyped_storage().nbytes() > weight.numel() * weight.element_size():
            weight.data = weight.data.clone()
    return encoder  # type: ignore[no-any-return]


def accepts_no_pooler(config: Any) -> bool:  # noqa: ANN401
    """Tell whether the architecture's `AutoModel` class can be built without its pooler."""
    model_class: Any = MODEL_MAPPING.get(type(config), None)
    return model_class is not None and "add_pooling_layer" in inspect.signature(model_class).parameters


def refuse_random(
    place: str, *, missing: Collection[str], left: Collection[str] = (), own_code: bool = False, key: str | None = None
) -> None:
    """Refuse a model some of whose weights would be random, or some of whose layers would be left out.

    Args:
        place: The folder or hub name.
        missing: Weights of the model that are not in its files.
        left: Weights of the files that the model has no place for.
        own_code: Whether the model is made for Python code of its own: an architecture of transformers' name with other
            layers.
        key: Of the recipe, if it named the model.

    Raises:
        ModelError: There are missing ones, or layers among those that are left.
    """
    shown = sorted(missing)
    what, other = "are not in its files", sorted(left)
    if not shown:
        shown = [name for name in other if _LAYER.search(name)]
        what, other = "are in its files and have no place in it", []
    if shown:
        raise ModelError(
            f"{len(shown)} weights of {place!r} {what}: {', '.join(shown[:4])}{', ...' if len(shown) > 4 else ''}"
            + (f"; the files have {', '.join(other[:4])} instead" if other else ""),
            hint=f"It is made for Python code of its own, which ottenok never runs. {_OWN_CODE}"
            if own_code
            else "Check that config.json and model.safetensors belong together: with others, answers are random.",
            key=key,
        )


def load_tokenizer(options: ModelOptions) -> Any:  # noqa: ANN401 - one class per family
    """Load the encoder's fast tokenizer.

    Raises:
        ModelError: There is none, or it has no padding token and none can be made of its end token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            _origin(options), revision=options.revision or "main", trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise _no_encoder(_origin(options), error) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"the encoder {_origin(options)!r} has no fast tokenizer (tokenizer.json), which saved models need",
            hint="Convert it with transformers, or take another encoder.",
            key="model.encoder",
        )
    own = own_config(_read_config(options).to_dict())
    give_padding(tokenizer, own)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no padding token and no end token", key="model.encoder")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def give_padding(tokenizer: Any, own: Mapping[str, Any] | None) -> None:  # noqa: ANN401
    """Name the padding token of a tokenizer whose folder hides it (`ottenok.models.stock`).

    Args:
        tokenizer: As transformers reads it.
        own: What the folder's `config.json` says of ottenok's classifier (`own_config`), or None.
    """
    if tokenizer.pad_token_id is None and own is not None and own.get("pad_token_id") is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(own["pad_token_id"])


def lost_letters(tokenizer: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return which of й and ё the tokenizer can't tell from и and е, because it strips accents.

    Uncased multilingual models do so; "мой" and "мои" are then one word.
    """
    pairs = {"й": "и", "ё": "е"}
    same = (
        tokenizer(f"а{letter}")["input_ids"] == tokenizer(f"а{plain}")["input_ids"] for letter, plain in pairs.items()
    )
    return tuple(letter for letter, lost in zip(pairs, same, strict=True) if lost)


def text_limit(config: Any) -> int | None:  # noqa: ANN401
    """Return the most tokens (special ones included) that the encoder can read; None: no fixed limit is known."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    if config.model_type in _SHIFTED_POSITIONS:
        return positions - int(config.pad_token_id or 0) - 1
    return positions


def freeze(encoder: nn.Module, *, embeddings: bool, layers: int) -> None:
    """Keep the embeddings, or the first layers, as they are.

    Raises:
        ConfigError: The encoder's layers can't be found, or there are fewer.
    """
    if embeddings or layers:
        # Layers above trained embeddings, and below nothing, would be a strange thing to freeze: embeddings go first.
        _embeddings(encoder).requires_grad_(requires_grad=False)
    if layers:
        for layer in list(_stack(encoder, layers, key="model.freeze_layers"))[:layers]:
            layer.requires_grad_(requires_grad=False)


def keep_layers(encoder: nn.Module, config: Any, layers: tuple[int, ...]) -> None:  # noqa: ANN401
    """Keep the layers of these numbers alone, in their order, in the encoder and in its configuration.

    Raises:
        ConfigError: There is no such layer, the numbers do not rise, or the architecture's layers differ by place.
    """
    key = "model.layers"
    if any(layer < 0 for layer in layers) or list(layers) != sorted(set(layers)):
        raise ConfigError(f"expected rising numbers from 0, found {list(layers)}", key=key)
    stack = _stack(encoder, max(layers) + 1, key=key)
    kinds = getattr(config, "layer_types", None)
    if kinds is None and getattr(config, "global_attn_every_n_layers", 1) != 1:
        raise ConfigError(f"the layers of {config.model_type} differ by their place, so none can go", key=key)
    kept = [stack[layer] for layer in layers]
    del stack[:]
    stack.extend(kept)
    own: Any = encoder.config
    for one in (config, own):
        one.num_hidden_layers = len(layers)
        if kinds is not None:
            one.layer_types = [kinds[layer] for layer in layers]


def depths(encoder: nn.Module) -> dict[int, int]:
    """Return how far below the encoder's top each parameter stands, by its identity.

    The last layer has 0, the one before it 1, the embeddings one more than the first layer; what is over the last,
    or can't be told apart, has 0.
    """
    stack = _layers(encoder)
    if stack is None:
        return {}
    found = {id(weight): len(stack) for weight in _embeddings(encoder).parameters()}
    for place, layer in enumerate(stack):
        found |= {id(weight): len(stack) - 1 - place for weight in layer.parameters()}
    return found


def _embeddings(encoder: nn.Module) -> nn.Module:
    block: nn.Module | None = getattr(encoder, "embeddings", None)
    return encoder.get_input_embeddings() if block is None else block  # type: ignore[operator]


def _stack(encoder: nn.Module, least: int, *, key: str) -> nn.ModuleList:
    stack = _layers(encoder)
    if stack is None or least > len(stack):
        found = "none that can be told apart" if stack is None else str(len(stack))
        verb = "freeze" if key == "model.freeze_layers" else "keep"
        raise ConfigError(f"can't {verb} the first {least} layers: the encoder has {found}", key=key)
    return stack


def _layers(encoder: nn.Module) -> nn.ModuleList | None:
    depth = getattr(encoder.config, "num_hidden_layers", None)
    for module in encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    return None
