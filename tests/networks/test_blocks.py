import math

import pytest
import torch
from torch import nn

from noiseforge.networks.blocks import (
    GAINS,
    LabelledLatent,
    Maxout,
    ProjectionHead,
    activated,
    initialise,
    minibatch_std,
    pack,
    pieces,
    scaled,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_maxout_takes_the_largest_of_neighbouring_features() -> None:
    x = torch.tensor([[1.0, 5.0, 2.0, -1.0, -3.0, -2.0]])
    assert Maxout(3)(x).tolist() == [[5.0, -1.0]]
    assert torch.equal(Maxout(3)(x.view(1, 6, 1, 1)).flatten(), torch.tensor([5.0, -1.0]))


@pytest.mark.parametrize("activation", GAINS)
def test_a_layer_keeps_the_second_moment_of_its_signal(activation: str) -> None:
    layer = nn.Sequential(*activated(nn.Linear(400, 400 * pieces(activation)), norm="none", activation=activation))
    initialise(layer, rng(), scaled(GAINS[activation]))
    moment = layer(torch.randn(500, 400, generator=rng(1))).square().mean().item()
    # tanh keeps small signals, and shrinks those of order 1.
    assert moment == pytest.approx(0.394 if activation == "tanh" else 1.0, rel=0.05)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 3)])
@pytest.mark.parametrize(("count", "size"), [(8, 4), (6, 3), (2, 2), (5, 1), (1, 1)])
def test_minibatch_std_is_that_of_neighbouring_groups(count: int, size: int, shape: tuple[int, ...]) -> None:
    x = torch.randn(count, *shape, generator=rng())
    y = minibatch_std(x)
    assert y.shape == (count, shape[0] + 1, *shape[1:])
    assert torch.equal(y[:, :-1], x)
    for start in range(0, count, size):
        deviation = x[start : start + size].std(0, unbiased=False).mean().expand(size, *shape[1:])
        torch.testing.assert_close(y[start : start + size, -1], deviation, atol=2e-4, rtol=1e-4)


def test_minibatch_std_does_not_depend_on_how_processes_share_a_batch() -> None:
    x = torch.randn(8, 3, generator=rng())
    assert torch.equal(minibatch_std(x), torch.cat([minibatch_std(x[:4]), minibatch_std(x[4:])]))


@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
def test_a_pack_is_a_concatenation(shape: tuple[int, ...]) -> None:
    x = torch.randn(6, *shape, generator=rng())
    assert torch.equal(pack(x, 3), torch.stack([torch.cat([*x[:3]]), torch.cat([*x[3:]])]))
    assert torch.equal(pack(x, 1), x)
    with pytest.raises(
        ValueError, match="packing 4: the rows of a batch in one process must be a multiple of it, got 6"
    ):
        pack(x, 4)


def test_the_projection_head_adds_the_product_with_the_embedding_of_the_label() -> None:
    head = ProjectionHead(4, 3)
    features, y = torch.randn(5, 4, generator=rng()), torch.tensor([0, 1, 2, 2, 0])
    expected = features @ head.linear.weight[0] + head.linear.bias + (features * head.labels.weight[y]).sum(1)
    torch.testing.assert_close(head(features, y), expected)


@pytest.mark.parametrize("module", [LabelledLatent(4, 3), ProjectionHead(4, 3)])
def test_labels_are_needed_where_there_are_classes(module: nn.Module) -> None:
    with pytest.raises(ValueError, match="3 classes needs labels"):
        module(torch.zeros(2, 4), None)


@pytest.mark.parametrize("module", [LabelledLatent(4, 0), ProjectionHead(4, 0)])
def test_labels_are_refused_where_there_are_none(module: nn.Module) -> None:
    with pytest.raises(ValueError, match="takes no labels"):
        module(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(300, 200), 300),
        (nn.Conv2d(48, 64, 3), 48 * 9),
        (nn.Conv2d(64, 64, 3, groups=4), 16 * 9),
        (nn.ConvTranspose2d(48, 64, 4, stride=2), 48 * 4),
    ],
)
def test_weights_have_the_deviation_that_their_inputs_ask_for(layer: nn.Module, fan_in: int) -> None:
    initialise(layer, rng(), scaled(2.0))
    assert layer.weight.std().item() == pytest.approx(2 / math.sqrt(fan_in), rel=0.03)
    assert not layer.bias.any()
