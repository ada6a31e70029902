"""int8: smaller, the same labels, and no text sees its neighbours; or refused."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.bundle.folder import open_bundle, read_manifest, write_manifest
from ottenok.bundle.manifest import ONNX, ONNX_INT8
from ottenok.core.errors import DataError, ModelError
from ottenok.inference.api import load
from ottenok.inference.places import embedded_folder
from toys import tiny_manifest, write_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.inference.classifier import Classifier

pytestmark = pytest.mark.train
pytest.importorskip("torch")


@pytest.fixture
def copied(quantised: Any, tmp_path: Path) -> Path:
    """Return a copy of the bundle, to change."""
    return shutil.copytree(quantised.folder, tmp_path / "copy")


WORDS = st.lists(st.integers(0, 1100).map("w{}".format), max_size=70).map(" ".join)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_scores_do_not_depend_on_company(quantised: Any, precision: str) -> None:
    """To 1e-4, alone, among others and in another order, through attention and everything."""
    classifier: Classifier = getattr(quantised, precision)

    @given(texts=st.lists(WORDS, min_size=1, max_size=8))
    @settings(max_examples=40, deadline=None)
    def holds(texts: list[str]) -> None:
        together = classifier.predict_proba(texts)
        alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
        np.testing.assert_allclose(together, alone, atol=1e-4)
        np.testing.assert_allclose(classifier.predict_proba(texts[::-1])[::-1], alone, atol=1e-4)

    holds()


def test_int8_is_near_fp32_and_smaller(quantised: Any, sample_texts: Callable[[int], list[str]]) -> None:
    """Probabilities stay near, the graph is less than half as large, and the manifest lists it."""
    texts, folder = sample_texts(200), quantised.folder

    difference = np.abs(quantised.int8.predict_proba(texts) - quantised.fp32.predict_proba(texts))

    assert 0.0 < difference.max() < 0.1
    assert (folder / ONNX_INT8).stat().st_size < 0.5 * (folder / ONNX).stat().st_size
    assert ONNX_INT8 in open_bundle(folder, full=True).manifest.files


def test_too_many_changed_labels_are_refused(
    copied: Path, sample_texts: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that changes too many labels is not written, and an older one goes."""
    from ottenok.export import int8, quantise

    monkeypatch.setattr(int8, "_STEPS", 2)

    with pytest.raises(ModelError, match=r"by rows, only .* by blocks, only .* of the labels stay the same"):
        quantise.quantise(copied, texts=sample_texts(200))

    assert not (copied / ONNX_INT8).exists()
    assert ONNX_INT8 not in open_bundle(copied).manifest.files


