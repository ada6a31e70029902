"""Export to ONNX: the same logits as torch, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.bundle.folder import open_bundle
from ottenok.bundle.manifest import ONNX, WEIGHTS
from ottenok.core.errors import BundleError, ModelError
from ottenok.inference.api import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.train
pytest.importorskip("torch")


def torch_logits(folder: Path, texts: list[str]) -> Any:
    """Return torch's logits of padded batches, as transformers computes them."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    import ottenok.models  # noqa: F401 - registers the model type

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        return model(**batch).logits.numpy()


@pytest.mark.parametrize("pooling", ["first", "mean", "max", "attention", "cls+mean", "last", "pooler"])
def test_own_poolings_give_the_logits_of_torch(
    make_bundle: Callable[..., Path], sample_texts: Callable[[int], list[str]], pooling: str
) -> None:
    """Every pooling's graph gives torch's logits to 1e-4, whatever the company, and the manifest names it."""
    from ottenok.export.onnx import export

    folder, texts = make_bundle(pooling), sample_texts(40)
    expected = torch_logits(folder, texts)

    exported = export(folder)

    classifier = load(folder, precision="fp32")
    np.testing.assert_allclose(classifier.run(classifier.prepare(texts)), expected, atol=1e-4)
    assert exported.difference <= 1e-4
    assert exported.file == folder / ONNX
    assert ONNX in open_bundle(folder, full=True).manifest.files


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("bert", "single_label_classification"),
        ("xlm-roberta", "single_label_classification"),
        ("distilbert", "multi_label_classification"),
    ],
)
def test_models_of_others_are_converted_on_first_use(
    make_model: Callable[..., Path],
    sample_texts: Callable[[int], list[str]],
    tmp_path: Path,
    kind: str,
    problem: str,
) -> None:
    """A folder of transformers is converted once, into the cache; labels and their activation are the model's own."""
    labels = ["NEUTRAL", "POSITIVE", "NEGATIVE"]
    folder, cache = make_model(kind, labels, problem_type=problem), tmp_path / "cache"
    texts = sample_texts(40)

    classifier = load(folder, cache=cache)

    logits = torch_logits(folder, texts)
    assert classifier.scheme.labels == tuple(labels)
    np.testing.assert_allclose(classifier.run(classifier.prepare(texts)), logits, atol=1e-4)
    many = problem.startswith("multi")
    expected = 1 / (1 + np.exp(-logits)) if many else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(texts), expected, atol=1e-4)
    (converted,) = (cache / "converted").iterdir()
    stamp = (converted / ONNX).stat().st_mtime_ns
    assert load(folder, cache=cache)(texts) == classifier(texts)
    assert (converted / ONNX).stat().st_mtime_ns == stamp
    assert not (folder / "onnx").exists()


def test_the_cache_goes_by_content(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other weights in the same folder are another model, and are converted anew."""
    from ottenok.inference import places

    targets: list[Path] = []
    monkeypatch.setattr(
        places, "load_object", lambda *_, **__: lambda _folder, target, **_options: targets.append(target)
    )
    monkeypatch.setattr(places, "try_folder", lambda *_: None)  # nothing is written that could be tried
    folder = make_model("bert", ["a", "b"])

    for byte in b"\0\0\1":
        data = bytearray((folder / WEIGHTS).read_bytes())
        data[-1] = byte
        (folder / WEIGHTS).write_bytes(bytes(data))
        places.find_folder(folder, cache=tmp_path / "cache", progress=None)

    assert targets[0] == targets[1] != targets[2]


def test_a_graph_that_differs_is_refused(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """If a graph's logits are not torch's, no graph is written."""
    from ottenok.export import onnx

    folder = make_bundle()
    monkeypatch.setattr(onnx, "_write", lambda _model, file: write_zeros(file))

    with pytest.raises(ModelError, match="differ from torch's"):
        onnx.export(folder)

    assert not list((folder / "onnx").iterdir())


def write_zeros(file: Path) -> None:
    """Write a graph that always gives three zeros."""
    import onnx

    helper, types = onnx.helper, onnx.TensorProto
    inputs = [helper.make_tensor_value_info(n, types.INT64, ["b", "n"]) for n in ("input_ids", "attention_mask")]
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["wide"], to=types.FLOAT),
        helper.make_node("ReduceSum", ["wide", "axis"], ["total"], keepdims=1),
        helper.make_node("Mul", ["total", "zeros"], ["logits"]),
    ]
    constants = {"axis": np.array([1]), "zeros": np.zeros((1, 3), np.float32)}
    graph = helper.make_graph(
        nodes,
        "zeros",
        inputs,
        [helper.make_tensor_value_info("logits", types.FLOAT, ["b", 3])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(file))


def test_weights_that_do_not_fit_are_refused(make_model: Callable[..., Path], tmp_path: Path) -> None:
    """A model whose weights are missing or damaged gives our error, and leaves nothing in the cache."""
    folder = make_model("bert", ["a", "b"])
    (folder / WEIGHTS).write_bytes(b"\0" * 100)

    with pytest.raises((ModelError, BundleError)):
        load(folder, cache=tmp_path / "cache")

    assert not list((tmp_path / "cache" / "converted").iterdir())
