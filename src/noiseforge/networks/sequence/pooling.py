"""How the steps of a sequence become one vector. Steps after the end never count."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from noiseforge.networks.sequence.masks import inside

Pooling = Literal["last", "mean", "max", "mean_max"]


def pooled_width(width: int, how: Pooling) -> int:
    """Features that pooling makes of `width` features."""
    return 2 * width if how == "mean_max" else width


def pool(outputs: Tensor, final: Tensor, length: Tensor | None, how: Pooling) -> Tensor:
    """One vector for each sequence.

    Args:
        outputs: (N, T, H).
        final: (N, H), where each sequence has been read to its end: what `last` gives.
        length: (N,) true steps, at least one; all T when None.
        how: last, mean, max, or mean_max, which is both beside each other.

    Returns:
        (N, `pooled_width`).

    >>> x = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> pool(x, x[:, 1], torch.tensor([2]), "mean_max")
    tensor([[2., 3.]])
    """
    if how == "last":
        return final
    parts = []
    if how in ("mean", "mean_max"):
        parts.append(_mean(outputs, length))
    if how in ("max", "mean_max"):
        there = outputs if length is None else outputs.masked_fill(~inside(outputs, length)[:, :, None], -torch.inf)
        parts.append(there.amax(1))
    return torch.cat(parts, 1)


def _mean(outputs: Tensor, length: Tensor | None) -> Tensor:
    if length is None:
        return outputs.mean(1)
    there = inside(outputs, length)[:, :, None]
    return (outputs * there).sum(1) / length.to(outputs.device)[:, None]
