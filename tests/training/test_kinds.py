"""Every kind of encoder, head and loss goes the whole way: trained, saved, exported, quantised, predicted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.bundle.folder import open_bundle
from ottenok.bundle.manifest import ONNX, ONNX_INT8
from ottenok.core.config import merge, parse
from ottenok.inference.api import classifier_of, load
from ottenok.recipes.train import TrainRecipe

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
from transformers import AutoConfig, AutoModel  # noqa: E402 - after the check for torch

from ottenok.export.onnx import export  # noqa: E402
from ottenok.export.quantise import METHODS, quantise_graph  # noqa: E402
from ottenok.models import network as saved  # noqa: E402
from ottenok.models.heads import ACTIVATIONS, NORMS  # noqa: E402
from ottenok.training.run import train  # noqa: E402
from tiny_encoders import tiny_encoder  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.data.corpus import Corpus
    from ottenok.training.run import Fitted

pytestmark = pytest.mark.train

_BASE: dict[str, Any] = {
    "name": "toy",
    "text": {"max_length": 32},
    "optim": {"lr": 1e-3, "head_lr": 1e-2},
    "schedule": {"max_steps": 3},
    "batch": {"size": 8},
    "run": {"precision": "fp32", "checkpoint_minutes": 100.0},
    # After three steps the fitted one would make all texts alike.
    "decision": {"temperature": False},
}
# Wide enough for int8, and with weights large enough for texts to differ.
_SMALL = {"hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 96, "initializer_range": 0.1}
_DISTIL = {"dim": 64, "n_layers": 1, "hidden_dim": 96, "initializer_range": 0.1}
_TINY2 = {**_SMALL, "hidden_size": 312, "num_hidden_layers": 3, "num_attention_heads": 12, "intermediate_size": 600}
_BASE_SIZE = {**_SMALL, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 256}
_MLP = {"kind": "mlp", "hidden": [48]}
# Name to architecture, sizes and the recipe's [model].
ENCODERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "rubert-tiny2, 312 wide": ("bert", _TINY2, {"pooling": "cls"}),
    "ruBERT, 768 wide": ("bert", _BASE_SIZE, {"pooling": "mean"}),
    "LaBSE with its pooler": ("bert", _SMALL, {"pooling": "pooler", "head": _MLP}),
    "XLM-R": ("xlm-roberta", _SMALL, {"pooling": "cls"}),
    "RoBERTa": ("roberta", _SMALL, {"pooling": "mean"}),
    "DistilBERT": ("distilbert", _DISTIL, {"pooling": "cls"}),
    "KaLM, a Qwen2": ("qwen2", _SMALL, {"pooling": "last"}),
    "KaLM with a head of ours": ("qwen2", _SMALL, {"pooling": "last", "head": _MLP}),
    "Qwen3": ("qwen3", _SMALL, {"pooling": "last"}),
    "ModernBERT": ("modernbert", {**_SMALL, "num_hidden_layers": 2, "local_attention": 8}, {"pooling": "mean"}),
    "GTE": ("gte", _SMALL, {"pooling": "cls"}),
    "jina v3": ("jina_embeddings_v3", _SMALL, {"pooling": "mean"}),
}
HEADS: dict[str, dict[str, Any]] = {
    "of the deck": {"kind": "mlp", "hidden": [768], "dropout": 0.85},
    "two layers, batch norm": {"kind": "mlp", "hidden": [96, 64], "norm": "batch", "activation": "relu"},
    "residual, group norm": {
        "kind": "mlp",
        "hidden": [96, 96],
        "norm": "group",
        "activation": "silu",
        "residual": True,
    },
    "every norm and activation": {
        "kind": "parallel",
        "dropout": 0.1,
        "branches": [
            {"hidden": [64 + 8 * number], "activation": activation, "norm": norm, "residual": number % 2 == 0}
            for number, (activation, norm) in enumerate(zip(ACTIVATIONS, cycle(NORMS), strict=False))
        ],
    },
}
# Short enough for one window, also in bytes.
TEXTS = ["хорошо", "там мерзко", "很好 书店", "я люблю день"]


def _fitted(encoder: Path, corpus: Corpus, out: Path, **over: Any) -> Fitted:
    recipe = parse(TrainRecipe, merge(merge(_BASE, {"model": {"encoder": str(encoder)}}), over))
    fitted = train(recipe, corpus=corpus, out=out)
    assert fitted is not None
    return fitted


def _torch_logits(folder: Path) -> Any:
    model, tokenizer = saved.load(folder), saved.load_saved_tokenizer(folder)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.numpy()


def _check_graphs(folder: Path) -> None:
    """Export and quantise; the graphs give torch's scores, exactly and nearly, and each text its own."""
    expected = _torch_logits(folder)
    assert expected.std(axis=0).max() > 1e-2, "texts that all score the same would show nothing"
    export(folder)
    exact = load(folder, precision="fp32", threads=1)
    np.testing.assert_allclose(exact.run(exact.prepare(TEXTS)), expected, atol=1e-4)

    for method in METHODS:
        quantise_graph(folder / ONNX, folder / ONNX_INT8, method=method)
        kinds = {node.op_type for node in onnx.load(str(folder / ONNX_INT8)).graph.node}
        assert kinds & {"MatMulIntegerToFloat", "MatMulNBits"}
        near = classifier_of(open_bundle(folder), folder / ONNX_INT8, threads=1)
        together = near.predict_proba(TEXTS)
        np.testing.assert_allclose(together, exact.predict_proba(TEXTS), atol=0.05)
        np.testing.assert_allclose(near.predict_proba(TEXTS[1:2])[0], together[1], atol=1e-4)


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_kind_of_encoder_goes_the_whole_way(kind: str, toy_corpus: Corpus, tmp_path: Path) -> None:
    """From a local folder through training to predictions without torch."""
    family, sizes, model = ENCODERS[kind]
    encoder = tiny_encoder(tmp_path / "encoder", family=family, sizes=sizes)
    fitted = _fitted(encoder, toy_corpus, tmp_path / "out", model=model)

    assert fitted.bundle.manifest.problem_type == "multi-class"
    _check_graphs(tmp_path / "out")


