"""Links, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from ottenok.core.errors import ConfigError
from ottenok.tasks.decision import corn

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402 - after the check for torch

from ottenok.models.heads import create_link  # noqa: E402
from ottenok.models.losses import FUNCTIONS, LossSetting  # noqa: E402

pytestmark = pytest.mark.train

PLAIN = LossSetting()


def test_corn_gives_the_probabilities_of_its_definition() -> None:
    """A softmax over the link's scores is CORN's chain rule, as `ottenok.tasks` computes it."""
    raw = torch.randn(6, 4, dtype=torch.float32) * 3
    scores = create_link("corn", 5)(raw)

    np.testing.assert_allclose(scores.softmax(dim=-1).numpy(), corn(raw.numpy().astype(np.float64)), atol=1e-6)
    np.testing.assert_allclose(scores.exp().sum(dim=-1).numpy(), 1.0, atol=1e-6)


def test_cross_entropy_over_corn_is_corns_loss() -> None:
    """It is the sum of the binary losses of the tasks that a text takes part in."""
    raw, target = torch.randn(1, 3), torch.tensor([1])
    # Rank 1 of 0..3: more than 0, given all: yes. More than 1, given more than 0: no. The third task is not its.
    tasks = functional.binary_cross_entropy_with_logits(raw[0, :2], torch.tensor([1.0, 0.0]), reduction="sum")

    torch.testing.assert_close(FUNCTIONS["ce"](create_link("corn", 4)(raw), target, PLAIN), tasks)


def test_coral_orders_the_labels_by_one_number() -> None:
    """Its probabilities sum to 1 and stay positive, and a higher output never means a lower expected rank."""
    link = create_link("coral", 5)
    torch.nn.init.normal_(link.gaps, std=4.0)
    probs = link(torch.linspace(-30.0, 30.0, 61)[:, None]).exp()
    ranks = (probs * torch.arange(5.0)).sum(dim=-1)

    torch.testing.assert_close(probs.sum(dim=-1), torch.ones(61))
    assert bool((probs > 0).all())
    assert bool((ranks.diff() >= -1e-6).all())


@pytest.mark.parametrize("name", ["corn", "coral"])
def test_ordinal_links_learn(name: str) -> None:
    """Gradients through far-off scores are finite."""
    raw = torch.full((2, create_link(name, 4).raw), 80.0, requires_grad=True)
    FUNCTIONS["ce"](create_link(name, 4)(raw), torch.tensor([0, 3]), PLAIN).backward()

    assert raw.grad is not None
    assert bool(raw.grad.isfinite().all())


def test_ordinal_links_need_an_order() -> None:
    """Two labels have no order to learn."""
    with pytest.raises(ConfigError, match="at least 3 labels"):
        create_link("corn", 2)
