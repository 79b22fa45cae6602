"""Whitening: features of one scale without correlation, from which exact linear dependencies come back."""

import torch
from torch import Tensor, nn

NEGLIGIBLE = 1e-7
"""Share of the largest variance under which a direction counts as an exact dependency between columns."""


class Whitening(nn.Module):
    """x (..., D) to components (..., D) of mean 0, variance 1 and no correlation, and back.

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
    def fit(self, rows: Tensor, differences: Tensor | None = None) -> None:
        """Takes mean and covariance from rows (n, D) without gaps; the largest component comes first.

        With the differences (m, D) of a step and the one before it, components are turned until the steps of one do
        not correlate with those of another either (Switzer and Green 1984), and the smoothest comes first: so noise
        that is drawn component by component does not roughen a smooth column. Of constant columns nothing is kept.
        """
        rows = rows.double()
        mean = rows.mean(0)
        variances, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        variances, directions = variances.flip(0), directions.flip(1)
        if not variances.numel():
            return
        kept = variances > NEGLIGIBLE * variances[0]
        scales = variances.clamp(min=0).sqrt()
        matrix, inverse = directions * torch.where(kept, 1 / scales, 0), (directions * torch.where(kept, scales, 0)).T
        if differences is not None and len(differences) and kept.any():
            turn = _least_change(differences.double() @ matrix[:, kept])
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


def _least_change(differences: Tensor) -> Tensor:
    """(D, D) directions without correlation in differences (m, D) of components, that of the least change first."""
    return torch.linalg.eigh(differences.T @ differences / len(differences))[1]


def _product(x: Tensor, matrix: Tensor) -> Tensor:
    # The 8 bits of bfloat16 hold no small contrast of large numbers.
    with torch.autocast(x.device.type, enabled=False):
        return x.to(matrix.dtype) @ matrix
