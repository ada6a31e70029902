"""A trained model's files: written whole or not at all, and opened again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ottenok.core.errors import ModelError
from ottenok.models.classifier import register
from ottenok.models.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load", "load_saved_tokenizer", "save"]


def save(model: Any, tokenizer: Any, folder: Path, *, max_length: int) -> None:  # noqa: ANN401
    """Write `config.json`, `model.safetensors` and the tokenizer's files into a folder.

    Other files of the folder stay. Each file is renamed into place when all are complete.

    Args:
        model: A transformers model.
        tokenizer: Its fast tokenizer; what is saved cuts and pads nothing by itself.
        folder: Where to.
        max_length: Saved as the tokenizer's `model_max_length`, so that `truncation=True` means something everywhere.
    """
    part = folder / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with quiet():
        model.save_pretrained(part, max_shard_size="50GB")
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(part)
    for file in sorted(part.iterdir()):
        # Weights come out readable by their owner only; a model is as public as the rest of its folder.
        shutil.copymode(part / "config.json", file)
    for file in sorted(part.iterdir()):
        file.replace(folder / file.name)
    part.rmdir()


def load(folder: Path, *, attention: str | None = None) -> Any:  # noqa: ANN401 - one class per architecture
    """Open the model in a folder, in float32 and for evaluation.

    Raises:
        ModelError: It can't be opened.
    """
    register()
    try:
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(
                folder,
                dtype=torch.float32,
                attn_implementation=attention,
                use_safetensors=True,
                trust_remote_code=False,
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"this model can't be opened: {error}", file=str(folder)) from error
    return model.eval()


def load_saved_tokenizer(folder: Path) -> Any:  # noqa: ANN401 - one class per family
    """Open the tokenizer in a folder.

    Raises:
        ModelError: It can't be opened.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"this tokenizer can't be opened: {error}", file=str(folder)) from error
