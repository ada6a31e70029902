"""Classifiers that are no single model of transformers: sentence encoders with a head over them, LoRA adapters.

sentence-transformers keeps a folder of modules (`modules.json`): an encoder, a pooling, dense layers, a normalisation.
Whose last layer is dense is a classifier; SetFit's has a head of its own beside it, which must be JSON or safetensors.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import normalizers
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from ottenok.bundle.manifest import CONFIG, WEIGHTS, read_json
from ottenok.core.errors import BundleError, ModelError
from ottenok.core.files import atomic_write_text
from ottenok.core.lazy import require
from ottenok.export.onnx import convert, convert_model
from ottenok.models.encoder import quiet, refuse_random
from ottenok.models.pooling import create_pooling

if TYPE_CHECKING:
    from torch import Tensor

    from ottenok.core.progress import Progress

__all__ = ["convert_adapter", "convert_modules"]

_ACTIVATIONS = {"Identity": nn.Identity, "Tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU, "Sigmoid": nn.Sigmoid}
_HEADS = ("model_head.json", "model_head.safetensors")
_PICKLED = "model_head.pkl"
# What a user runs who trusts the file; nothing here ever reads it.
_WAY_OUT = (
    "Where you trust that file, write the head as JSON once, and load the folder again: "
    "python -c \"import json, joblib; h = joblib.load('model_head.pkl'); "
    "json.dump({'coef': h.coef_.tolist(), 'intercept': h.intercept_.tolist(), 'classes': h.classes_.tolist()}, "
    "open('model_head.json', 'w'))\""
)


class _Stack(nn.Module):
    """An encoder, a pooling and layers over it, which gives `logits` as transformers' classifiers do."""

    def __init__(self, encoder: nn.Module, pooling: str, layers: list[nn.Module]) -> None:
        super().__init__()
        inner: Any = encoder
        self.encoder, self.config = inner, inner.config
        self.pooling = create_pooling(pooling, int(inner.config.hidden_size))
        self.layers = nn.Sequential(*layers)

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of words, whose length says how many there are."""
        return self.encoder.get_input_embeddings()  # type: ignore[no-any-return]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """Return the logits of token ids, `[batch, tokens]`."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return SimpleNamespace(logits=self.layers(self.pooling(hidden, attention_mask)))


class _Normalise(nn.Module):
    """Vectors of length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Divide each by its length."""
        return nn.functional.normalize(vectors, dim=-1)


