"""Small bundle folders, made in code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.bundle.folder import write_manifest
from ottenok.bundle.manifest import BundleManifest, LicenceFacts, SchemeFacts, TaskFacts
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.task import task_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "max_position_embeddings": 512,
    "id2label": {"0": "negative", "1": "neutral", "2": "positive"},
}


def _make_folder(folder: Path, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a folder as transformers would; a change to None removes a key of the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    tree = {**(CONFIG if config is None else config), **changes}
    tree = {key: value for key, value in tree.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def _make_manifest(**changes: Any) -> BundleManifest:
    """Return a small manifest of a sentiment model, or of another task."""
    task = {
        "scheme": SchemeFacts.of(load_scheme("sentiment-3")),
        "problem_type": "multi-class",
        "decision": Decision(activation="softmax", temperature=1.25),
    }
    task |= {key: changes.pop(key) for key in list(changes) if key in task}
    facts = {
        "name": "small",
        "tasks": (TaskFacts(name=task_name(task["scheme"].name), **task),),
        "languages": ("ru", "zh"),
        "max_length": 128,
        "licence": LicenceFacts(id="MIT", commercial=True, statement="of the encoder"),
    }
    return BundleManifest(**{**facts, **changes})


@pytest.fixture
def make_folder() -> Callable[..., Path]:
    """Return the function that writes a folder as transformers would."""
    return _make_folder


@pytest.fixture
def make_manifest() -> Callable[..., BundleManifest]:
    """Return the function that makes a small manifest."""
    return _make_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a whole bundle folder that ottenok wrote."""
    made = _make_folder(tmp_path / "small")
    (made / "onnx").mkdir()
    (made / "onnx" / "model_quantized.onnx").write_bytes(b"graph")
    write_manifest(made, _make_manifest())
    return made
