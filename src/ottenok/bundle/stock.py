"""What tools that know no ottenok read beside a graph: the encoder's own `config.json`, and `tokenizer_config.json`.

Where the weights are the architecture's own classifier, the folder's `config.json` is stock already. A classifier of
ottenok's own kind (also one whose weights are saved as another class of transformers: `ottenok.models.stock`) keeps its
`config.json` beside torch's weights, and gets a second, stock one beside its graphs, in `onnx/`: together with the
tokenizer that makes `onnx/` a whole folder for optimum and transformers.js. A folder without torch's weights needs no
other than the stock one.
"""

from __future__ import annotations

import json
import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ottenok.bundle.manifest import CONFIG, ONNX, ONNX_INT8, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS, read_json
from ottenok.core.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ottenok.bundle.folder import Bundle

__all__ = ["OWN_MODEL_TYPE", "library_name", "opened_by", "own_config", "takes_single_texts", "write_stock"]

# The `model_type` of ottenok's own classifiers in their `config.json`. transformers puts it into its error where
# nothing has registered it, and so says what is missing. Folders written before have the bare word.
OWN_MODEL_TYPE = "ottenok (first: import ottenok.models)"

# The encoders that transformers.js knows, by `model_type`, with the names that their classes begin with; those of
# others are spelt by their type.
_CLASSES = MappingProxyType(
    {
        "albert": "Albert",
        "bert": "Bert",
        "camembert": "Camembert",
        "convbert": "ConvBert",
        "deberta": "Deberta",
        "deberta-v2": "DebertaV2",
        "distilbert": "DistilBert",
        "electra": "Electra",
        "eurobert": "EuroBert",
        "modernbert": "ModernBert",
        "mpnet": "MPNet",
        "roberta": "Roberta",
        "roformer": "RoFormer",
        "xlm": "XLM",
        "xlm-roberta": "XLMRoberta",
    }
)
# The special tokens of the families, by their part in `tokenizer_config.json`.
_SPECIAL = MappingProxyType(
    {
        "pad_token": ("<pad>", "[PAD]"),
        "unk_token": ("<unk>", "[UNK]"),
        "cls_token": ("<s>", "[CLS]"),
        "sep_token": ("</s>", "[SEP]"),
        "mask_token": ("<mask>", "[MASK]"),
    }
)
# transformers reads under `transformers_weights` which file has the weights, and puts what is no such file into its
# error: the one place for a word to whoever opens a folder of graphs by torch.
_NO_WEIGHTS = "none, for this folder has an ONNX graph alone. pip install ottenok, then ottenok.load(FOLDER)"
# Of `config.json`, for all tasks of one text classifier.
_LABELS = ("id2label", "label2id", "problem_type", "function_to_apply")


