"""Heads, links and losses, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from ottenok.core.errors import ConfigError
from ottenok.decision.activations import corn
from ottenok.models.options import HeadOptions

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402 - after the check for torch

from ottenok.models.blocks import ACTIVATIONS  # noqa: E402
from ottenok.models.heads import create_head  # noqa: E402
from ottenok.models.links import create_link  # noqa: E402
from ottenok.models.losses import LossSetting, find_loss  # noqa: E402

pytestmark = pytest.mark.train

PLAIN = LossSetting()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_heads_have_the_layers_that_they_are_asked_for(activation: str) -> None:
    """Two hidden layers of 7 and 5 lead from 4 inputs to 3 outputs."""
    head = create_head(4, 3, HeadOptions(kind="mlp", hidden=(7, 5), activation=activation, dropout=0.5)).eval()

    assert [tuple(layer.weight.shape) for layer in head.modules() if isinstance(layer, torch.nn.Linear)] == [
        (7, 4),
        (5, 7),
        (3, 5),
    ]
    assert head(torch.randn(2, 4)).shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (HeadOptions(kind="liner"), "model.head.kind"),
        (HeadOptions(kind="linear", hidden=(4,)), "model.head.hidden"),
        (HeadOptions(kind="mlp"), "model.head.hidden"),
        (HeadOptions(kind="mlp", hidden=(0,)), "model.head.hidden"),
        (HeadOptions(kind="mlp", hidden=(4,), activation="gellu"), "model.head.activation"),
    ],
)
def test_heads_that_make_no_sense_are_refused(options: HeadOptions, key: str) -> None:
    """The error names the key of the recipe."""
    with pytest.raises(ConfigError) as caught:
        create_head(4, 3, options)
    assert caught.value.key == key


def test_corn_gives_the_probabilities_of_its_definition() -> None:
    """A softmax over the link's scores is CORN's chain rule, as `ottenok.decision` computes it."""
    raw = torch.randn(6, 4, dtype=torch.float32) * 3
    scores = create_link("corn", 5)(raw)

    np.testing.assert_allclose(scores.softmax(dim=-1).numpy(), corn(raw.numpy().astype(np.float64)), atol=1e-6)
    np.testing.assert_allclose(scores.exp().sum(dim=-1).numpy(), 1.0, atol=1e-6)


def test_cross_entropy_over_corn_is_corns_loss() -> None:
    """It is the sum of the binary losses of the tasks that a text takes part in."""
    raw, target = torch.randn(1, 3), torch.tensor([1])
    # Rank 1 of 0..3: more than 0, given all: yes. More than 1, given more than 0: no. The third task is not its.
    tasks = functional.binary_cross_entropy_with_logits(raw[0, :2], torch.tensor([1.0, 0.0]), reduction="sum")

    torch.testing.assert_close(find_loss("ce")(create_link("corn", 4)(raw), target, PLAIN), tasks)


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
    find_loss("ce")(create_link(name, 4)(raw), torch.tensor([0, 3]), PLAIN).backward()

    assert raw.grad is not None
    assert bool(raw.grad.isfinite().all())


def test_ordinal_links_need_an_order() -> None:
    """Two labels have no order to learn."""
    with pytest.raises(ConfigError, match="at least 3 labels"):
        create_link("corn", 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    """With class weights and label smoothing the loss is that of `torch.nn.functional`."""
    scores, targets, weights = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 0]), torch.tensor([1.0, 2.0, 0.5])
    ours = find_loss("ce")(scores, targets, LossSetting(class_weights=weights, smoothing=smoothing))

    torch.testing.assert_close(
        ours, functional.cross_entropy(scores, targets, weight=weights, label_smoothing=smoothing)
    )


def test_binary_cross_entropy_is_torchs() -> None:
    """A class weight is torch's `pos_weight`; smoothing moves both targets towards a half."""
    scores, weights = torch.randn(5, 3), torch.tensor([1.0, 2.0, 0.5])
    targets = torch.randint(0, 2, (5, 3)).float()
    ours = find_loss("bce")(scores, targets, LossSetting(class_weights=weights, smoothing=0.2))

    theirs = functional.binary_cross_entropy_with_logits(scores, targets * 0.8 + 0.1, pos_weight=weights)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("name", "targets"),
    [("ce", torch.tensor([0, 2])), ("bce", torch.tensor([[1.0, 0, 0], [0, 0, 1]])), ("mse", torch.tensor([0.5, -1]))],
)
def test_an_example_that_weighs_two_counts_twice(name: str, targets: torch.Tensor) -> None:
    """Weighing a row 2 is the same as having it twice."""
    scores = torch.randn(2, 1 if name == "mse" else 3)
    weighed = find_loss(name)(scores, targets, LossSetting(example_weights=torch.tensor([2.0, 1.0])))
    repeated = find_loss(name)(scores[[0, 0, 1]], targets[[0, 0, 1]], PLAIN)

    torch.testing.assert_close(weighed, repeated)


def test_an_unknown_loss_is_refused_with_those_that_there_are() -> None:
    """The error lists the losses."""
    with pytest.raises(ConfigError, match="asymmetric, bce, ce, focal, mse"):
        find_loss("hinge")