@pytest.mark.parametrize("kind", HEADS)
def test_every_kind_of_head_goes_the_whole_way(kind: str, make_corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    """A head on a text's mean, for several labels, is trained, exported and predicts."""
    corpus = make_corpus(rows=120, scheme="emotions-7")
    encoder = tiny_encoder(tmp_path / "encoder", sizes=_SMALL)
    fitted = _fitted(encoder, corpus, tmp_path / "out", model={"head": HEADS[kind]})

    assert fitted.bundle.manifest.problem_type == "multi-label"
    _check_graphs(tmp_path / "out")


def test_ordinal_links_stand_over_any_head(toy_corpus: Corpus, tmp_path: Path) -> None:
    """Two parallel heads of two conditional scores each give log-probabilities of three labels."""
    head = {"kind": "parallel", "branches": [{"hidden": [16]}, {"hidden": [8], "norm": "batch"}]}
    encoder = tiny_encoder(tmp_path / "encoder", sizes=_SMALL)
    _fitted(encoder, toy_corpus, tmp_path / "out", model={"head": head, "problem": "ordinal"})

    np.testing.assert_allclose(np.exp(_torch_logits(tmp_path / "out")).sum(axis=1), 1.0, atol=1e-5)
    _check_graphs(tmp_path / "out")
    code = (
        "import sys; from ottenok import load;"
        f"found = load({str(tmp_path / 'out')!r}, precision='fp32')(['хорошо']);"
        "assert 'torch' not in sys.modules; print(found[0].label)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() in {"negative", "neutral", "positive"}


@pytest.mark.parametrize(
    ("scheme", "problem", "loss"),
    [
        ("sentiment-3", "multi-class", {"name": "focal", "gamma": 1.5, "class_weights": "balanced"}),
        ("sentiment-3", "ordinal", {"name": "focal"}),
        ("emotions-7", "multi-label", {"name": "focal", "class_weights": "sqrt"}),
        ("emotions-7", "multi-label", {"name": "asymmetric", "gamma_negative": 2.0, "clip": 0.1}),
    ],
)
def test_every_loss_teaches(
    scheme: str, problem: str, loss: dict[str, Any], make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path
) -> None:
    """An epoch or two on texts whose words give them away, and the loss on validation rows falls."""
    corpus = make_corpus(rows=300, scheme=scheme)
    over = {"model": {"problem": problem}, "schedule": {"max_steps": None, "epochs": 4}, "optim": {"lr": 3e-3}}
    fitted = _fitted(tiny, corpus, tmp_path / "out", loss=loss, **over)

    assert fitted.epochs[-1]["loss"] < 0.7 * fitted.epochs[0]["loss"]
    assert fitted.report("test").value("macro_f1") > (0.8 if scheme == "sentiment-3" else 0.3)


@pytest.mark.data
def test_the_published_sizes_and_tokenizer_go_the_whole_way(
    published_tokenizer: Path, toy_corpus: Corpus, tmp_path: Path
) -> None:
    """rubert-tiny2 as published (83,828 pieces, 312 wide, 3 layers), its weights apart; they are random here."""
    config = AutoConfig.from_pretrained(published_tokenizer)
    config.initializer_range = 0.1
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(tmp_path / "encoder")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(published_tokenizer / name, tmp_path / "encoder" / name)
    model = {"pooling": "cls", "freeze_embeddings": True}
    _fitted(tmp_path / "encoder", toy_corpus, tmp_path / "out", model=model)

    _check_graphs(tmp_path / "out")
    assert (tmp_path / "out" / ONNX_INT8).stat().st_size < 0.4 * (tmp_path / "out" / ONNX).stat().st_size
