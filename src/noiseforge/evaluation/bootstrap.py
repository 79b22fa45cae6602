"""95 % intervals by resampling examples with replacement (Efron 1979), from an explicit generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

REPLICATES = 200
MEAN_REPLICATES = 1_000
FEWEST = 20
"""Replicates below which no interval is given."""
ENDS = torch.tensor([0.025, 0.975], dtype=torch.float64)
NORMAL = 1.96
BUDGET = 1e12
"""Floating-point operations that the replicates of one Fréchet distance may take, some 10 to 20 s on two cores."""


class Interval(NamedTuple):
    """Ends of a 95 % interval."""

    low: float
    high: float


def mean_interval(units: Tensor, *, generator: torch.Generator, replicates: int = MEAN_REPLICATES) -> Interval:
    """Percentile interval of the mean of `units` (N,), the averaged units themselves being resampled."""
    units = units.double()
    draws = (torch.randint(len(units), (len(units),), generator=generator) for _ in range(replicates))
    low, high = torch.stack([units[draw].mean() for draw in draws]).quantile(ENDS).tolist()
    return Interval(low, high)


def resampled_interval(
    statistic: Callable[..., float],
    *sets: Tensor,
    value: float,
    generator: torch.Generator,
    replicates: int = REPLICATES,
) -> Interval | None:
    """Interval of `statistic(*sets)`, the rows of each set being resampled on their own.

    The spread of the replicates is moved to lie around `value`: for statistics that are biased in N, such as a
    Fréchet distance, a resample with its repeated rows is biased once more, and the plain percentiles would miss
    the value itself.

    Returns:
        None where fewer than 20 replicates are asked for.
    """
    if replicates < FEWEST:
        return None
    scores = torch.tensor(
        [
            statistic(*(x[torch.randint(len(x), (len(x),), generator=generator)] for x in sets))
            for _ in range(replicates)
        ],
        dtype=torch.float64,
    )
    low, high = (value + scores.quantile(ENDS) - scores.mean()).tolist()
    return Interval(min(low, value), max(high, value))


def normal_interval(value: float, standard_error: float) -> Interval:
    """Interval of an estimate whose error is normal.

    >>> normal_interval(0.0, 0.5)
    Interval(low=-0.98, high=0.98)
    """
    return Interval(value - NORMAL * standard_error, value + NORMAL * standard_error)


def wilson(share: float, n: int) -> Interval:
    """95 % interval of a share of n trials, which has a width at 0 and 1 too (Wilson 1927).

    >>> wilson(0.9, 10)
    Interval(low=0.5958..., high=0.9821...)
    """
    weight = NORMAL**2 / n
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return Interval(min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


def frechet_replicates(n: int, d: int) -> int:
    """Replicates of a Fréchet distance that the budget allows, from n rows in both sets together and d features."""
    return min(REPLICATES, int(BUDGET / (2 * n * d**2 + 30 * d**3)))
