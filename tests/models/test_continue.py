"""A classifier that ottenok trained is an encoder to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ottenok.core.schemes import load_scheme
from ottenok.recipes.model import HeadOptions, ModelOptions

torch = pytest.importorskip("torch")
from ottenok.models.encoder import load_config  # noqa: E402
from ottenok.models.network import save  # noqa: E402
from tiny_encoders import network_of, tiny_encoder  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_training_goes_on_from_a_classifier(pooling: str, tmp_path: Path) -> None:
    """Its encoder's weights are taken, whatever its labels and head were; the new head is new."""
    encoder = tiny_encoder(tmp_path / "tiny")
    torch.manual_seed(0)
    head = HeadOptions(kind="mlp", hidden=(8,)) if pooling == "mean" else HeadOptions()
    first = network_of(ModelOptions(encoder=str(encoder), pooling=pooling, head=head), load_scheme("sentiment-3"))
    with torch.no_grad():
        for weights in first.model.base_model.parameters():
            weights.add_(0.25)
    save(first.model, first.tokenizer, tmp_path / "first", max_length=32)

    options = ModelOptions(encoder=str(tmp_path / "first"), pooling="mean")
    assert load_config(options, head_dropout=0.0).model_type == "bert"
    second = network_of(options, load_scheme("emotions-7"))

    kept = {key: value for key, value in first.model.base_model.state_dict().items() if "pooler" not in key}
    if pooling == "mean":
        kept = first.model.encoder.state_dict()
    found = second.model.encoder.state_dict()
    assert found.keys() == kept.keys()
    assert all(torch.equal(found[key], kept[key]) for key in kept)
    assert second.model.head.out.out_features == 7
