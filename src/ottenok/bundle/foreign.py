"""A manifest for folders of other tools: what transformers' `config.json` says, by stated rules.

The activation follows transformers' own text-classification pipeline: `problem_type` decides; without one, one label
means sigmoid and several mean softmax. The one addition is `function_to_apply`, which the pipeline reads too late to
ever matter for several labels: an author who wrote it down meant it, so here it comes second. Every guess is a note.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ottenok.bundle.manifest import (
    CONFIG,
    MANIFEST,
    TOKENIZER,
    TOKENIZER_CONFIG,
    BundleManifest,
    LicenceFacts,
    TaskFacts,
    WindowRule,
    read_json,
)
from ottenok.bundle.recognise import recognise
from ottenok.bundle.stock import own_config
from ottenok.core.errors import BundleError
from ottenok.tasks.decision import Decision
from ottenok.tasks.task import task_name
from ottenok.text.normalise import TextOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ottenok.tasks.decision import Activation

__all__ = ["foreign_manifest", "read_labels", "tokenizer_text"]

# Other tools do not normalise texts, so a foreign model sees what it saw there, but for what is always cleaned.
_UNTOUCHED = TextOptions(entities="keep", width="keep", marks="keep", urls="keep", users="keep", yo="keep")

_BY_PROBLEM: Mapping[str, Activation] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}
# Models whose position numbers start after the padding id, so that two of the positions are never reached.
_OFFSET_TYPES = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"})
_USUAL_LENGTH = 512
# Longer windows cost more than they bring: attention grows with the square, and sentiment is rarely that far away.
_LONGEST = 512
_UNSET_LENGTH = 1_000_000
_NUMBERED = re.compile(r"LABEL_\d+")


# Architectures of transformers, and the one that simpletransformers gave the same layers for several labels.
_ARCHITECTURE = re.compile(r"For(MultiLabel)?SequenceClassification$")
_MOST_LABELS, _LONGEST_NAME = 10_000, 1000
# Beyond any encoder that there is; a configuration with more is a mistake or a trap.
_MOST = MappingProxyType(
    {
        **dict.fromkeys(("num_hidden_layers", "n_layers", "num_layers", "n_layer"), 500),
        **dict.fromkeys(("hidden_size", "dim", "d_model", "embedding_size", "n_embd"), 50_000),
        **dict.fromkeys(("intermediate_size", "hidden_dim", "d_ff"), 500_000),
        **dict.fromkeys(("num_attention_heads", "n_heads", "type_vocab_size"), 10_000),
        **dict.fromkeys(("vocab_size", "max_position_embeddings"), 10_000_000),
    }
)
# Classes whose normaliser follows these settings, whatever tokenizer.json says; others take tokenizer.json as it is.
_BERT_TOKENIZER = re.compile(r"(Bert|DistilBert|Electra|ConvBert|MobileBert|SqueezeBert|Lxmert|Funnel)Tokenizer(Fast)?")
_BYTE_TOKENIZER = re.compile(r"(GPT2|Roberta|Bart|Longformer|Blenderbot)Tokenizer(Fast)?")


def read_labels(config: Mapping[str, Any], *, file: str) -> tuple[str, ...]:
    """Return the labels of a `config.json` in the order of the outputs.

    `id2label` names them; where it is absent or says nothing but LABEL_0 and so on, `label2id` may.

    Raises:
        BundleError: Ids are not 0, 1, 2, ..., two labels have the same name, one has none, or there are over 10,000.
    """
    names: Any = config.get("id2label")
    key, turned = "id2label", config.get("label2id")
    unnamed = names is None or (
        isinstance(names, dict) and all(_NUMBERED.fullmatch(str(name)) for name in names.values())
    )
    if unnamed and isinstance(turned, dict) and turned and (names is None or len(turned) == len(names)):
        key = "label2id"
        names = {number: name for name, number in turned.items()}
    if names is None:
        key, count = "num_labels", config.get("num_labels", 2)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= _MOST_LABELS:
            raise BundleError(f"expected 1 to {_MOST_LABELS:,} labels, found {count!r:.50}", file=file, key=key)
        names = {str(i): f"LABEL_{i}" for i in range(count)}
    try:
        by_id = {int(number): str(name) for number, name in names.items()}
    except (AttributeError, ValueError, TypeError) as error:
        raise BundleError(f"{key} does not map numbers to names", file=file, key=key) from error
    if len(by_id) > _MOST_LABELS:
        raise BundleError(f"expected 1 to {_MOST_LABELS:,} labels, found {len(by_id):,}", file=file, key=key)
    if not by_id or sorted(by_id) != list(range(len(by_id))):
        raise BundleError(f"expected the ids 0, 1, 2, ..., found {sorted(by_id)[:20]}", file=file, key=key)
    labels = tuple(by_id[i] for i in range(len(by_id)))
    if len(set(labels)) < len(labels) or len(by_id) < len(names):
        raise BundleError("two labels have the same name or number", file=file, key=key)
    if not all(0 < len(label) <= _LONGEST_NAME for label in labels):
        raise BundleError(f"expected names of 1 to {_LONGEST_NAME:,} characters", file=file, key=key)
    return labels


def foreign_manifest(folder: Path) -> BundleManifest:
    """Make the manifest of a folder that another tool wrote.

    Raises:
        BundleError: `config.json` is absent or wrong, is no text classifier's, or is one of a size that none has.
    """
    file = str(folder / CONFIG)
    config = read_json(folder / CONFIG)
    if own_config(config) is not None:
        raise BundleError(
            f"ottenok made this bundle, but {MANIFEST} is missing", hint="Copy the whole folder.", file=file
        )
    listed = config.get("architectures")
    architectures = [str(name) for name in listed] if isinstance(listed, list) else []
    if not any(_ARCHITECTURE.search(name) for name in architectures):
        raise BundleError(
            f"expected an architecture for sequence classification, found {', '.join(architectures) or 'none'}",
            hint="An encoder without a trained head gives random labels: train one with `ottenok train`.",
            file=file,
            key="architectures",
        )
    _check_sizes(folder, config, file)
    labels = read_labels(config, file=file)
    several = any("ForMultiLabel" in name for name in architectures)
    activation, notes = _activation(config, labels, several=several, file=file)
    if all(_NUMBERED.fullmatch(label) for label in labels):
        notes.append("The labels have no names but LABEL_0 and so on: the model's card may say what they mean.")
    elif read_labels({"id2label": config.get("id2label"), "num_labels": len(labels)}, file=file) != labels:
        notes.append("The labels' names are those of label2id; id2label does not name them.")
    turned = config.get("label2id")
    numbers = turned if isinstance(turned, dict) else {}
    if any(str(numbers.get(name, place)) != str(place) for place, name in enumerate(labels)):
        notes.append("label2id gives the labels other numbers than id2label, which holds, as in transformers.")
    scheme = recognise(labels, several=activation == "sigmoid")
    # The least of what the positions, the tokenizer and good sense allow. Tokenizers write 1e30 for "not set", and then
    # truncation does nothing, so only real lengths count.
    positions = config.get("max_position_embeddings")
    length = positions if isinstance(positions, int) and positions > 4 else _USUAL_LENGTH
    if config.get("model_type") in _OFFSET_TYPES:
        length -= 2
    settings = folder / TOKENIZER_CONFIG
    stated = read_json(settings).get("model_max_length") if settings.is_file() else None
    if isinstance(stated, int | float) and 4 < stated < _UNSET_LENGTH:
        length = min(length, int(stated))
    length = min(length, _LONGEST)
    return BundleManifest(
        name=folder.name,
        tasks=(
            TaskFacts(
                name=task_name(scheme.name),
                scheme=scheme,
                problem_type="multi-label" if activation == "sigmoid" else "multi-class",
                decision=Decision(activation=activation),
            ),
        ),
        text=_UNTOUCHED,
        max_length=length,
        window=WindowRule(overlap=min(32, length // 4)),
        licence=LicenceFacts(id="unknown", commercial=None, statement="config.json states no licence"),
        notes=tuple(notes),
    )


def _check_sizes(folder: Path, config: Mapping[str, Any], file: str) -> None:
    """Refuse a configuration that no machine could build, or whose weights could not fill it by far.

    Raises:
        BundleError: It is one.
    """
    sizes = {}
    for key, most in _MOST.items():
        size = config.get(key)
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= most:
            raise BundleError(f"expected a whole number up to {most:,}, found {size!r:.50}", file=file, key=key)
        sizes[key] = size

    def first(*keys: str) -> int:
        return next((sizes[key] for key in keys if key in sizes), 0)

    weights = sum(path.stat().st_size for path in folder.glob("model*.safetensors"))
    width = first("hidden_size", "dim", "d_model", "n_embd")
    # ALBERT's layers are one layer's weights.
    layers = 1 if config.get("model_type") == "albert" else first("num_hidden_layers", "n_layers", "n_layer")
    numbers = first("vocab_size") * first("embedding_size", "hidden_size", "dim", "d_model", "n_embd")
    numbers += layers * width * (width + 2 * first("intermediate_size", "hidden_dim", "d_ff"))
    if weights and numbers > 4 * weights + 100_000_000:
        raise BundleError(
            f"it describes a model of {numbers / 1e9:,.1f} thousand million numbers, and the weights have "
            f"{weights / 1e6:,.1f} MB",
            hint="config.json and model.safetensors do not belong together.",
            file=file,
        )


def _activation(
    config: Mapping[str, Any], labels: tuple[str, ...], *, several: bool, file: str
) -> tuple[Activation, list[str]]:
    """Return the activation, and what a user should know of how it was found."""
    problem, function = config.get("problem_type"), config.get("function_to_apply")
    if problem == "regression" or (problem is None and function == "none"):
        raise BundleError(
            "this is a regression, and nothing says on which scale",
            hint=f"ottenok reads regressions that have an {MANIFEST}.",
            file=file,
            key="problem_type",
        )
    if problem is not None:
        if problem not in _BY_PROBLEM:
            raise BundleError(f"found {problem!r}, expected {' or '.join(_BY_PROBLEM)}", file=file, key="problem_type")
        return _BY_PROBLEM[problem], []
    if several:
        return "sigmoid", ["config.json names no problem_type; its architecture is for several labels (sigmoid)."]
    if function == "sigmoid":
        return "sigmoid", ["config.json names no problem_type; its function_to_apply holds."]
    if len(labels) == 1:
        return "sigmoid", ["config.json names no problem_type; one label means sigmoid."]
    note = f"config.json names no problem_type; {len(labels)} labels are taken to exclude each other (softmax)."
    return "softmax", [note]


def tokenizer_text(folder: Path) -> str:
    """Return the `tokenizer.json` of another tool's folder, with what `tokenizer_config.json` says of it.

    transformers obeys the settings of case, accents and Chinese characters for the tokenizers of BERT's family, and
    the first blank for those of bytes; for others `tokenizer.json` alone counts.

    Raises:
        BundleError: A file is no JSON, or they disagree in a way that can't be obeyed.
    """
    tree = read_json(folder / TOKENIZER)
    settings = folder / TOKENIZER_CONFIG
    asked = read_json(settings) if settings.is_file() else {}
    name, model = str(asked.get("tokenizer_class")), tree.get("model")
    if _BERT_TOKENIZER.fullmatch(name) and isinstance(model, dict) and model.get("type") in {"WordPiece", None}:
        tree["normalizer"] = {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": asked.get("tokenize_chinese_chars", True) is not False,
            "strip_accents": asked.get("strip_accents"),
            "lowercase": asked.get("do_lower_case", True) is not False,
        }
    parts = tree.get("pre_tokenizer")
    if _BYTE_TOKENIZER.fullmatch(name) and isinstance(parts, dict) and parts.get("type") == "ByteLevel":
        parts["add_prefix_space"] = asked.get("add_prefix_space", False) is True
    listed, told = tree.get("added_tokens"), asked.get("added_tokens_decoder")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    known = {token.get("content"): token.get("id") for token in listed or [] if isinstance(token, dict)}
    for number, token in told.items() if isinstance(told, dict) else ():
        word = token.get("content") if isinstance(token, dict) else token
        there = known.get(word, vocabulary.get(word) if isinstance(vocabulary, dict) else None)
        if there is None and isinstance(vocabulary, list) and str(number).isdigit() and int(number) < len(vocabulary):
            there = int(number) if vocabulary[int(number)][:1] == [word] else None
        if str(there) != str(number):
            raise BundleError(
                f"the token {word!r} has the number {number}, and {there or 'none'} in {TOKENIZER}",
                hint="The two files are not of one tokenizer: save it again with transformers.",
                file=str(settings),
                key="added_tokens_decoder",
            )
    return json.dumps(tree, ensure_ascii=False)
