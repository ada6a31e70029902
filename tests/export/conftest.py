"""Tiny random models of several architectures, saved as transformers saves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.inference.classifier import Classifier

WORDS = 1200
SENTENCES = [
    "какая гадость эта ваша заливная рыба",
    "замечательный отель, мы приедем ещё",
    "这个酒店非常好",
    "服务太差了,不会再来",
    "обычный день, ничего особенного",
    "good",
]


# Weights are large enough for answers to differ.
SIZES = {"vocab_size": WORDS, "initializer_range": 0.15, "pad_token_id": 1}
_WIDTHS = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128}
_DISTIL = {"dim": 64, "n_layers": 1, "n_heads": 4, "hidden_dim": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A bundle with both graphs, and a classifier for each."""

    folder: Path
    fp32: Classifier
    int8: Classifier


def texts(count: int) -> list[str]:
    """Return texts of one to forty words of the tiny vocabulary, no two alike."""
    import random

    chance = random.Random(5)
    return [" ".join(f"w{chance.randrange(WORDS - 10)}" for _ in range(1 + number % 40)) for number in range(count)]


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of numbered words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {word: number for number, word in enumerate([*special, *(f"w{i}" for i in range(WORDS - 4))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)


def random_model(kind: str, labels: list[str], **fields: Any) -> Any:
    """Return a tiny random sequence classifier."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(1)
    config = AutoConfig.for_model(
        kind,
        **SIZES,
        **(_DISTIL if kind == "distilbert" else _WIDTHS),
        max_position_embeddings=70,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **fields,
    )
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders of tiny classifiers."""

    def make(kind: str, labels: list[str], **fields: Any) -> Path:
        folder = tmp_path / kind
        random_model(kind, labels, **fields).save_pretrained(folder)
        save_tokenizer(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def sample_texts() -> Callable[[int], list[str]]:
    """Return a maker of texts."""
    return texts


@pytest.fixture
def make_bundle(tmp_path: Path, tiny_manifest: Callable[..., BundleManifest]) -> Callable[..., Path]:
    """Return a maker of bundles of ottenok's own classifier, without graphs."""

    def make(pooling: str = "mean", scheme: str = "sentiment-3", **fields: Any) -> Path:
        return write_own(tmp_path / f"own-{pooling}-{scheme}", tiny_manifest(scheme, max_length=48), pooling, **fields)

    return make


def write_own(folder: Path, manifest: BundleManifest, pooling: str = "mean", **fields: Any) -> Path:
    """Write a random classifier of ottenok's own with its manifest."""
    import torch

    from ottenok.bundle.folder import write_manifest
    from ottenok.models.classifier import OttenokClassifier, OttenokConfig

    torch.manual_seed(1)
    labels = manifest.scheme.labels
    config = OttenokConfig(
        encoder={"model_type": "bert", **SIZES, **_WIDTHS, "max_position_embeddings": 64},
        pooling=pooling,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **fields,
    )
    OttenokClassifier(config).eval().save_pretrained(folder)
    save_tokenizer(folder)
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="session")
def quantised(tmp_path_factory: pytest.TempPathFactory, tiny_manifest: Callable[..., BundleManifest]) -> Quantised:
    """Return one tiny model in fp32 and int8, made once; tests that change its folder copy it first."""
    from ottenok.export import quantise
    from ottenok.export.onnx import export
    from ottenok.inference.api import load

    folder = write_own(tmp_path_factory.mktemp("quantised") / "bundle", tiny_manifest("sentiment-3", max_length=48))
    export(folder)
    with pytest.MonkeyPatch.context() as patch:
        # A random model's labels hang by a hair, so it need not keep as many.
        patch.setattr(quantise, "LEAST_SAME", 0.9)
        quantise.quantise(folder, texts=texts(200))
    fp32, int8 = (load(folder, precision=precision, threads=1) for precision in ("fp32", "int8"))
    return Quantised(folder=folder, fp32=fp32, int8=int8)
