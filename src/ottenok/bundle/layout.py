"""Names of the files of a bundle, and which names are safe.

A bundle is a folder that other tools open too:

    config.json                   transformers' configuration: id2label, problem_type, architecture
    model.safetensors             the weights
    tokenizer.json                the tokenizer, whole
    onnx/model.onnx               the graph, fp32
    onnx/model_quantized.onnx     the graph, int8
    ottenok.json                  the manifest (see `ottenok.bundle.manifest`)
    README.md                     the model card

A bundle for prediction alone needs the tokenizer, one graph and the manifest. Pickles are never read nor written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ottenok.core.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CARD",
    "CONFIG",
    "MANIFEST",
    "ONNX",
    "ONNX_INT8",
    "TOKENIZER",
    "WEIGHTS",
    "is_safe",
    "listed_files",
    "pickles",
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
ONNX = "onnx/model.onnx"
ONNX_INT8 = "onnx/model_quantized.onnx"
MANIFEST = "ottenok.json"
CARD = "README.md"

_FOLDERS = ("onnx",)
# What transformers and tokenizers write beside the three above. Whatever else lies at the folder's top (a run's state,
# logs, a user's notes) is no part of the bundle.
_TOP = frozenset(
    {
        CONFIG,
        WEIGHTS,
        TOKENIZER,
        "model.safetensors.index.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "spiece.model",
        "spm.model",
    }
)
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".npy", ".npz"})
# Plain relative paths with forward slashes: no absolute ones, no `..`, no drives, no hidden files.
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")


def is_safe(name: str) -> bool:
    """Say whether a manifest may name this file: a plain relative path inside the folder."""
    return len(name) <= 200 and _SAFE.fullmatch(name) is not None


def listed_files(folder: Path) -> tuple[str, ...]:
    """Return the files that belong to a bundle, as relative names, sorted.

    The manifest itself and the card (which people may edit) are not among them, nor is anything that training leaves
    in other folders.

    Raises:
        BundleError: A file's name is unsafe, or a pickle lies beside the weights.
    """
    if found := pickles(folder):
        raise BundleError(f"found {found[0]}, a format that runs code when it is read", file=str(folder))
    own = [path for path in folder.iterdir() if path.name in _TOP or _SHARD.fullmatch(path.name)]
    below = [path for name in _FOLDERS if (folder / name).is_dir() for path in (folder / name).rglob("*")]
    files = [path for path in (*own, *below) if path.is_file() and not path.name.startswith(".")]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    for name in names:
        if not is_safe(name):
            raise BundleError(f"the file name {name!r} can't be in a bundle", hint="Use plain Latin names.")
    return tuple(names)


def pickles(folder: Path) -> tuple[str, ...]:
    """Return the names of files at the folder's top whose formats can hold pickled objects, sorted."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES))