def convert_modules(folder: Path, target: Path, *, progress: Progress) -> None:
    """Write the graph, tokenizer and configuration of a folder of sentence-transformers or SetFit.

    Labels are those of `labels` in `config_setfit.json`, of `classes` in `model_head.json`, or of the encoder's
    `config.json`; `multi_target_strategy` of SetFit, or `problem_type`, says whether several may hold at once.

    Args:
        folder: Has a `modules.json`.
        target: The new folder, which is whole or not there.
        progress: Hears of the stages.

    Raises:
        BundleError: It ends in no head, the head is a pickle, or a file is missing or wrong.
        ModelError: A module is none that is known, or its graph gives other logits.
    """
    file = folder / "modules.json"
    try:
        modules = sorted(json.loads(file.read_text(encoding="utf-8")), key=lambda module: int(module["idx"]))
        kinds = [(str(module["type"]).rsplit(".", 1)[-1], folder / str(module["path"])) for module in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleError(f"this is no list of modules: {error}", file=str(file)) from error
    if any(not place.resolve().is_relative_to(folder.resolve()) for _, place in kinds):
        raise BundleError("a module lies outside the folder", file=str(file))
    if [kind for kind, _ in kinds[:2]] != ["Transformer", "Pooling"]:
        found = ", ".join(kind for kind, _ in kinds)
        raise ModelError(f"expected the modules Transformer, Pooling and others, found {found}", file=str(file))
    place = kinds[0][1]
    layers: list[nn.Module] = []
    for kind, where in kinds[2:]:
        if kind == "Dense":
            layers += _dense(where)
        elif kind == "Normalize":
            layers.append(_Normalise())
        elif kind != "Dropout":
            raise ModelError(f"the module {kind} is not known here", file=str(file))
    head = _head(folder)
    facts = read_json(folder / "config_setfit.json") if (folder / "config_setfit.json").is_file() else {}
    if head is not None:
        layers += [_Normalise()] if facts.get("normalize_embeddings") else []
        layers.append(_linear(head["coef"], head["intercept"], file=str(folder)))
    elif (folder / _PICKLED).is_file():
        raise BundleError(
            f"the head is {_PICKLED}, a format that runs code when it is read", hint=_WAY_OUT, file=str(folder)
        )
    last = next((layer for layer in reversed(layers) if isinstance(layer, nn.Linear)), None)
    if last is None:
        raise BundleError(
            "this is a sentence encoder without a head",
            hint="Train one over it: ottenok train RECIPE --model.encoder FOLDER",
            file=str(folder),
        )
    with quiet():
        encoder = AutoModel.from_pretrained(
            place, dtype=torch.float32, attn_implementation="eager", use_safetensors=True, trust_remote_code=False
        )
    model = _Stack(encoder, _pooling(kinds[1][1]), layers).eval()
    config = read_json(place / CONFIG)
    labels = facts.get("labels") or (head or {}).get("classes") or list((config.get("id2label") or {}).values())
    if len(labels) != last.out_features:
        labels = [f"LABEL_{number}" for number in range(last.out_features)]
    several = bool(facts.get("multi_target_strategy")) or config.get("problem_type") == "multi_label_classification"
    names = {str(number): str(label) for number, label in enumerate(labels)}
    config |= {
        "architectures": [f"{type(encoder).__name__.removesuffix('Model')}ForSequenceClassification"],
        "id2label": names,
        "label2id": {label: int(number) for number, label in names.items()},
        "problem_type": "multi_label_classification" if several else "single_label_classification",
    }
    told = place / "sentence_bert_config.json"
    limits = read_json(told) if told.is_file() else {}
    with tempfile.TemporaryDirectory() as temporary:
        # A folder of transformers' making is what `convert_model` takes its tokenizer and limits from.
        source = Path(temporary)
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        if limits.get("do_lower_case"):
            inner = tokenizer.backend_tokenizer
            before = [inner.normalizer] if inner.normalizer is not None else []
            inner.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
        tokenizer.model_max_length = min(limits.get("max_seq_length") or tokenizer.model_max_length, 512)
        tokenizer.save_pretrained(source)
        atomic_write_text(source / CONFIG, json.dumps(config, ensure_ascii=False))
        convert_model(model, source, target, progress=progress)


def _pooling(folder: Path) -> str:
    """Return the pooling of a module by ottenok's name.

    Raises:
        ModelError: It is another, or several at once.
    """
    tree = read_json(folder / CONFIG)
    known = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
    asked = tree.get("pooling_mode")
    modes = [asked] if isinstance(asked, str) else asked if isinstance(asked, list) else None
    if modes is None:
        named = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}
        modes = [key for key, name in named.items() if tree.get(f"pooling_mode_{name}")]
        modes += [
            key
            for key, value in tree.items()
            if key.startswith("pooling_mode_") and value and key.endswith(("sqrt_len_tokens", "weightedmean_tokens"))
        ]
    if len(modes) != 1 or modes[0] not in known:
        raise ModelError(
            f"the pooling {' and '.join(map(str, modes)) or 'is not named'}, expected one of {', '.join(known)}",
            file=str(folder),
        )
    return known[modes[0]]


def _dense(folder: Path) -> list[nn.Module]:
    """Return the layers of a module `Dense`.

    Raises:
        BundleError: It has no safetensors.
        ModelError: Its activation is not known.
    """
    name = str(read_json(folder / CONFIG).get("activation_function", "Identity")).rsplit(".", 1)[-1]
    if name not in _ACTIVATIONS:
        raise ModelError(
            f"the activation {name} is not known here", hint=f"Known: {', '.join(_ACTIVATIONS)}", file=str(folder)
        )
    if not (folder / WEIGHTS).is_file():
        raise BundleError(
            f"there is no {WEIGHTS}",
            hint="ottenok never reads pickled weights: save the model again with sentence-transformers 3 or later.",
            file=str(folder),
        )
    weights = load_file(folder / WEIGHTS)
    return [_linear(weights.get("linear.weight"), weights.get("linear.bias"), file=str(folder)), _ACTIVATIONS[name]()]


