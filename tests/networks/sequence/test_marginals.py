"""Curves that make components nearly normal: only where it pays, and there and back."""

import math

import pytest
import torch
from torch import Tensor

from noiseforge.networks.sequence.marginals import Marginals

N = 20_000


def normal(seed: int = 0) -> Tensor:
    return torch.randn(N, generator=torch.Generator().manual_seed(seed))


def uniform() -> Tensor:
    return torch.rand(N, generator=torch.Generator().manual_seed(1))


def leaning() -> Tensor:
    """Lopsided, and within bounds: a wave that is more often low than high."""
    return (2 * math.pi * uniform()).sin().exp()


def fitted(x: Tensor) -> tuple[Marginals, Tensor]:
    """Curves of one component, and its values (N, 1) of mean 0 and variance 1."""
    x = ((x - x.mean()) / x.std()).unsqueeze(1)
    marginals = Marginals(1)
    marginals.fit(x)
    return marginals, x


def moment(x: Tensor, power: int) -> float:
    return float(((x - x.mean()) / x.std()).pow(power).mean())


@pytest.mark.parametrize(
    "x",
    [normal(), uniform(), (2 * math.pi * uniform()).sin(), leaning()],
    ids=["normal", "uniform", "arcsine", "leaning"],
)
def test_components_without_heavy_tails_stay_as_they_are(x: Tensor) -> None:
    marginals, x = fitted(x)
    assert torch.equal(marginals(x), x)
    assert torch.equal(marginals.restore(x), x)


@pytest.mark.parametrize(
    "x",
    [(normal() / 2).exp(), -(normal() / 2).exp(), -uniform().log(), normal() * normal(2)],
    ids=["lognormal", "mirrored", "exponential", "product"],
)
def test_lopsided_and_heavy_tailed_components_become_nearly_normal(x: Tensor) -> None:
    marginals, x = fitted(x)
    y = marginals(x)
    assert abs(moment(y, 3)) < min(0.2, abs(moment(x, 3)) / 5 + 0.1)
    assert abs(moment(y, 4) - 3) < abs(moment(x, 4) - 3) / 5
    torch.testing.assert_close(marginals.restore(y), x, atol=1e-4, rtol=1e-4)
    drawn = marginals.restore(normal(3).unsqueeze(1))
    assert moment(drawn, 3) == pytest.approx(moment(x, 3), abs=0.5)
    assert float(drawn.std()) == pytest.approx(1, abs=0.1)


def test_the_curve_is_the_likeliest() -> None:
    """Values made by a curve give it back."""
    y = normal().unsqueeze(1)
    made = Marginals(1)
    made.skewness += 0.4
    made.tails *= 0.7
    x = made.restore(y)
    found = Marginals(1)
    found.fit(x)
    torch.testing.assert_close(found(x), y, atol=0.1, rtol=0.1)
    torch.testing.assert_close(found.tails, made.tails, atol=0.05, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_components_of_which_little_is_known_stay_finite(count: int) -> None:
    x = torch.stack([torch.zeros(count), normal()[:count].exp()], 1)
    marginals = Marginals(2)
    marginals.fit(x)
    assert torch.equal(marginals(x)[:, 0], x[:, 0])
    assert bool(marginals(x).isfinite().all())
    torch.testing.assert_close(marginals.restore(marginals(x)), x, atol=1e-4, rtol=1e-4)
