"""Which channels of series have to do with each other, as far as correlations tell."""

import torch
from torch import Tensor

RELATED = 0.1
"""Correlation above which two numbers have to do with each other; chance seldom has as much in 2,000 series."""


def related_columns(x: Tensor, there: Tensor) -> Tensor:
    """(D,) a number for each column of series (N, T, D), equal where they hang together beyond their means at a step.

    Args:
        x: finite.
        there: (N, T, D) bool, which values count.
    """
    mean = (x * there).sum(0) / there.sum(0).clamp(min=1)
    rows = ((x - mean) * there).flatten(0, 1).double()
    return related(rows.T @ rows / len(rows), rows.shape[1])


def related(covariance: Tensor, channels: int) -> Tensor:
    """(F,) a number for each of F numbers, equal where their channels hang together, if by others in between.

    Args:
        covariance: (F, F), of steps of so many channels, one after the other.
        channels: numbers of a step.

    >>> related(torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]), 3).tolist()
    [0, 0, 1]
    """
    from scipy.sparse.csgraph import connected_components

    scale = covariance.diagonal().sqrt()
    correlation = covariance / (scale[:, None] * scale).clamp(min=torch.finfo(covariance.dtype).tiny)
    links = torch.zeros(channels, channels, dtype=torch.bool)
    one, other = (correlation.abs() > RELATED).nonzero().cpu().unbind(1)
    links[one % channels, other % channels] = True
    group = torch.from_numpy(connected_components(links.numpy(), directed=False)[1])
    return group.to(covariance.device).repeat(len(covariance) // max(channels, 1))


def apart(covariance: Tensor, group: Tensor) -> Tensor:
    """A covariance (F, F) without what is between numbers of different groups (F,)."""
    return covariance * (group[:, None] == group)