def own_config(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a `config.json` says of a classifier of ottenok's own kind; None if it is of another.

    The whole file, or what it has under `ottenok` where the weights are saved as one of transformers' classes.
    """
    if str(config.get("model_type", "")).split(" ")[0] == "ottenok":
        return config
    inner = config.get("ottenok")
    return inner if isinstance(inner, dict) else None


def opened_by(bundle: Bundle) -> dict[str, str]:
    """Return which tools open a bundle, each with the line that does it; `FOLDER` stands for its place.

    ottenok, transformers (PyTorch), transformers.js (JavaScript), optimum and ONNX Runtime alone, as far as they do.
    The same probabilities as ottenok's are meant, of a text that fits one window and needs no normalising.
    """
    weights = bundle.has(WEIGHTS)
    config = read_json(bundle.folder / CONFIG) if (bundle.folder / CONFIG).is_file() else {}
    own = own_config(config)
    encoder = config if own is None else own.get("encoder") or {}
    graphs = [name for name in (ONNX_INT8, ONNX) if bundle.has(name)]
    place = "FOLDER" if own is None else "FOLDER/onnx"
    found = {"ottenok": 'ottenok.load("FOLDER")'} if graphs else {}
    if weights:
        line = 'pipeline("text-classification", model="FOLDER")'
        found["transformers"] = f"import ottenok.models; {line}" if own is config else line
    if graphs and config:
        options = ", { subfolder: '' }" if own is not None else ""
        if encoder.get("model_type") in _CLASSES:
            found["transformers.js"] = f"await pipeline('text-classification', '{place}'{options})"
        below = ', subfolder="onnx"' if own is None else ""
        file = graphs[0].removeprefix("onnx/")
        found["optimum"] = f'ORTModelForSequenceClassification.from_pretrained("{place}"{below}, file_name="{file}")'
    if graphs:
        found["ONNX Runtime"] = f'onnxruntime.InferenceSession("FOLDER/{graphs[0]}")'
    return found


def takes_single_texts(bundle: Bundle) -> bool:
    """Say whether torch's weights are saved as a class that counts padding, and is right of texts without it alone."""
    config = read_json(bundle.folder / CONFIG)
    return config.get("model_type") == "xlm" and own_config(config) is not None


def library_name(bundle: Bundle) -> str:
    """Return the hub's name for the library that a bundle is for: the one that opens it without another."""
    tools = opened_by(bundle)
    if "import" not in tools.get("transformers", "import"):
        return "transformers"
    return "ottenok" if "transformers" in tools else "transformers.js" if "transformers.js" in tools else "onnx"


def write_stock(folder: Path, *, max_length: int) -> None:
    """Write the stock files that a bundle's graphs need, if it has graphs and its `config.json` is not stock already.

    Args:
        folder: The bundle, whose other files are complete.
        max_length: Most tokens of a text: what `truncation=True` cuts to.

    Raises:
        BundleError: `config.json` or the tokenizer is no JSON.
    """
    graphs = [name for name in (ONNX, ONNX_INT8) if (folder / name).is_file()]
    if not graphs or not (folder / CONFIG).is_file() or not (folder / TOKENIZER).is_file():
        return
    light = not any(folder.glob(WEIGHTS.replace(".", "*.")))
    config = read_json(folder / CONFIG)
    own = own_config(config)
    if not light and own is None:
        return
    place = folder if light else (folder / ONNX).parent
    if own is not None:
        encoder = own.get("encoder") or {"model_type": "bert"}
        name = _CLASSES.get(encoder["model_type"], "".join(map(str.title, encoder["model_type"].split("-"))))
        config = {
            **{key: value for key, value in encoder.items() if key != "tokenizer_class"},
            "architectures": [f"{name}ForSequenceClassification"],
            **{key: own[key] for key in _LABELS if key in own},
        }
    if ONNX_INT8 in graphs:
        # Which graph transformers.js takes where it is not told: the one that `ottenok.load` takes.
        config["transformers.js_config"] = {"dtype": "q8"}
    config["transformers_weights"] = _NO_WEIGHTS
    _write(place / CONFIG, config)
    _write(place / TOKENIZER_CONFIG, _tokenizer_config(folder, max_length, config.get("pad_token_id")))
    if place != folder:
        shutil.copyfile(folder / TOKENIZER, place / TOKENIZER)


def _tokenizer_config(folder: Path, max_length: int, padding: object) -> dict[str, Any]:
    """Return what says that `tokenizer.json` holds as it stands, and which its special tokens are."""
    known = read_json(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).is_file() else {}
    added = {
        token["content"]: token["id"]
        for token in read_json(folder / TOKENIZER).get("added_tokens") or []
        if token.get("special")
    }
    by_number = next((name for name, number in added.items() if number == padding), None)
    special = {}
    for part, names in _SPECIAL.items():
        token = known.get(part)
        found = token.get("content") if isinstance(token, dict) else token
        usual = [by_number] if part == "pad_token" and by_number else [name for name in names if name in added]
        if found or usual:
            special[part] = found or usual[0]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        **special,
    }


def _write(file: Path, tree: Mapping[str, Any]) -> None:
    atomic_write_text(file, json.dumps(tree, ensure_ascii=False, indent=2) + "\n")
