"""What tests build on: classifiers without a model, tiny manifests, graphs and tokenizers made in code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from ottenok.bundle.folder import write_manifest
from ottenok.bundle.manifest import (
    CONFIG,
    ONNX,
    TOKENIZER,
    BundleManifest,
    LicenceFacts,
    SchemeFacts,
    TaskFacts,
    WindowRule,
    output_name,
)
from ottenok.core.files import atomic_write_text
from ottenok.core.schemes import load_scheme
from ottenok.inference.classifier import Classifier
from ottenok.inference.tokens import Tokeniser
from ottenok.inference.trial import remember
from ottenok.tasks.decision import Decision

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.inference.engine import Backend
    from ottenok.inference.tokens import TokenBatch

VOCABULARY = 300
# A multiplicative hash of 64 bits (Knuth's golden ratio); its top 24 bits become a number.
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(29)
_TOP = np.uint64(40)


class FakeBackend:
    """Logits that are a fixed function of a row's tokens and their order, between -4 and 4.

    Args:
        outputs: Logits per row.
    """

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs

    @property
    def name(self) -> str:
        """Always `fake`."""
        return "fake"

    @property
    def identity(self) -> str:
        """Always `fake`."""
        return "fake"

    @property
    def outputs(self) -> int:
        """Logits per row."""
        return self._outputs

    def run(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, outputs]`."""
        state = np.tile(np.arange(self._outputs, dtype=np.uint64), (len(batch.ids), 1))
        for column in batch.ids.T.astype(np.uint64):
            state = (state ^ column[:, None]) * _MIX
            state = state ^ np.right_shift(state, _HALF)
        shares = np.right_shift(state, _TOP).astype(np.float32) / np.float32(1 << 24)
        logits: npt.NDArray[np.float32] = (shares - np.float32(0.5)) * np.float32(8.0)
        return logits

    def embed(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, outputs]`: the logits, as if nothing came between."""
        return self.run(batch)


def tiny_manifest(*schemes: str | SchemeFacts, max_length: int = 32, **fields: Any) -> BundleManifest:
    """Return the manifest of a model that never was.

    Args:
        schemes: Names of label schemes, or their facts; a task for each.
        max_length: Most tokens of a window, special ones included.
        fields: More fields of the manifest; `decision` is that of the first task.
    """
    decision = fields.pop("decision", None)
    tasks = []
    for number, scheme in enumerate(schemes):
        facts = SchemeFacts.of(load_scheme(scheme)) if isinstance(scheme, str) else scheme
        several = facts.kind == "multi-label"
        usual = Decision(activation="sigmoid" if several else "softmax")
        tasks.append(
            TaskFacts(
                name=facts.name,
                scheme=facts,
                problem_type="multi-label" if several else "multi-class",
                decision=usual if number or decision is None else decision,
                output=output_name(facts.name, first=number == 0),
            )
        )
    usual_fields = {
        "name": "tiny",
        "window": WindowRule(overlap=max_length // 4),
        "licence": LicenceFacts(id="Apache-2.0", commercial=True),
    }
    return BundleManifest(tasks=tuple(tasks), max_length=max_length, **{**usual_fields, **fields})


def fake_classifier(
    *schemes: str | SchemeFacts,
    max_length: int = 64,
    max_windows: int | None = None,
    read: Literal["all", "end"] = "all",
    backend: Backend | None = None,
    workers: int = 1,
    **fields: Any,
) -> Classifier:
    """Return a classifier whose answers mean nothing: each byte is a token, and the logits are fake.

    Args:
        schemes: Names of label schemes, or their facts; a task for each. Without any: `sentiment-3`.
        max_length: Most tokens of a window, special ones included.
        max_windows: Most windows of a text that are read; None: all.
        read: `all` of a long text, or its `end` alone.
        backend: What gives the logits; None: a `FakeBackend`.
        workers: Batches at once.
        fields: More fields of the manifest; `combine` is that of its window.
    """
    window = WindowRule(read=read, overlap=max_length // 4, combine=fields.pop("combine", "mean-logits"))
    manifest = tiny_manifest(
        *(schemes or ("sentiment-3",)), max_length=max_length, **{"name": "fake", "window": window, **fields}
    )
    tokeniser = Tokeniser(
        character_tokenizer(),
        max_length=max_length,
        overlap=manifest.window.overlap,
        max_windows=max_windows,
        read_end=read == "end",
    )
    backend = backend or FakeBackend(sum(task.outputs for task in manifest.task_list()))
    return Classifier(manifest=manifest, tokeniser=tokeniser, backend=backend, workers=workers, batch_tokens=256)


def character_tokenizer() -> Tokenizer:
    """Return a tokenizer whose tokens are the bytes of a text, between a first and a last token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1, **{byte: number for number, byte in enumerate(alphabet, start=2)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


def write_graph(
    file: Path,
    outputs: dict[str, int],
    *,
    extra_input: str | None = None,
    width: int = 16,
    vocabulary: int = VOCABULARY,
) -> None:
    """Write a graph: the mean of the tokens' vectors, a layer, and a matrix for each output."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    random = np.random.default_rng(3)
    table = random.normal(size=(vocabulary, width)).astype(np.float32)
    heads = {name: random.normal(size=(width, count)).astype(np.float32) for name, count in outputs.items()}
    layer = (random.normal(size=(width, width)) / np.sqrt(width)).astype(np.float32)
    names = ["input_ids", "attention_mask", *([extra_input] if extra_input else [])]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=types.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["vectors", "wide"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "first"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["wide", "first"], ["count"], keepdims=0),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "layer"], ["inner"]),
        *(helper.make_node("MatMul", ["inner", f"head of {name}"], [name]) for name in outputs),
    ]
    constants = {
        "table": table,
        "layer": layer,
        **{f"head of {name}": head for name, head in heads.items()},
        "last": np.array([-1]),
        "first": np.array([1]),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, types.INT64, ["batch", "length"]) for name in names],
        [helper.make_tensor_value_info(name, types.FLOAT, ["batch", count]) for name, count in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(file))


def write_bundle(folder: Path, manifest: BundleManifest, **sizes: int) -> Path:
    """Write a bundle of a tiny graph for a manifest's tasks, as if it had been exported here."""
    write_graph(folder / ONNX, {facts.output: facts.task().outputs for facts in manifest.tasks}, **sizes)
    character_tokenizer().save(str(folder / TOKENIZER))
    write_manifest(folder, manifest)
    remember(folder)
    return folder


def write_config(folder: Path, labels: list[str], **fields: object) -> None:
    """Write the configuration of a sequence classifier, as transformers would."""
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "max_position_embeddings": 64,
        **fields,
    }
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / CONFIG, json.dumps(config))
