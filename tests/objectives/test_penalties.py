import pytest
import torch
from torch import Tensor, nn

from noiseforge.objectives.penalties import clip_weights, gradient_norm_squared, gradient_penalty

SHAPES = [(2,), (1, 4, 4), (3, 4, 4)]


def smooth_discriminator(shape: tuple[int, ...]) -> nn.Sequential:
    features = torch.Size(shape).numel()
    layers = nn.Sequential(nn.Flatten(), nn.Linear(features, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    rng = torch.Generator().manual_seed(1)
    for parameter in layers.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
    return layers


def examples(count: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_norm_agrees_with_finite_differences(count: int, shape: tuple[int, ...]) -> None:
    discriminator, x = smooth_discriminator(shape), examples(count, shape).requires_grad_()
    with torch.no_grad():
        steps = 1e-5 * torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *shape)
        slopes = [(discriminator(row + steps) - discriminator(row - steps)) / 2e-5 for row in x]
    expected = torch.stack([slope.square().sum() for slope in slopes])
    torch.testing.assert_close(gradient_norm_squared(discriminator(x), x), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_second_backward_reaches_the_weights(shape: tuple[int, ...]) -> None:
    discriminator, x = smooth_discriminator(shape), examples(3, shape).requires_grad_()
    weight = discriminator[1].weight

    def penalty() -> Tensor:
        return gradient_norm_squared(discriminator(x), x).sum()

    (slope,) = torch.autograd.grad(penalty(), weight)
    direction = examples(1, tuple(weight.shape))[0]
    values = []
    for step in (1e-6, -1e-6):
        weight.data += step * direction
        values.append(penalty().item())
        weight.data -= step * direction
    assert (slope * direction).sum().item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_the_penalty_of_a_line_is_its_distance_from_slope_one() -> None:
    slope = torch.tensor([3.0, 4.0], requires_grad=True)
    rng = torch.Generator().manual_seed(0)
    penalty = gradient_penalty(lambda x: x @ slope, torch.ones(4, 2), torch.zeros(4, 2), generator=rng)
    penalty.mean().backward()
    torch.testing.assert_close(penalty, torch.full((4,), 16.0))
    torch.testing.assert_close(slope.grad, 2 * 4 * slope.detach() / 5)


def test_the_points_lie_between_the_pairs_and_in_fp32_under_autocast() -> None:
    seen: list[Tensor] = []

    def discriminator(x: Tensor) -> Tensor:
        seen.append(x)
        return (x.flatten(1) @ torch.ones(12, 1)).square()

    real, fake = torch.zeros(64, 3, 2, 2), torch.arange(64.0).view(64, 1, 1, 1).expand(64, 3, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        gradient_penalty(discriminator, real, fake.bfloat16(), generator=torch.Generator().manual_seed(0))
    where = seen[0][1:, 0, 0, 0] / fake[1:, 0, 0, 0]
    assert seen[0].dtype == torch.float32
    torch.testing.assert_close(seen[0][1:], fake[1:] * where.detach().view(63, 1, 1, 1))
    assert where.min() < 0.1 < 0.9 < where.max() <= 1


def test_a_flat_discriminator_has_a_finite_penalty_gradient() -> None:
    slope = torch.zeros(2, requires_grad=True)
    rng = torch.Generator().manual_seed(0)
    gradient_penalty(lambda x: x @ slope, torch.ones(4, 2), torch.zeros(4, 2), generator=rng).sum().backward()
    assert slope.grad.isfinite().all()


def test_unequal_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        gradient_penalty(torch.sum, torch.ones(4, 2), torch.ones(1, 2), generator=torch.Generator())


def test_clipping_bounds_all_weights_and_leaves_small_ones() -> None:
    weights = [nn.Parameter(torch.tensor([-1.0, 0.005])), nn.Parameter(torch.tensor([3.0]))]
    clip_weights(weights, 0.01)
    assert torch.cat(list(weights)).tolist() == pytest.approx([-0.01, 0.005, 0.01])
