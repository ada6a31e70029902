"""The backend on onnxruntime."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ottenok.bundle.folder import open_bundle
from ottenok.bundle.manifest import ONNX_INT8
from ottenok.core.errors import ConfigError, ModelError
from ottenok.inference import engine
from ottenok.inference.api import load
from ottenok.inference.onnx_file import with_mapped_weights
from ottenok.inference.places import embedded_folder


@pytest.mark.parametrize("threads", [1, 2])
def test_products_of_int8_are_exact_here(threads: int) -> None:
    """With the settings that we take on this processor, the largest 8-bit numbers are multiplied without overflow."""
    with resources.as_file(resources.files("ottenok.inference") / "overflow.onnx") as file:
        session = engine._open(Path(file), threads)

    (found,) = session.run(None, {"x": np.full((3, 64), 255, dtype=np.uint8)})

    np.testing.assert_array_equal(found, 127 * 127 * 64)


def test_threads_may_share_a_classifier(tiny_bundle: Path) -> None:
    """Calls from several threads at once give what one call gives."""
    classifier = load(tiny_bundle, threads=1)
    texts = [f"текст номер {number}" * (number % 5 + 1) for number in range(60)]
    expected = classifier(texts)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(classifier, [texts] * 8))

    assert all(answers == expected for answers in found)


def test_the_identity_is_that_of_the_bytes(tiny_bundle: Path) -> None:
    """Two classifiers of the same files have the same identity; another limit makes another."""
    first, second, limited = load(tiny_bundle), load(tiny_bundle), load(tiny_bundle, max_windows=1)

    assert first.identity == second.identity != limited.identity


def test_mapped_weights_are_the_same_weights() -> None:
    """The embedded graph gives the same logits, mapped or read, and without its tables of numbers it is small."""
    folder = embedded_folder()
    graph = folder / ONNX_INT8
    tasks = open_bundle(folder).manifest.tasks
    outputs = {facts.output: facts.task().outputs for facts in tasks}
    prepared = load(threads=1).prepare(["Какая гадость эта ваша заливная рыба!", "服务态度很差", "да " * 300])

    for batch in prepared.batches:
        read, mapped = (engine.OnnxBackend(graph, outputs, mapped=mapped).run(batch) for mapped in (False, True))
        np.testing.assert_array_equal(read, mapped)
    assert len(with_mapped_weights(graph)) < 0.1 * graph.stat().st_size


def test_where_nothing_can_be_mapped_the_graph_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sandbox without /proc onnxruntime refuses weights outside the graph: it is read as it stands."""
    expected = load()("хорошо")
    monkeypatch.setattr(engine, "with_mapped_weights", lambda file: file.read_bytes()[:1000])

    assert load()("хорошо") == expected


def test_what_is_no_graph_can_not_be_mapped(tmp_path: Path) -> None:
    """A file that is no message, or that ends in the middle of one, is refused."""
    file = tmp_path / "model.onnx"
    for data in (b"\xff" * 20, (embedded_folder() / ONNX_INT8).read_bytes()[:100_000]):
        file.write_bytes(data)
        with pytest.raises((ValueError, IndexError)):
            with_mapped_weights(file)


def test_a_device_that_is_not_there_is_refused_or_left(tiny_bundle: Path) -> None:
    """`cuda` without onnxruntime's provider is an error that says what to install; `auto` is the processor."""
    with pytest.raises(ModelError, match="no CUDA provider") as refused:
        load(tiny_bundle, device="cuda")
    with pytest.raises(ConfigError, match="auto"):
        load(tiny_bundle, device="gpu")  # type: ignore[arg-type]

    assert "onnxruntime-gpu" in str(refused.value)
    assert load(tiny_bundle, device="auto").backend.name == load(tiny_bundle, device="cpu").backend.name == "onnx fp32"


def test_the_way_to_a_gpu_gives_the_same_answers(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another provider in CUDA's place: fp32 in long batches, as the processor answers; int8 stays there."""
    texts = ["хорошо", "плохо", "да " * 90] * 40
    expected = load(tiny_bundle, device="cpu")(texts)
    monkeypatch.setattr(engine, "_CUDA", "AzureExecutionProvider")
    monkeypatch.setattr(engine, "_FULL", {})

    classifier = load(tiny_bundle, device="auto")

    assert classifier.backend.name == "onnx fp32 on cuda"
    assert classifier(texts) == expected
    assert len(classifier.prepare(texts).batches) < len(load(tiny_bundle, device="cpu").prepare(texts).batches)
    assert load(device="auto").backend.name == "onnx int8"
    with pytest.raises(ModelError, match="int8 is computed on the processor only"):
        load(device="cuda")
