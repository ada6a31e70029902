"""Poolings see real tokens only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError

torch = pytest.importorskip("torch")
from ottenok.models.pooling import POOLINGS, create_pooling  # noqa: E402 - after the check for torch

pytestmark = pytest.mark.train


@pytest.mark.parametrize("name", sorted(POOLINGS.keys() - {"pooler"}))
@settings(max_examples=25, deadline=None)
@given(tokens=st.integers(1, 6), left=st.integers(0, 3), right=st.integers(0, 3), seed=st.integers(0, 9))
def test_padding_on_either_side_changes_nothing(name: str, tokens: int, left: int, right: int, seed: int) -> None:
    """Whatever is in the places that the mask leaves out, the pooled vector is the same."""
    torch.manual_seed(seed)
    pooling = create_pooling(name, 5)
    hidden = torch.randn(2, tokens, 5)
    padded = torch.cat([torch.full((2, left, 5), 1e4), hidden, torch.full((2, right, 5), -1e4)], dim=1)
    mask = torch.cat([torch.zeros(2, left), torch.ones(2, tokens), torch.zeros(2, right)], dim=1).long()

    alone = pooling(hidden, torch.ones(2, tokens, dtype=torch.long))
    assert alone.shape == (2, 5 * pooling.factor)
    torch.testing.assert_close(pooling(padded, mask), alone)


def test_poolings_are_what_their_names_say() -> None:
    """First, last, mean and max equal numpy's on the real tokens."""
    hidden = torch.randn(1, 4, 3)
    mask = torch.tensor([[1, 1, 1, 0]])
    real = hidden[0, :3].numpy()

    expected = {"cls": real[0], "first": real[0], "last": real[2], "mean": real.mean(axis=0), "max": real.max(axis=0)}
    for name, vector in expected.items():
        np.testing.assert_allclose(create_pooling(name, 3)(hidden, mask)[0].numpy(), vector, rtol=1e-6)
    both = create_pooling("cls+mean", 3)(hidden, mask)[0].numpy()
    np.testing.assert_allclose(both, np.concatenate([real[0], real.mean(axis=0)]), rtol=1e-6)


def test_attention_is_a_weighted_mean() -> None:
    """With equal scores, attention pooling is the mean."""
    pooling = create_pooling("attention", 3)
    torch.nn.init.zeros_(pooling.score.weight)
    hidden, mask = torch.randn(2, 4, 3), torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])

    torch.testing.assert_close(pooling(hidden, mask), create_pooling("mean", 3)(hidden, mask))


def test_an_unknown_pooling_is_refused_with_the_nearest() -> None:
    """`maen` is told of `mean`."""
    with pytest.raises(ConfigError, match="Did you mean 'mean'"):
        create_pooling("maen", 3)
