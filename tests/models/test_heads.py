"""Heads: what they are made of, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from ottenok.core.config import parse
from ottenok.core.errors import ConfigError
from ottenok.recipes.model import HeadOptions, LayerOptions

torch = pytest.importorskip("torch")

from ottenok.models.heads import (  # noqa: E402 - after the check for torch
    ACTIVATIONS,
    NORMS,
    BatchNorm,
    create_head,
)

pytestmark = pytest.mark.train

SHAPES = {
    "linear": HeadOptions(dropout=0.5),
    "mlp": HeadOptions(kind="mlp", hidden=(16,), dropout=0.3),
    "two layers": HeadOptions(kind="mlp", hidden=(16, 8), norm="layer", activation="relu"),
    "residual": HeadOptions(kind="mlp", hidden=(12, 12, 8), residual=True, norm="group", groups=2),
    "parallel": HeadOptions(
        kind="parallel",
        branches=(
            LayerOptions(),
            LayerOptions(hidden=(16,), activation="tanh"),
            LayerOptions(hidden=(24, 8), activation="silu", norm="batch", dropout=0.1, residual=True),
        ),
    ),
}


def _linears(head: torch.nn.Module) -> list[tuple[int, ...]]:
    return [tuple(layer.weight.shape) for layer in head.modules() if isinstance(layer, torch.nn.Linear)]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_heads_have_the_layers_that_they_are_asked_for(activation: str, norm: str) -> None:
    """Two hidden layers of 8 and 6 lead from 4 inputs to 3 outputs, each with its norm and activation, in order."""
    head = create_head(4, 3, HeadOptions(kind="mlp", hidden=(8, 6), activation=activation, norm=norm, dropout=0.5))

    assert _linears(head) == [(8, 4), (6, 8), (3, 6)]
    layer = [type(part).__name__ for part in head.hidden][: 3 + (norm != "none")]
    named = {"none": [], "layer": ["LayerNorm"], "batch": ["BatchNorm"], "group": ["GroupNorm"]}[norm]
    assert layer == ["Dropout", "Linear", *named, ACTIVATIONS[activation].__name__]
    assert head.eval()(torch.randn(2, 4)).shape == (2, 3)


@pytest.mark.parametrize("kind", SHAPES)
def test_every_head_learns_and_is_fixed_in_evaluation(kind: str) -> None:
    """A few steps lower the loss on points that a line parts; then a row's scores do not depend on other rows."""
    torch.manual_seed(0)
    rows = torch.randn(64, 10)
    targets = (rows[:, 0] > 0).long()
    head = create_head(10, 2, SHAPES[kind])
    steps = torch.optim.Adam(head.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(head(rows), targets)
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))

    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert all(value.grad is not None for value in head.parameters())
    head.eval()
    together = head(rows)
    torch.testing.assert_close(torch.cat([head(row[None]) for row in rows]), together, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_last_layer_makes_the_scores(kind: str) -> None:
    """Dividing `out` divides the scores: what calibration counts on."""
    head = create_head(10, 3, SHAPES[kind]).eval()
    rows = torch.randn(4, 10)
    before = head(rows)
    with torch.no_grad():
        head.out.weight.div_(4.0)
        head.out.bias.div_(4.0)

    torch.testing.assert_close(head(rows), before / 4.0)


def test_a_parallel_head_starts_as_the_mean_of_its_branches() -> None:
    """Each branch has its own layers, and all weigh the same at first."""
    head = create_head(10, 3, SHAPES["parallel"]).eval()
    rows = torch.randn(4, 10)
    branches = torch.stack([branch(rows) for branch in head.branches])

    assert _linears(head) == [(3, 10), (16, 10), (3, 16), (24, 10), (24, 10), (8, 24), (8, 24), (3, 8), (3, 9)]
    torch.testing.assert_close(head(rows), branches.mean(dim=0))


def test_residual_layers_add_their_input() -> None:
    """With its inner layers at zero a residual block of one width passes its input on."""
    head = create_head(6, 2, HeadOptions(kind="mlp", hidden=(6, 6), residual=True, activation="relu"))
    for block in head.hidden:
        torch.nn.init.zeros_(block.inner[1].weight)
        torch.nn.init.zeros_(block.inner[1].bias)
    rows = torch.randn(3, 6)

    torch.testing.assert_close(head(rows), head.out(rows))


def test_one_text_in_a_batch_does_not_stop_batch_norm() -> None:
    """The last batch of an epoch may be one text: it is normalised by the running figures, which stay."""
    norm = BatchNorm(4)
    norm(torch.randn(8, 4) + 3.0)
    mean = norm.running_mean.clone()
    row = torch.randn(1, 4)
    alone = norm(row)

    torch.testing.assert_close(alone, norm.eval()(row))
    torch.testing.assert_close(norm.running_mean, mean)


@pytest.mark.parametrize(("width", "groups"), [(750, 30), (800, 32), (64, 16), (31, 1), (6, 1)])
def test_group_norm_finds_groups_that_divide(width: int, groups: int) -> None:
    """The most groups up to 32 that leave four values in each; a prime width is one group."""
    head = create_head(4, 2, HeadOptions(kind="mlp", hidden=(width,), norm="group"))

    assert head.hidden[2].num_groups == groups


def test_norms_are_numpys() -> None:
    """Layer and group norm subtract each part's mean and divide by its deviation."""
    rows = torch.randn(3, 8)
    for norm, parts in (("layer", 1), ("group", 2)):
        options = HeadOptions(kind="mlp", hidden=(8,), norm=norm, groups=2 if norm == "group" else None)
        module = create_head(8, 2, options).hidden[2]
        shaped = rows.numpy().reshape(3, parts, -1)
        expected = (shaped - shaped.mean(-1, keepdims=True)) / np.sqrt(shaped.var(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(module(rows).detach().numpy(), expected.reshape(3, 8), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (HeadOptions(kind="liner"), "kind"),
        (HeadOptions(hidden=(4,)), "hidden"),
        (HeadOptions(norm="layer"), "norm"),
        (HeadOptions(residual=True), "residual"),
        (HeadOptions(branches=(LayerOptions(), LayerOptions())), "branches"),
        (HeadOptions(kind="mlp"), "hidden"),
        (HeadOptions(kind="mlp", hidden=(0,)), "hidden"),
        (HeadOptions(kind="mlp", hidden=(10**9,)), "hidden"),
        (HeadOptions(kind="mlp", hidden=(1,), norm="layer"), "hidden"),
        (HeadOptions(kind="mlp", hidden=(4,), activation="gellu"), "activation"),
        (HeadOptions(kind="mlp", hidden=(4,), norm="bach"), "norm"),
        (HeadOptions(kind="mlp", hidden=(4,), groups=2), "groups"),
        (HeadOptions(kind="mlp", hidden=(750,), norm="group", groups=32), "groups"),
        (HeadOptions(kind="mlp", hidden=(8,), norm="group", groups=8), "groups"),
        (HeadOptions(kind="mlp", hidden=(4,), branches=(LayerOptions(),)), "branches"),
        (HeadOptions(kind="parallel"), "branches"),
        (HeadOptions(kind="parallel", branches=(LayerOptions(),)), "branches"),
        (HeadOptions(kind="parallel", hidden=(4,), branches=(LayerOptions(), LayerOptions())), "hidden"),
        (HeadOptions(kind="parallel", branches=(LayerOptions(), LayerOptions(hidden=(-1,)))), "branches.1.hidden"),
        (HeadOptions(kind="parallel", branches=(LayerOptions(norm="bach"), LayerOptions())), "branches.0.norm"),
    ],
)  # fmt: skip
def test_heads_that_make_no_sense_are_refused(options: HeadOptions, key: str) -> None:
    """Nothing is silently ignored: the error names the key of the recipe."""
    with pytest.raises(ConfigError) as caught:
        create_head(4, 3, options)
    assert caught.value.key == f"model.head.{key}"


def test_unknown_keys_of_a_branch_are_named() -> None:
    """A wrong key inside a branch is refused like any other, with the nearest known one."""
    with pytest.raises(ConfigError, match="Did you mean 'hidden'") as caught:
        parse(HeadOptions, {"kind": "parallel", "branches": [{}, {"hiden": [4]}]})
    assert caught.value.key == "branches.1.hiden"
