"""Embeddings: what a classifier's last linear layer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ottenok
from ottenok.bundle.manifest import ONNX
from ottenok.core.errors import InputError, ModelError
from ottenok.inference.embedding import with_embedding
from ottenok.inference.engine import OnnxBackend
from ottenok.inference.tokens import TokenBatch
from toys import fake_classifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = ["Отличный фильм!", "房间又小又脏。", "", "слово " * 60]


def _graph(file: Path, nodes: list[Any], constants: dict[str, np.ndarray]) -> Path:
    """Write a graph from `input_ids` to `logits`."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], domain=domain) for kind, inputs, output, domain in nodes],
        "g",
        [helper.make_tensor_value_info("input_ids", types.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", types.FLOAT, ["batch", None])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), str(file))
    return file


def test_the_last_layer_makes_the_logits_of_the_embeddings(tiny_bundle: Path) -> None:
    """The graph's own last matrix turns embeddings into the logits, long texts and empty ones included."""
    onnx = pytest.importorskip("onnx")
    classifier = ottenok.load(tiny_bundle)
    constants = onnx.load(str(tiny_bundle / ONNX)).graph.initializer
    head = next(onnx.numpy_helper.to_array(one) for one in constants if one.name == "head of logits")

    vectors = classifier.embed(TEXTS)

    assert vectors.shape == (4, 16)
    assert vectors.dtype == np.float32
    assert not vectors[2].any()
    np.testing.assert_allclose(vectors @ head, classifier.logits(TEXTS), atol=1e-5)


def test_logits_give_the_probabilities(make_bundle: Callable[..., Path]) -> None:
    """The logits of each task under its own activation are its probabilities."""
    classifier = ottenok.load(make_bundle("sentiment-3", "emotions-7"))
    for task in classifier.tasks:
        probabilities = task.probabilities(classifier.logits(TEXTS, task=task.name))
        probabilities[2] = 0  # nothing to read

        np.testing.assert_allclose(probabilities, classifier.predict_proba(TEXTS, task=task.name), atol=1e-6)


def test_embeddings_are_the_texts_own() -> None:
    """Order, company, threads and the form of a column change nothing; a missing text is zeros, a number an error."""
    one, several = fake_classifier(), fake_classifier(workers=3)
    texts = [f"текст {number} " * (number % 7 + 1) for number in range(40)]

    vectors = one.embed(texts)

    np.testing.assert_array_equal(vectors[::-1], several.embed(iter(texts[::-1])))
    np.testing.assert_array_equal(vectors[:1], one.embed(texts[0]))
    assert not one.embed([None]).any()
    assert one.embed([]).shape == (0, 3)
    with pytest.raises(InputError, match="expected a text, found int 5"):
        one.embed(["а", 5])  # type: ignore[list-item]


def test_the_embedded_model_has_embeddings() -> None:
    """The classifier that ottenok ships gives one vector for all its tasks, and like texts have like ones."""
    good, better, bad = ottenok.load().embed(["Отличный фильм!", "Прекрасное кино!", "房间又小又脏。"])

    assert len(good) >= 128
    assert np.linalg.norm(good - better) < np.linalg.norm(good - bad)


def test_a_layer_behind_rounding_gives_what_was_rounded(tmp_path: Path) -> None:
    """Of an int8 layer, ours or onnxruntime's, the embedding is the vector before it was rounded."""
    random = np.random.default_rng(0)
    table = random.normal(size=(9, 8)).astype(np.float32)
    constants = {
        "table": table,
        "first": np.array([1]),
        "weights": random.integers(-99, 99, size=(8, 3)).astype(np.int8),
        "one": np.float32(1),
        "scales": np.full(3, 0.01, np.float32),
        "last": np.array([-1]),
        "middle": np.uint8(128),
    }
    nodes = [
        ("Gather", ["table", "input_ids"], "vectors", ""),
        ("ReduceSum", ["vectors", "first"], "pooled", ""),
        ("Squeeze", ["pooled", "first"], "flat", ""),
        ("Abs", ["flat"], "size", ""),
        ("ReduceMax", ["size", "last"], "largest", ""),
        ("Div", ["flat", "largest"], "small", ""),
        ("QuantizeLinear", ["small", "one", "middle"], "steps", ""),
        ("MatMulIntegerToFloat", ["steps", "weights", "one", "scales", "middle"], "product", "com.microsoft"),
        ("Mul", ["product", "largest"], "logits", ""),
    ]
    backend = OnnxBackend(_graph(tmp_path / "int8.onnx", nodes, constants), {"logits": 3})
    batch = TokenBatch(ids=np.array([[1, 2], [3, 4]]), rows=np.arange(2))

    np.testing.assert_allclose(backend.embed(batch), table[batch.ids].sum(axis=1), atol=1e-5)


def test_a_layer_over_every_token_gives_the_last(tmp_path: Path) -> None:
    """Of a decoder, whose layer reads all tokens, the embedding is the last token's."""
    table = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    nodes = [
        ("Gather", ["table", "input_ids"], "vectors", ""),
        ("MatMul", ["vectors", "head"], "every", ""),
        ("Slice", ["every", "start", "stop", "axis"], "cut", ""),
        ("Squeeze", ["cut", "axis"], "logits", ""),
    ]
    places = {"start": np.array([-1]), "stop": np.array([2**31]), "axis": np.array([1])}
    constants = {"table": table, "head": table[:8, :2].copy(), **places}
    backend = OnnxBackend(_graph(tmp_path / "decoder.onnx", nodes, constants), {"logits": 2})
    batch = TokenBatch(ids=np.array([[1, 2, 3]]), rows=np.arange(1))

    np.testing.assert_array_equal(backend.embed(batch), table[[3]])


def test_what_has_no_layer_is_refused(tmp_path: Path) -> None:
    """A graph that looks its logits up has nothing to take embeddings from, and the error says so with the file."""
    constants = {"table": np.ones((9, 3), np.float32), "axis": np.array([1])}
    nodes = [
        ("Gather", ["table", "input_ids"], "rows", ""),
        ("ReduceSum", ["rows", "axis"], "sum", ""),
        ("Squeeze", ["sum", "axis"], "logits", ""),
    ]
    file = _graph(tmp_path / "table.onnx", nodes, constants)
    batch = TokenBatch(ids=np.array([[1, 2]]), rows=np.arange(1))

    with pytest.raises(ModelError, match="no linear layer makes the output 'logits'") as caught:
        OnnxBackend(file, {"logits": 3}).embed(batch)

    assert caught.value.file == str(file)


@settings(deadline=None)
@given(noise=st.binary(max_size=60), cut=st.integers(0, 3000))
def test_damaged_graphs_are_errors(tiny_bundle: Path, noise: bytes, cut: int) -> None:
    """Of any bytes, and of a graph cut anywhere, there is an answer or an error of ours."""
    for graph in (noise, (tiny_bundle / ONNX).read_bytes()[-cut:], (tiny_bundle / ONNX).read_bytes()[:cut] + noise):
        try:
            _, name = with_embedding(graph, "logits")
        except ModelError:
            continue
        assert name
