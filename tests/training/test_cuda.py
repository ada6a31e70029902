"""The same on a GPU: a run learns, goes on where it was killed, teaches a student, and takes weights from elsewhere.

Skipped where torch finds no GPU; `pytest tests/training/test_cuda.py` on a machine with one takes about a minute.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.core.config import merge, parse
from ottenok.core.progress import SILENT
from ottenok.recipes.train import TrainRecipe
from ottenok.training.inputs import Places

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402 - after the check for torch

from ottenok.studies.distil import distil  # noqa: E402
from ottenok.training.checkpoints import list_checkpoints  # noqa: E402
from ottenok.training.dataset import TokenMemory  # noqa: E402
from ottenok.training.distil import Teacher  # noqa: E402
from ottenok.training.run import Shared, train, trial  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use"),
]

BASE: dict[str, Any] = {
    "name": "toy",
    "text": {"max_length": 32},
    "optim": {"learning_rate": 3e-3, "head_learning_rate": 1e-2},
    "schedule": {"num_train_epochs": 4},
    "batch": {"batch_size": 8},
    "noise": {"light": {"upper": 0.1, "typos": 0.05}},
    "run": {"device": "cuda", "precision": "fp32", "save_minutes": None, "export": False},
}


def _recipe(encoder: Path, corpus: Corpus, **over: Any) -> TrainRecipe:
    own = {"model": {"encoder": str(encoder)}, "data": {"corpus": str(corpus.folder)}}
    return parse(TrainRecipe, merge(merge(BASE, own), over))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_on_the_gpu_learns_in_each_precision(
    precision: str, toy_corpus: Corpus, tiny: Path, tmp_path: Path
) -> None:
    """Texts whose words give them away are told; the manifest names the GPU; fp32 agrees with the CPU."""
    recipe = _recipe(tiny, toy_corpus, run={"precision": precision})
    fitted = train(recipe, corpus=toy_corpus, out=tmp_path / "gpu")
    assert fitted is not None
    assert fitted.report("test").value("accuracy") > 0.8
    took = fitted.bundle.manifest.training
    assert took is not None
    assert (took.device, took.precision) == (torch.cuda.get_device_name(), precision)
    teacher = Teacher(str(fitted.bundle.folder), _recipe(tiny, toy_corpus, run={"precision": "fp32"}).run)
    slow = Teacher(str(fitted.bundle.folder), _recipe(tiny, toy_corpus, run={"device": "cpu"}).run)
    texts = toy_corpus.table("test", columns=("text",)).column("text").to_pylist()
    np.testing.assert_allclose(teacher(texts)["sentiment-3"], slow(texts)["sentiment-3"], atol=2e-3)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    precision: str, toy_corpus: Corpus, tiny: Path, tmp_path: Path
) -> None:
    """Weights, optimiser, scaler and the GPU's random numbers come back: the end is that of an undisturbed run."""
    # Dropout draws on the GPU: without its generator's state the second half would differ.
    recipe = _recipe(tiny, toy_corpus, model={"head": {"dropout": 0.2}}, run={"precision": precision})
    shared = Shared(corpus=toy_corpus, memory=TokenMemory(), tracking=None, progress=SILENT)
    whole = trial(recipe, out=tmp_path / "whole", watch=lambda rows: True, shared=shared)
    stopped = trial(recipe, out=tmp_path / "parts", watch=lambda rows: len(rows) < 2, shared=shared)
    assert (len(whole.epochs), len(stopped.epochs)) == (4, 2)
    trial(recipe, out=tmp_path / "parts", watch=lambda rows: True, shared=shared)
    first, second = (
        load_file(list_checkpoints(tmp_path / name / "checkpoints")[-1] / "model.safetensors")
        for name in ("whole", "parts")
    )
    for name, weights in first.items():
        torch.testing.assert_close(second[name], weights, atol=2e-4, rtol=2e-3, msg=name)


def test_a_student_learns_on_the_gpu_and_weights_are_taken(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Logits and hidden states of a teacher on the GPU; then the weights of one run end another, learning nothing."""
    teacher = train(_recipe(tiny, toy_corpus), corpus=toy_corpus, out=tmp_path / "teacher")
    assert teacher is not None
    options = {"teachers": [str(tmp_path / "teacher")], "weight": 1.0, "hidden_weight": 0.1}
    over = {"distil": options, "model": {"init_from": str(tmp_path / "teacher"), "layers": [0]}}
    recipe = _recipe(tiny, toy_corpus, run={"precision": "bf16"}, **over)
    found = distil(recipe, tmp_path / "student", places=Places(cache=tmp_path / "cache"))
    assert found is not None
    whole = found.rows[0]
    assert whole["student"] > whole["teacher"] - 0.15
    assert json.loads((tmp_path / "student" / "distil.json").read_text(encoding="utf-8"))["rows"] == found.rows

    weights = tmp_path / "teacher" / "model.safetensors"
    again = train(_recipe(tiny, toy_corpus), corpus=toy_corpus, out=tmp_path / "again", weights=weights)
    assert again is not None
    assert again.report("test").value("accuracy") == pytest.approx(teacher.report("test").value("accuracy"), abs=0.05)
