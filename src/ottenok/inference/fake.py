"""A backend without a model, for tests, servers under test and demonstrations: fast, deterministic, meaningless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ottenok.inference.tokens import Tokeniser

if TYPE_CHECKING:
    import numpy.typing as npt
    from tokenizers import Tokenizer

    from ottenok.inference.classifier import Classifier
    from ottenok.inference.tokens import TokenBatch

__all__ = ["FakeBackend", "character_tokenizer", "fake_classifier"]

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


def fake_classifier(
    scheme: str = "sentiment-3",
    *,
    max_length: int = 64,
    max_windows: int | None = None,
    read: Literal["all", "end"] = "all",
) -> Classifier:
    """Return a classifier for a scheme whose answers mean nothing: each character is a token, and the logits are fake.

    Args:
        scheme: Name of a label scheme.
        max_length: Most tokens of a window, special ones included.
        max_windows: Most windows of a text that are read; None: all.
        read: `all` of a long text, or its `end` alone.
    """
    from ottenok.bundle.manifest import BundleManifest, LicenceFacts, SchemeFacts, TaskFacts, WindowRule
    from ottenok.core.schemes import load_scheme
    from ottenok.inference.classifier import Classifier
    from ottenok.tasks.decision import Decision

    facts = load_scheme(scheme)
    several = facts.kind == "multi-label"
    manifest = BundleManifest(
        name="fake",
        description="No model: its answers mean nothing.",
        tasks=(
            TaskFacts(
                name=scheme,
                scheme=SchemeFacts.of(facts),
                problem_type="multi-label" if several else "multi-class",
                decision=Decision(activation="sigmoid" if several else "softmax"),
            ),
        ),
        max_length=max_length,
        window=WindowRule(read=read, overlap=max_length // 4),
        licence=LicenceFacts(id="Apache-2.0", commercial=True),
    )
    tokens = Tokeniser(
        character_tokenizer(),
        max_length=max_length,
        overlap=manifest.window.overlap,
        max_windows=max_windows,
        read_end=read == "end",
    )
    return Classifier(manifest=manifest, tokeniser=tokens, backend=FakeBackend(len(facts.labels)))


def character_tokenizer() -> Tokenizer:
    """Return a tokenizer whose tokens are the bytes of a text, between a first and a last token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1, **{byte: number for number, byte in enumerate(alphabet, start=2)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer
