"""Small bundles made in code: a graph of a few nodes, a tokenizer of a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ottenok.bundle.folder import write_manifest
from ottenok.bundle.manifest import CONFIG, ONNX, TOKENIZER
from ottenok.core.files import atomic_write_text
from ottenok.inference.fake import character_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.bundle.manifest import BundleManifest

VOCABULARY = 300


def write_graph(file: Path, outputs: int, *, extra_input: str | None = None) -> None:
    """Write a graph: the mean of the tokens' vectors, times a matrix."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    random = np.random.default_rng(3)
    table = random.normal(size=(VOCABULARY, 16)).astype(np.float32)
    head = random.normal(size=(16, outputs)).astype(np.float32)
    names = ["input_ids", "attention_mask", *([extra_input] if extra_input else [])]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=types.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["vectors", "wide"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "first"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["wide", "first"], ["count"], keepdims=0),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "head"], ["logits"]),
    ]
    constants = {"table": table, "head": head, "last": np.array([-1]), "first": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, types.INT64, ["batch", "length"]) for name in names],
        [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", outputs])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(file))


def write_bundle(folder: Path, manifest: BundleManifest) -> Path:
    """Write a bundle of a tiny graph for a manifest's scheme."""
    write_graph(folder / ONNX, len(manifest.scheme.labels))
    character_tokenizer().save(str(folder / TOKENIZER))
    write_manifest(folder, manifest)
    return folder


def write_config(folder: Path, labels: list[str], **fields: object) -> None:
    """Write the configuration of a sequence classifier, as transformers would."""
    import json

    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "max_position_embeddings": 64,
        **fields,
    }
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / CONFIG, json.dumps(config))


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_manifest: Callable[..., BundleManifest]) -> Path:
    """Return the folder of a tiny bundle for three sentiments."""
    return write_bundle(tmp_path_factory.mktemp("tiny"), tiny_manifest("sentiment-3"))


@pytest.fixture
def make_bundle(tmp_path: Path, tiny_manifest: Callable[..., BundleManifest]) -> Callable[[str], Path]:
    """Return a maker of tiny bundles for a scheme."""
    return lambda scheme: write_bundle(tmp_path / scheme, tiny_manifest(scheme))


@pytest.fixture
def make_foreign(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders as other tools write them: a configuration, a tokenizer and a graph."""

    def make(labels: list[str], *, extra_input: str | None = None, **fields: object) -> Path:
        folder = tmp_path / "foreign"
        write_config(folder, labels, **fields)
        write_graph(folder / ONNX, len(labels), extra_input=extra_input)
        character_tokenizer().save(str(folder / TOKENIZER))
        return folder

    return make
