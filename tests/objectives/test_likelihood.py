"""Likelihoods against torch.distributions, as masses that sum to 1, and far out where exponents overflow."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from noiseforge.objectives.likelihood import bernoulli, binarised, bits_per_dimension, discretised_logistic, gaussian


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_closed_forms(rng: torch.Generator) -> None:
    x, mean = torch.randn(2, 5, 1, 4, 4, generator=rng).double()
    expected = Bernoulli(logits=mean).log_prob((x > 0).double()).sum((1, 2, 3))
    torch.testing.assert_close(bernoulli(x.sign(), mean), expected)
    for log_scale in (torch.tensor(-1.0).double(), torch.randn(1, 4, 4, generator=rng).double()):
        expected = Normal(mean, log_scale.exp()).log_prob(x).sum((1, 2, 3))
        torch.testing.assert_close(gaussian(x, mean, log_scale), expected)


@pytest.mark.parametrize("levels", [2, 16, 256])
@pytest.mark.parametrize("log_scale", [-1e6, -7.0, -2.0, 1.0, 1e6])
@pytest.mark.parametrize("mean", [-1e6, -1.0, -0.3, 0.0, 0.9999, 1.5, 1e6])
def test_the_discretised_logistic_sums_to_1(levels: int, log_scale: float, mean: float) -> None:
    grid = torch.linspace(-1, 1, levels)[:, None]
    centre = torch.full((levels, 1), mean, requires_grad=True)
    scale = torch.tensor(log_scale, requires_grad=True)
    logs = discretised_logistic(grid, centre, scale, levels=levels)
    assert float(logs.detach().double().exp().sum()) == pytest.approx(1.0, abs=1e-5)
    assert logs.isfinite().all()
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(logs.sum(), [centre, scale]))


def test_the_discretised_logistic_is_the_difference_of_two_distribution_functions(rng: torch.Generator) -> None:
    level = torch.randint(1, 255, (6, 3), generator=rng)
    x, log_scale = level.double() / 127.5 - 1, torch.randn(6, 3, generator=rng).double() - 2
    mean = x + 3 * log_scale.exp() * torch.randn(6, 3, generator=rng).double().clamp(-2, 2)  # where neither is 1
    lower, upper = (torch.sigmoid((x + side / 255 - mean) / log_scale.exp()) for side in (-1, 1))
    torch.testing.assert_close(discretised_logistic(x, mean, log_scale), (upper - lower).log().sum(1))


def test_each_value_has_its_own_scale_where_one_is_given() -> None:
    x, mean = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.1)
    log_scale = torch.tensor([-3.0, -2.0, -1.0]).view(3, 1, 1)
    by_channel = sum(discretised_logistic(x[:, c], mean[:, c], log_scale[c]) for c in range(3))
    torch.testing.assert_close(discretised_logistic(x, mean, log_scale), by_channel)


@pytest.mark.parametrize("extreme", [1e6, -1e6])
def test_extreme_parameters_give_finite_values_and_slopes(extreme: float) -> None:
    x = torch.tensor([[-1.0, 0.0, 1.0]])
    mean, log_scale = (torch.full((1, 3), extreme, requires_grad=True) for _ in range(2))
    for value in (bernoulli(torch.tensor([[-1.0, 1.0, 1.0]]), mean), gaussian(x, torch.zeros(1, 3), log_scale)):
        assert value.isfinite().all()
        slopes = torch.autograd.grad(value.sum(), [mean, log_scale], allow_unused=True)
        assert all(slope.isfinite().all() for slope in slopes if slope is not None)


def test_a_uniform_model_of_8_bits_costs_8_bits_per_dimension() -> None:
    levels = torch.arange(256).view(1, 256) / 127.5 - 1
    # A logistic that is as wide as the world gives all inner bins the same mass, and half of it to each end;
    # on 2 levels these are all there are, and it is uniform.
    two = discretised_logistic(levels.sign(), torch.zeros(1, 256), torch.tensor(9.0), levels=2)
    assert float(bits_per_dimension(-two, 256)) == pytest.approx(1.0, abs=1e-4)
    assert bits_per_dimension(256 * math.log(256), 256) == pytest.approx(8.0)
    torch.testing.assert_close(bits_per_dimension(torch.full((2,), 3 * math.log(256)), 3), torch.full((2,), 8.0))


def test_binarisation_draws_each_grey_level_at_its_own_rate(rng: torch.Generator) -> None:
    x = torch.tensor([-1.0, -0.5, 0.0, 1.0]).expand(20_000, 4)
    drawn = binarised(x, torch.rand(x.shape, generator=rng) * 2 - 1)
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert drawn.mean(0).tolist() == pytest.approx([-1.0, -0.5, 0.0, 1.0], abs=0.04)
    assert drawn[:, 0].max() == -1 and drawn[:, 3].min() == 1


@pytest.mark.parametrize(
    "function",
    [bernoulli, binarised, lambda x, other: gaussian(x, other, x), lambda x, o: discretised_logistic(x, o, x)],
)
def test_shapes_that_would_broadcast_are_refused(function) -> None:
    with pytest.raises(ValueError, match=r"one shape \(N, ...\), got \(4, 1\) and \(4, 3\)"):
        function(torch.zeros(4, 1), torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        function(torch.zeros(4), torch.zeros(4))


def test_one_level_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 levels, got 1"):
        discretised_logistic(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor(0.0), levels=1)
