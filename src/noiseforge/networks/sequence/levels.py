"""How loud and how lively series are, as a density: a mixture of normal distributions that is fitted once."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

PER_COMPONENT = 50
"""Series of a class that one component stands for, at least."""
PER_LEVEL = 5
"""The same, for each number of their levels: a component has a covariance."""
SMALLEST = 0.02
"""Variance that a component has in every direction, in those of whitened levels: series of one component may be windows
that overlap, and what is drawn is to be near their levels, not on them."""
LEAST = 1e-4
"""Share of a variance under which it is none."""
EQUAL = 0.02
"""Standard deviation of the logarithms of shares under which they are equal."""


class Shares(nn.Module):
    """Shares (N, R) of variances to numbers of mean 0 and variance 1 that a mixture can be of.

    Shares of a component that differ hardly at all count as equal. None comes back larger than the largest was.

    Args:
        components: R.
    """

    mean: Tensor
    scale: Tensor
    largest: Tensor

    def __init__(self, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(components))
        self.register_buffer("largest", torch.ones(components))
        self.register_buffer("scale", torch.zeros(components))

    @torch.no_grad()
    def fit(self, share: Tensor) -> None:
        """Takes the mean and scale of their logarithms from (n, R)."""
        logs = share.clamp(min=LEAST).log()
        self.mean.copy_(logs.mean(0))
        self.largest.copy_(share.amax(0))
        scale = (logs - self.mean).square().mean(0).sqrt()
        self.scale.copy_(torch.where(scale > EQUAL, scale, 0))

    def forward(self, share: Tensor) -> Tensor:
        logs = share.clamp(min=LEAST).log() - self.mean
        return torch.where(self.scale > 0, logs / self.scale, 0)

    def restore(self, numbers: Tensor) -> Tensor:
        """(N, R) shares."""
        return torch.minimum((self.mean + self.scale * numbers).exp(), self.largest)


class LevelMixture(nn.Module):
    """Noise (N, levels + 1), and labels (N,) if there are classes, to levels (N, levels).

    Levels are few numbers, of a distribution with corners that a game on codes is slow to find and a mixture has at
    once (McLachlan and Peel 2000). The last number of the noise chooses a component, the others are moved by it, so
    that equal noise gives equal levels.

    Args:
        levels: how many.
        components: of the mixture of each class, at most.
        classes: labels, 0 for none.
    """

    shares: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, levels: int, components: int, classes: int = 0) -> None:
        super().__init__()
        mixtures = max(classes, 1)
        self.levels, self.components = levels, components
        self.register_buffer("shares", torch.full((mixtures, components), 1 / components))
        self.register_buffer("means", torch.zeros(mixtures, components, levels))
        self.register_buffer("factors", torch.eye(levels).repeat(mixtures, components, 1, 1))

    @torch.no_grad()
    def fit(self, level: Tensor, y: Tensor | None, kept: Tensor) -> None:
        """Takes the mixtures from whitened levels (N, levels) and labels (N,), which are None without classes.

        Args:
            level: of training series.
            y: their labels.
            kept: (levels,) 1 for those that vary; the others stay at 0.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        if self.levels == 0:
            return
        for mixture in range(len(self.shares)):
            some = level if y is None else level[y == mixture]
            some = some if len(some) > 1 else level
            count = max(1, min(self.components, len(some) // max(PER_COMPONENT, PER_LEVEL * int(kept.sum()))))
            fitted = GaussianMixture(count, reg_covar=SMALLEST, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # near enough is good enough here
                fitted.fit(some.double().numpy())
            self.shares[mixture] = 0
            self.shares[mixture, :count] = torch.from_numpy(fitted.weights_)
            self.means[mixture, :count] = torch.from_numpy(fitted.means_) * kept
            factors = torch.linalg.cholesky(torch.from_numpy(fitted.covariances_))
            self.factors[mixture, :count] = (factors * kept[:, None]).float()

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        mixture = torch.zeros(len(z), dtype=torch.long, device=z.device) if y is None else y
        chance = torch.special.ndtr(z[:, -1:].float())
        passed = (chance > self.shares[mixture].cumsum(1)).sum(1)
        component = passed.clamp(max=self.components - 1)
        # Rounding may leave a chance beyond the last share that is not 0.
        component = torch.minimum(component, (self.shares[mixture] > 0).sum(1) - 1)
        moved = torch.einsum("nij,nj->ni", self.factors[mixture, component], z[:, :-1].float())
        return self.means[mixture, component] + moved