def test_the_slower_method_comes_second(
    copied: Path, sample_texts: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where rows lose too much, blocks are tried; their graph is independent of company too."""
    from ottenok.export import int8, quantise

    monkeypatch.setattr(quantise, "LEAST_SAME", 0.9)
    replace = int8._Rows.replace
    monkeypatch.setattr(int8._Rows, "replace", lambda self, editor, node: replace(self, _Spoilt(editor), node))

    report = quantise.quantise(copied, texts=sample_texts(200))

    assert report.method == "blocks"
    assert report.tasks["sentiment-3"].batch_difference <= 1e-4
    assert load(copied).backend.name == "onnx int8"


class _Spoilt:
    """An editor of graphs whose constants are all zeros."""

    def __init__(self, editor: Any) -> None:
        self._editor = editor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._editor, name)

    def constant(self, name: str) -> Any:
        found = self._editor.constant(name)
        return None if found is None else np.zeros_like(found)


def test_lost_macro_f1_is_refused(
    quantised: Any, copied: Path, sample_texts: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured on true labels, a loss of macro F1 beyond the limit is refused."""
    from ottenok.export import quantise

    texts = sample_texts(200)
    labels = {"sentiment-3": [prediction.labels for prediction in quantised.fp32(texts)]}
    monkeypatch.setattr(quantise, "LEAST_SAME", 0.0)
    monkeypatch.setattr(quantise, "MOST_LOSS", -1.0)

    with pytest.raises(ModelError, match="macro F1 falls by"):
        quantise.quantise(copied, texts=texts, labels=labels)
    monkeypatch.setattr(quantise, "MOST_LOSS", 1.0)
    parity = quantise.quantise(copied, texts=texts, labels=labels).tasks["sentiment-3"]

    assert parity.macro_f1_fp32 == pytest.approx(1.0)
    assert parity.macro_f1 is not None
    assert parity.batch_difference <= 1e-4


def _two_tasks(folder: Path, *, spoilt: bool = False) -> Path:
    """Write a bundle of a hand-made graph with two tasks.

    Where it is spoilt, one number of each token is a thousand times the others, so that eight bits hold nothing else;
    only the emotions can do with that one.
    """
    onnx = pytest.importorskip("onnx")
    write_bundle(folder, tiny_manifest("sentiment-3", "emotions-7"), width=64, vocabulary=1200)
    if spoilt:
        graph = onnx.load(str(folder / ONNX))
        tensors = {entry.name: entry for entry in graph.graph.initializer}
        values = {name: onnx.numpy_helper.to_array(entry).copy() for name, entry in tensors.items()}
        values["table"][:, 0] *= 1000
        values["layer"][0, 32:] = 0
        values["head of logits"][:32] = 0
        values["head of logits_emotions_7"][32:] = 0
        for name, entry in tensors.items():
            entry.CopyFrom(onnx.numpy_helper.from_array(values[name], name))
        onnx.save(graph, str(folder / ONNX))
        write_manifest(folder, read_manifest(folder))
    return folder


def test_each_task_is_measured_by_itself(tmp_path: Path, sample_texts: Callable[[int], list[str]]) -> None:
    """A graph with two tasks is measured on each, on the rows that have a label for it, and both graphs have both."""
    from ottenok.export import quantise

    folder, texts = _two_tasks(tmp_path / "two"), sample_texts(200)
    exact = load(folder, precision="fp32")(texts)
    emotions = [answer.tasks["emotions-7"].labels for answer in exact]
    labels = {"emotions-7": [None if row % 2 else found for row, found in enumerate(emotions)]}

    found = quantise.quantise(folder, texts=texts, labels=labels).tasks

    assert list(found) == ["sentiment-3", "emotions-7"]
    assert found["sentiment-3"].macro_f1 is None
    assert found["emotions-7"].macro_f1_fp32 == pytest.approx(len(set().union(*emotions[::2])) / 7)
    assert min(parity.same for parity in found.values()) >= 0.98
    small = load(folder, precision="int8")
    assert list(small("w1").tasks) == ["sentiment-3", "emotions-7"]
    for task in ("sentiment-3", "emotions-7"):
        alone = np.concatenate([small.predict_proba([text], task=task) for text in texts[:20]])
        np.testing.assert_allclose(small.predict_proba(texts, task=task)[:20], alone, atol=1e-6)


def test_one_task_that_loses_too_much_refuses_the_graph(
    tmp_path: Path, sample_texts: Callable[[int], list[str]]
) -> None:
    """However good the others are; the message names the task."""
    from ottenok.export import quantise

    folder = _two_tasks(tmp_path / "two", spoilt=True)

    with pytest.raises(ModelError, match=r"by rows, sentiment-3: only .* by blocks, sentiment-3: only") as caught:
        quantise.quantise(folder, texts=sample_texts(200))

    assert "emotions-7" not in caught.value.message
    assert not (folder / ONNX_INT8).exists()


def test_few_texts_measure_nothing(make_bundle: Callable[..., Path]) -> None:
    """Under a hundred texts are refused."""
    from ottenok.export.quantise import quantise

    with pytest.raises(DataError, match="found 3 validation texts"):
        quantise(make_bundle(), texts=["a", "b", "c"])


@pytest.mark.parametrize("method", ["rows", "blocks"])
@pytest.mark.parametrize(("rows", "columns"), [(96, 80), (312, 64)])
def test_products_behind_gelu_are_near_the_plain_ones(method: str, rows: int, columns: int) -> None:
    """Quantised, a product is the plain one up to the rounding of both factors; also 312 wide, 9.75 blocks of 32."""
    onnx = pytest.importorskip("onnx")
    from ottenok.core.lazy import onnxruntime

    ort = onnxruntime()

    from ottenok.export.quantise import METHODS

    random = np.random.default_rng(0)
    weights = random.normal(size=(rows, columns)).astype(np.float32)
    values = random.normal(size=(2, 5, rows)).astype(np.float32) * 3
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Gelu", ["x"], ["g"]), helper.make_node("MatMul", ["g", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", types.FLOAT, [None, None, rows])],
        [helper.make_tensor_value_info("y", types.FLOAT, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    results = []
    for change in (False, True):
        if change:
            METHODS[method](model)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": values})[0])

    plain, small = results
    assert all(node.op_type != "MatMul" for node in model.graph.node)
    # A step is about 0.03 of the weights' deviation, so rounding alone makes about 0.01.
    assert 0.0 < np.std(plain - small) < 0.02 * np.std(plain)


_ABSOLUTE = re.compile(
    rb"/(?:home|root|usr|tmp|opt|mnt|var|srv|work|Users|private)/[\w.\-]+/[\w.\-/]+|[A-Z]:\\\\[\w]+\\\\"
)


def test_nothing_in_a_bundle_tells_where_it_was_made(quantised: Any) -> None:
    """No file holds a folder of this machine; torch writes call stacks into graphs."""
    files = [file for file in quantised.folder.rglob("*") if file.is_file()]

    assert {ONNX, ONNX_INT8} <= {file.relative_to(quantised.folder).as_posix() for file in files}
    for file in files:
        data = file.read_bytes()
        assert _ABSOLUTE.findall(data) == [], file.name
        for place in (sys.prefix, str(quantised.folder.parent), str(Path.home())):
            assert len(place) < 3 or place.encode() not in data, file.name


def test_the_embedded_graph_tells_nothing_either() -> None:
    """Neither does what ottenok ships."""
    for file in embedded_folder().rglob("*"):
        if file.is_file():
            assert _ABSOLUTE.findall(file.read_bytes()) == [], file.name
