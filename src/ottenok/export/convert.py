"""Sequence classifiers of other people, as folders that prediction reads without torch."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

from ottenok.bundle.folder import open_bundle
from ottenok.bundle.manifest import CONFIG, ONNX, TOKENIZER
from ottenok.core.progress import SILENT
from ottenok.export.onnx import export_graph
from ottenok.models.folder import load_saved_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.core.progress import Progress

__all__ = ["convert"]

_COPIED = (CONFIG, "tokenizer_config.json")


def convert(folder: Path, target: Path, *, progress: Progress = SILENT) -> None:
    """Write a model's graph, tokenizer and configuration into a folder of their own, whole or not at all.

    Args:
        folder: Holds `config.json`, safetensors weights and the files of a tokenizer.
        target: The new folder.
        progress: Hears of the stages.

    Raises:
        BundleError: The folder holds no sequence classifier.
        ModelError: The model or the tokenizer can't be opened or converted, or its graph gives other logits.
    """
    part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    part.mkdir(parents=True)
    try:
        _write(folder, part, progress)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(folder: Path, part: Path, progress: Progress) -> None:
    for name in _COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, part / name)
    if (folder / TOKENIZER).is_file():
        shutil.copyfile(folder / TOKENIZER, part / TOKENIZER)
    else:
        load_saved_tokenizer(folder).backend_tokenizer.save(str(part / TOKENIZER))
    # A file in the graph's place lets the bundle's checks run before the long work.
    (part / ONNX).parent.mkdir()
    (part / ONNX).touch()
    manifest = open_bundle(part).manifest
    export_graph(folder, part / ONNX, max_length=manifest.max_length, progress=progress)
