"""Strangers' folders whose graph or tokenizer means harm, or is broken: refused in bounded time and memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.bundle.folder import read_manifest, write_manifest
from ottenok.bundle.manifest import ONNX, ONNX_INT8, TOKENIZER, SchemeFacts
from ottenok.core.errors import BundleError, ModelError
from ottenok.inference import trial
from ottenok.inference.api import load
from toys import tiny_manifest, write_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def graph_of(nodes: Callable[[Any], list[Any]], shape: list[Any], file: Path) -> None:
    """Write a graph from its nodes."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    inputs = [helper.make_tensor_value_info(n, types.INT64, ["b", "n"]) for n in ("input_ids", "attention_mask")]
    graph = helper.make_graph(
        nodes(helper),
        "strange",
        inputs,
        [helper.make_tensor_value_info("logits", types.FLOAT, shape)],
        [
            onnx.numpy_helper.from_array(np.array(2**62), "most"),
            onnx.numpy_helper.from_array(np.array(True), "yes"),
            onnx.numpy_helper.from_array(np.zeros((1, 2), np.float32), "zeros"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(file))


def endless(helper: Any) -> list[Any]:
    """Return a loop of 2 to the 62 turns."""
    import onnx

    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Add", ["so_far", "so_far"], ["more"]),
        ],
        "body",
        [
            value("turn", onnx.TensorProto.INT64, []),
            value("go", onnx.TensorProto.BOOL, []),
            value("so_far", onnx.TensorProto.FLOAT, [1, 2]),
        ],
        [value("still", onnx.TensorProto.BOOL, []), value("more", onnx.TensorProto.FLOAT, [1, 2])],
    )
    return [helper.make_node("Loop", ["most", "yes", "zeros"], ["logits"], body=body)]


def test_a_graph_without_an_end_is_given_up(make_foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first load gives it a minute and says so; here a few seconds."""
    monkeypatch.setattr(trial, "_SECONDS", 3)
    folder = make_foreign(["a", "b"])
    graph_of(endless, ["b", 2], folder / ONNX)

    with pytest.raises(ModelError, match="did not read a few texts in 3 seconds"):
        load(folder)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_folder_that_looks_like_ours_is_tried_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    """Anybody can write a manifest with the right checksums; every graph of a folder is tried."""
    monkeypatch.setattr(trial, "_SECONDS", 3)
    folder = write_bundle(tmp_path, tiny_manifest(SchemeFacts(name="custom", kind="multi-class", labels=("a", "b"))))
    harmful = ONNX if precision == "fp32" else ONNX_INT8
    (folder / ONNX_INT8).write_bytes((folder / ONNX).read_bytes())
    graph_of(endless, ["b", 2], folder / harmful)
    write_manifest(folder, read_manifest(folder))

    with pytest.raises(ModelError, match="seconds"):
        load(folder, precision=precision)


def test_an_output_of_three_dimensions_is_refused(make_foreign: Callable[..., Path]) -> None:
    """Logits are texts by labels; per token, or of another number, they are another model's."""
    folder = make_foreign(["a", "b"])
    graph_of(
        lambda helper: [
            helper.make_node("Constant", [], ["last"], value_ints=[-1]),
            helper.make_node("Cast", ["input_ids"], ["numbers"], to=1),
            helper.make_node("Unsqueeze", ["numbers", "last"], ["deep"]),
            helper.make_node("Mul", ["deep", "zeros"], ["logits"]),
        ],
        ["b", "n", 2],
        folder / ONNX,
    )

    with pytest.raises(ModelError, match="'logits' is b x n x 2, expected texts x 2"):
        load(folder)


def tokenizer_with(folder: Path, **fields: object) -> None:
    """Change the tokenizer's file."""
    tree = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    (folder / TOKENIZER).write_text(json.dumps({**tree, **fields}), encoding="utf-8")


def test_a_tokenizer_that_grows_texts_is_refused(make_foreign: Callable[..., Path]) -> None:
    """One that makes a million letters out of each is stopped by its tokens or by the memory that it is given."""
    folder = make_foreign(["a", "b"])
    tokenizer_with(folder, normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 1_000_000})

    with pytest.raises(ModelError, match=r"GB of memory|tokens out of"):
        load(folder)


def test_a_tokenizer_of_too_many_tokens_is_refused(make_foreign: Callable[..., Path]) -> None:
    """A hundred tokens for a letter are no reading."""
    folder = make_foreign(["a", "b"])
    tokenizer_with(folder, normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 100})

    with pytest.raises(ModelError, match="tokens out of 2,000 characters"):
        load(folder)


def test_a_pattern_that_searches_for_ever_is_given_up(
    make_foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern with nested repeats takes exponential time on a row of equal letters."""
    monkeypatch.setattr(trial, "_SECONDS", 3)
    folder = make_foreign(["a", "b"])
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$|(a|aa)+b"}, "behavior": "Isolated", "invert": False}
    tokenizer_with(folder, pre_tokenizer={"type": "Sequence", "pretokenizers": [split]})

    with pytest.raises((ModelError, BundleError)):
        load(folder)


def test_what_passed_is_not_tried_again(make_foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is tried once; when a file of it changes, again."""
    folder = make_foreign(["a", "b"])
    load(folder)
    monkeypatch.setattr(trial, "_SECONDS", 0.0)

    load(folder)
    tokenizer_with(folder)

    with pytest.raises(ModelError, match="seconds"):
        load(folder)