def _head(folder: Path) -> dict[str, Any] | None:
    """Return `coef`, `intercept` and perhaps `classes` of SetFit's head; None where there is none in a safe format.

    Raises:
        BundleError: The file holds something else.
    """
    for name in _HEADS:
        if not (folder / name).is_file():
            continue
        if name.endswith(".json"):
            head = read_json(folder / name)
        else:
            try:
                weights = load_file(folder / name)
            except (OSError, SafetensorError) as error:
                raise BundleError(f"the head can't be read: {error}", file=str(folder / name)) from error
            pairs = (
                ("coef", "intercept"),
                ("coef_", "intercept_"),
                ("weight", "bias"),
                ("linear.weight", "linear.bias"),
            )
            head = next(
                ({"coef": weights[a], "intercept": weights[b]} for a, b in pairs if a in weights and b in weights), {}
            )
        if "coef" not in head or "intercept" not in head:
            raise BundleError("expected `coef` and `intercept` (or `weight` and `bias`)", file=str(folder / name))
        return head
    return None


def _linear(weight: Any, bias: Any, *, file: str) -> nn.Linear:  # noqa: ANN401
    """Return a layer; the single row of a logistic regression of two classes becomes two, of which the first is 0.

    Raises:
        BundleError: The numbers have no such shape.
    """
    try:
        rows = torch.as_tensor(weight, dtype=torch.float32)
        added = torch.zeros(len(rows)) if bias is None else torch.as_tensor(bias, dtype=torch.float32).reshape(-1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BundleError(f"the weights of a layer are no numbers: {error}", file=file) from error
    if rows.ndim != 2 or len(added) != len(rows):
        raise BundleError(f"a layer's weights are {tuple(rows.shape)}, and its bias {tuple(added.shape)}", file=file)
    if len(rows) == 1 and isinstance(weight, list):
        rows, added = torch.cat([torch.zeros_like(rows), rows]), torch.cat([torch.zeros(1), added])
    layer = nn.Linear(rows.shape[1], len(rows))
    layer.load_state_dict({"weight": rows, "bias": added})
    return layer


def convert_adapter(folder: Path, target: Path, *, progress: Progress) -> None:
    """Merge a LoRA adapter of peft into its base, and write the graph, tokenizer and configuration.

    Args:
        folder: Has `adapter_config.json` and `adapter_model.safetensors`; a `config.json`, if there is one, names the
            labels.
        target: The new folder, which is whole or not there.
        progress: Hears of the stages.

    Raises:
        BundleError: A file is missing, or the adapter is for another task.
        ModelError: The base can't be opened, or the graph gives other logits.
        MissingExtraError: peft is not installed.
    """
    peft = require("peft", extra="lora")
    settings = read_json(folder / "adapter_config.json")
    if settings.get("task_type") != "SEQ_CLS":
        raise BundleError(f"this adapter is for {settings.get('task_type')}, expected SEQ_CLS", file=str(folder))
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise BundleError(
            "there is no adapter_model.safetensors", hint="ottenok never reads pickled weights.", file=str(folder)
        )
    saved = load_file(weights)
    heads = [
        value
        for name, value in saved.items()
        if name.endswith((".classifier.weight", ".score.weight", ".out_proj.weight")) and value.ndim == 2
    ]
    base = str(settings.get("base_model_name_or_path"))
    place = base if not (folder / base).is_dir() else str(folder / base)
    told = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    fields: dict[str, Any] = {key: told[key] for key in ("id2label", "label2id", "problem_type") if key in told}
    if not fields and heads:
        fields = {"num_labels": len(heads[-1])}
    try:
        with quiet(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as temporary:
            # peft's, on how it uses transformers.
            warnings.simplefilter("ignore", FutureWarning)
            model, info = AutoModelForSequenceClassification.from_pretrained(
                place,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **fields,
            )
            known = {name.removeprefix("base_model.model.") for name in saved}
            mismatched = {name for name, *_ in info["mismatched_keys"]}
            refuse_random(str(folder), missing=({*info["missing_keys"], *mismatched}) - known)
            merged = peft.PeftModel.from_pretrained(model, folder).merge_and_unload()
            source = Path(temporary)
            merged.save_pretrained(source)
            tokens = folder if (folder / "tokenizer.json").is_file() else place
            AutoTokenizer.from_pretrained(tokens, trust_remote_code=False).save_pretrained(source)
            convert(source, target, progress=progress)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the adapter can't be merged into {base!r}: {' '.join(str(error).split())[:300]}", file=str(folder)
        ) from error
