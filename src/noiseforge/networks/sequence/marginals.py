"""Components whose distribution is lopsided or has heavy tails, as numbers that are nearly normal, and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GAIN = 0.03
"""Nats a value that a curve has to be better than a line by; else there is none."""
HEAVIEST = 0.5
"""Power of a normal number that the tails of a component grow by, at the least: 1 are normal tails."""
SKEWEST = 1.0
"""Skewness ε of a curve, at most: beyond it, half of a component is a wall."""
SMALLEST = 0.2
"""Its η, at least, in standard deviations of the component."""
NORMAL_KURTOSIS = 3.0
"""Of a component under which it is left alone: its tails end early, as those of a sine, and no curve helps."""
FLATTEST = 1e-6
"""Standard deviation of a component under which it has no distribution."""
SEEN = 20_000
"""Values of a component that its curve is fitted to, at most."""


class Marginals(nn.Module):
    """Values (..., R) to values that are nearer to normal ones, component by component, and back.

    y = sinh(δ asinh((x - ξ) / η) - ε), of skewness ε and tails of weight δ (Jones and Pewsey 2009). What is drawn as
    sums of normal numbers has neither: turnover would fall as far below its mean as it rises above it. Components
    without heavier tails than normal ones stay as they are.
    """

    place: Tensor
    size: Tensor
    skewness: Tensor
    tails: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        self.register_buffer("place", torch.zeros(components))
        self.register_buffer("size", torch.ones(components))
        self.register_buffer("skewness", torch.zeros(components))
        self.register_buffer("tails", torch.ones(components))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Takes each component's curve from values (n, R), by maximum likelihood."""
        for index, some in enumerate(x[:: max(1, len(x) // SEEN)].double().unbind(1)):
            if len(some) < 2 or some.std() < FLATTEST or _kurtosis(some) < NORMAL_KURTOSIS:
                continue
            curve, nats = _likeliest(some)
            if nats < _normal_nats(some) - GAIN:
                for own, found in zip((self.place, self.size, self.skewness, self.tails), curve, strict=True):
                    own[index] = found

    def forward(self, x: Tensor) -> Tensor:
        curved = (self.tails * ((x - self.place) / self.size).asinh() - self.skewness).sinh()
        return torch.where(self.tails.eq(1) & self.skewness.eq(0), x, curved)

    def restore(self, y: Tensor) -> Tensor:
        """x of y."""
        curved = self.place + self.size * ((y.asinh() + self.skewness) / self.tails).sinh()
        return torch.where(self.tails.eq(1) & self.skewness.eq(0), y, curved)


def _likeliest(x: Tensor) -> tuple[tuple[Tensor, ...], float]:
    """ξ, η, ε and δ of the greatest likelihood of values (n,), and the nats a value that they cost."""
    free = torch.tensor([0.0, 0.0, 0.0, 2.0], dtype=x.dtype, requires_grad=True)
    centre, spread = x.mean(), x.std()
    u = (x - centre) / spread

    def curve() -> tuple[Tensor, Tensor, Tensor, Tensor]:
        size, tails = SMALLEST + free[1].exp(), HEAVIEST + (1 - HEAVIEST) * free[3].sigmoid()
        return free[0], size, SKEWEST * free[2].tanh(), tails

    def cost() -> Tensor:
        place, size, skewness, tails = curve()
        v = (u - place) / size
        bent = tails * v.asinh() - skewness
        log_slope = (tails / size).log() + bent.cosh().log() - (1 + v.square()).log() / 2
        return (bent.sinh().square() / 2 - log_slope).mean() + math.log(2 * math.pi) / 2

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = cost()
        loss.backward()
        return loss

    optimiser = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")
    with torch.enable_grad():
        optimiser.step(closure)
        nats = float(cost().detach() + spread.log())
    place, size, skewness, tails = (each.detach() for each in curve())
    return (centre + spread * place, spread * size, skewness, tails), nats


def _kurtosis(x: Tensor) -> float:
    """Fourth central moment of values (n,) over the square of the second."""
    squares = (x - x.mean()).square()
    return float(squares.square().mean() / squares.mean().square())


def _normal_nats(x: Tensor) -> float:
    """Nats a value of the normal distribution of the mean and variance of values (n,)."""
    return math.log(2 * math.pi * math.e) / 2 + float(x.var(correction=0).log()) / 2
