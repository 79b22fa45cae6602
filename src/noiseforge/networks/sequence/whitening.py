"""Whitening: features of one scale without correlation, from which exact linear dependencies come back."""

import torch
from torch import Tensor, nn

from noiseforge.networks.sequence.related import apart

NEGLIGIBLE = 1e-7
"""Share of the largest variance under which a direction counts as an exact dependency between columns."""


class Whitening(nn.Module):
    """x (..., D) to components (..., D) of mean 0, variance 1 and, within a group of columns, no correlation; and back.

    A small contrast between columns (the day's high less its low) weighs as much as their common level. A direction
    in which the data do not vary, such as the difference of two equal columns, is a component that is always 0, so
    that what comes back keeps the dependency, whatever the other components are.
    """

    mean: Tensor
    matrix: Tensor
    inverse: Tensor
    kept: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("matrix", torch.eye(features))
        self.register_buffer("inverse", torch.eye(features))
        self.register_buffer("kept", torch.ones(features))

    @torch.no_grad()
    def fit(self, rows: Tensor, differences: Tensor | None = None, group: Tensor | None = None) -> None:
        """Takes mean and covariance from rows (n, D) without gaps; the largest component comes first.

        With the differences (m, D) of a step and the one before it, components are turned until the steps of one do
        not correlate with those of another either (Switzer and Green 1984), and the smoothest comes first: so noise
        that is drawn component by component does not roughen a smooth column. Of constant columns nothing is kept.

        Columns of different groups (D,) have components of their own, which may then correlate: unless an exact
        dependency, as of the sum of many columns, is between groups.
        """
        rows = rows.double()
        mean = rows.mean(0)
        covariance = _covariance(rows - mean)
        group = torch.zeros(len(mean), device=rows.device) if group is None else group
        variances, directions, kept = _directions(apart(covariance, group))
        if not variances.numel():
            return
        if kept.sum() > (whole := _directions(covariance))[2].sum():
            (variances, directions, kept), group = whole, torch.zeros_like(group)
        scales = variances.clamp(min=0).sqrt()
        matrix, inverse = directions * torch.where(kept, 1 / scales, 0), (directions * torch.where(kept, scales, 0)).T
        if differences is not None and len(differences) and kept.any():
            changes = _covariance(differences.double() @ matrix[:, kept])
            turn = torch.linalg.eigh(apart(changes, group[matrix[:, kept].abs().argmax(0)]))[1]  # least change first
            matrix[:, kept], inverse[kept] = matrix[:, kept] @ turn, turn.T @ inverse[kept]
        self.mean.copy_(mean)
        self.matrix.copy_(matrix)
        self.inverse.copy_(inverse)
        self.kept.copy_(kept)

    def forward(self, x: Tensor) -> Tensor:
        return self.rotated(x - self.mean)

    def rotated(self, difference: Tensor) -> Tensor:
        """A difference of two x, in components."""
        return _product(difference, self.matrix)

    def unrotated(self, difference: Tensor) -> Tensor:
        """A difference of two in components, in x."""
        return _product(difference, self.inverse)

    def restore(self, components: Tensor) -> Tensor:
        """x of components (..., D)."""
        return self.unrotated(components) + self.mean


def _covariance(centred: Tensor) -> Tensor:
    """(D, D) of (n, D)."""
    return centred.T @ centred / len(centred)


def _directions(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Variances (D,), the largest first, their directions (D, D), and which are more than none (D,)."""
    variances, directions = torch.linalg.eigh(covariance)
    variances, directions = variances.flip(0), directions.flip(1)
    return variances, directions, variances > NEGLIGIBLE * variances[:1]


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    # The 8 bits of bfloat16 hold no small contrast of large numbers.
    with torch.autocast(x.device.type, enabled=False):
        return x.to(matrix.dtype) @ matrix
