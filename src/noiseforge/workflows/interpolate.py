"""The way between two points of a latent space."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseforge.errors import UserError


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points on the great circle between two latent vectors, both ends included.

    Draws of a wide normal distribution lie near a sphere; the straight way between two of them crosses a
    region that the model has never seen (White, 2016, Sampling Generative Networks).

    Args:
        start: (D,).
        end: (D,).
        steps: how many points, at least 2.

    Returns:
        (steps, D).

    Raises:
        UserError: fewer than 2 steps.

    >>> spherical(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)
    tensor([[1.0000, 0.0000],
            [0.7071, 0.7071],
            [0.0000, 1.0000]])
    """
    if steps < 2:
        raise UserError(f"steps must be >= 2, got {steps}")
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    a, b = start.double(), end.double()
    cosine = torch.dot(a, b) / (a.norm() * b.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if torch.sin(angle) < 1e-6:  # parallel: the circle is not defined, or is a point
        return ((1 - t) * a + t * b).to(start.dtype)
    weights = torch.sin((1 - t) * angle), torch.sin(t * angle)
    return ((weights[0] * a + weights[1] * b) / torch.sin(angle)).to(start.dtype)


def linear(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points on the straight way between two latent vectors (D,), both ends included: (steps, D).

    Raises:
        UserError: fewer than 2 steps.
    """
    if steps < 2:
        raise UserError(f"steps must be >= 2, got {steps}")
    return torch.lerp(start, end, torch.linspace(0, 1, steps)[:, None])
