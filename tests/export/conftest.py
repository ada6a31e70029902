"""Tiny random models of several architectures, saved as transformers saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORDS = 1200
SENTENCES = [
    "какая гадость эта ваша заливная рыба",
    "замечательный отель, мы приедем ещё",
    "这个酒店非常好",
    "服务太差了,不会再来",
    "обычный день, ничего особенного",
    "good",
]


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
    """Return a tiny random sequence classifier; its weights are large enough for answers to differ."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(1)
    sizes = {
        "distilbert": {"dim": 64, "n_layers": 1, "n_heads": 4, "hidden_dim": 128},
    }.get(kind, {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128})
    config = AutoConfig.for_model(
        kind,
        vocab_size=WORDS,
        max_position_embeddings=70,
        initializer_range=0.15,
        pad_token_id=1,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **sizes,
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
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of bundles of ottenok's own classifier, without graphs."""

    def make(pooling: str = "mean", scheme: str = "sentiment-3", **fields: Any) -> Path:
        import torch
        from transformers import AutoConfig

        from ottenok.bundle.folder import write_manifest
        from ottenok.bundle.manifest import BundleManifest, LicenceFacts, SchemeFacts, WindowRule
        from ottenok.core.schemes import load_scheme
        from ottenok.decision.decision import Decision
        from ottenok.models.classifier import OttenokClassifier, OttenokConfig

        folder, facts = tmp_path / f"own-{pooling}-{scheme}", load_scheme(scheme)
        several = facts.kind == "multi-label"
        torch.manual_seed(1)
        encoder = AutoConfig.for_model(
            "bert",
            vocab_size=WORDS,
            max_position_embeddings=64,
            hidden_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=128,
            initializer_range=0.15,
            pad_token_id=1,
        )
        config = OttenokConfig(
            encoder=encoder.to_dict(),
            pooling=pooling,
            id2label=dict(enumerate(facts.labels)),
            label2id={label: number for number, label in enumerate(facts.labels)},
            **fields,
        )
        OttenokClassifier(config).eval().save_pretrained(folder)
        save_tokenizer(folder)
        manifest = BundleManifest(
            name="own",
            scheme=SchemeFacts.of(facts),
            problem_type="multi-label" if several else "multi-class",
            decision=Decision(activation="sigmoid" if several else "softmax"),
            max_length=48,
            window=WindowRule(overlap=8),
            licence=LicenceFacts(id="Apache-2.0", commercial=True),
        )
        write_manifest(folder, manifest)
        return folder

    return make
