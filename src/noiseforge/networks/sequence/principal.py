"""Codes of series that are known in closed form: their principal components."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseforge.networks.sequence.related import apart, related

LARGEST = 2**25
"""Numbers of the directions of a code, at most: longer series have fewer of them."""
NEGLIGIBLE = 1e-12
"""Share of the mean square of a series under which a variance is none, but rounding."""
EXACT = 2048
"""Numbers of a series up to which the directions are those of the whole covariance."""
ROUNDS = 6
"""Of the iteration for longer ones."""
SQUARED_NORM = 128
"""Mean squared norm of a code: whatever its size, a gradient penalty means the same."""


def code_size(wanted: int, numbers: int) -> int:
    """Directions that a code of series of so many numbers has."""
    return max(1, min(wanted, numbers, LARGEST // numbers))


class PrincipalCode(nn.Module):
    """Series (N, F) to codes (N, size), and back: what of them varies most, without correlation (Pearson 1901).

    Each direction keeps its scale, relative to the others, so that whoever judges codes sees most of what is most of
    a series.

    Args:
        numbers: F of a series.
        size: numbers of a code.
    """

    mean: Tensor
    directions: Tensor
    unit: Tensor
    scales: Tensor

    def __init__(self, numbers: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("directions", torch.zeros(numbers, size))
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("scales", torch.zeros(size))

    @torch.no_grad()
    def fit(self, series: Tensor, channels: int = 1) -> None:
        """Takes the directions, of the largest variance first, from (n, F) series.

        Channels that have nothing to do with each other have directions of their own, in series of `EXACT` numbers at
        most: variances that are equal would mix them, and whoever makes codes would have to find them again.

        Args:
            series: steps of so many channels, one after the other.
            channels: numbers of a step.
        """
        mean = series.mean(0)
        centred, size = series - mean, self.directions.shape[1]
        if series.shape[1] <= EXACT:
            exact = centred.double()
            covariance = exact.T @ exact / len(series)
            variances, directions = torch.linalg.eigh(apart(covariance, related(covariance, channels)))
            variances, directions = variances.flip(0)[:size], directions.flip(1)[:, :size]
        else:
            sizes, directions = _largest(centred, min(size, len(series)))
            variances = sizes.square() / len(series)
        found = len(variances)
        variances = torch.where(variances > NEGLIGIBLE * series.square().sum(1).mean(), variances, 0)
        scales = variances.sqrt().float()
        unit = scales.square().sum().div(SQUARED_NORM).sqrt()
        self.unit.copy_(torch.where(unit > 0, unit, 1))
        self.mean.copy_(mean)
        self.directions[:, :found] = directions.float() * (scales > 0)
        self.scales[:found] = scales / self.unit

    def forward(self, series: Tensor) -> Tensor:
        with torch.autocast(series.device.type, enabled=False):
            return (series.float() - self.mean) @ self.directions / self.unit

    def restore(self, code: Tensor) -> Tensor:
        """(N, F) of codes (N, size): 0 beside the mean in all other directions."""
        with torch.autocast(code.device.type, enabled=False):
            return self.mean + code.float() * self.unit @ self.directions.T


def _largest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest singular values of (n, F) and their directions (F, count), by iteration (Halko et al. 2011)."""
    directions = torch.randn(x.shape[1], count, generator=torch.Generator().manual_seed(0)).to(x)
    for _ in range(ROUNDS):
        directions = torch.linalg.qr(x.T @ (x @ directions)).Q
    _, sizes, rotation = torch.linalg.svd(x @ directions, full_matrices=False)
    return sizes, directions @ rotation.T
