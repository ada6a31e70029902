"""Folders that transformers itself writes: the same activation as its own pipeline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.bundle.folder import open_bundle
from ottenok.tasks.decision import probabilities

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train

LOGITS = [2.0, 1.5, -3.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"num_labels": 3},
        {"num_labels": 3, "problem_type": "single_label_classification"},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"id2label": {0: "neutral", 1: "positive", 2: "negative"}},
        {"num_labels": 1},
        {},
    ],
)
def test_probabilities_are_those_of_the_pipeline(tmp_path: Path, changes: dict[str, Any]) -> None:
    """For the same logits our decision gives what transformers' text-classification pipeline gives, label by label."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sizes = {
        "vocab_size": 9,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
    }
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes, **changes))
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    logits = LOGITS[: model.config.num_labels]

    manifest = open_bundle(tmp_path).manifest
    ours = probabilities([logits], manifest.decision)[0].tolist()

    # The pipeline's last step needs nothing of the pipeline but its model.
    theirs = transformers.TextClassificationPipeline.postprocess(
        SimpleNamespace(model=model), {"logits": torch.tensor([logits])}, top_k=None, _legacy=False
    )
    expected = {row["label"]: row["score"] for row in theirs}
    assert dict(zip(manifest.scheme.labels, ours, strict=True)) == pytest.approx(expected, abs=1e-6)
