"""Precision, recall, density and coverage: whether samples lie among real data, and real data among samples."""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.errors import UserError
from noiseforge.evaluation.neighbours import rounding, tiles

logger = logging.getLogger(__name__)

NEIGHBOURS = 5
REPEATED = 0.01
"""Share of zero radii above which the neighbourhoods say little."""


class Coverage(NamedTuple):
    """One number for each example; each of the four metrics is the mean of its tensor.

    precision and density (n_fake,), recall and coverage (n_real,), all float64.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


def precision_recall_density_coverage(real: Tensor, fake: Tensor, *, k: int = NEIGHBOURS) -> dict[str, float]:
    """The four metrics as numbers; see `neighbourhoods`.

    >>> x = torch.arange(20.0).reshape(10, 2)
    >>> precision_recall_density_coverage(x, x, k=2)["coverage"]
    1.0
    """
    return {name: float(units.mean()) for name, units in neighbourhoods(real, fake, k=k)._asdict().items()}


def neighbourhoods(real: Tensor, fake: Tensor, *, k: int = NEIGHBOURS) -> Coverage:
    """Which examples lie in the balls around the others that reach to their k-th nearest neighbour.

    Precision: a sample lies in the ball of some real example. Recall: a real example lies in the ball of some sample.
    Density: the real balls that a sample lies in, over k. Coverage: the ball of a real example holds a sample.
    Balls are closed, so that repeated points (quantised data) lie in each other's balls even where these have no size.

    Args:
        real: (n, d) features.
        fake: (m, d) features.
        k: neighbours, the point itself not counted; fewer where there are no more than k points.

    Raises:
        UserError: fewer than two points in a set.

    Source: Kynkäänniemi et al. 2019, eq. 2; Naeem et al. 2020, eq. 4 and 6.
    """
    if min(len(real), len(fake)) < 2:
        raise UserError(
            f"neighbourhoods need at least 2 real and 2 generated examples, got {len(real)} and {len(fake)}"
        )
    real, fake = real.double(), fake.double()
    k = min(k, len(real) - 1, len(fake) - 1)
    slack = rounding(real, fake)
    real_radii, fake_radii = (_squared_radii(x, k, slack, name) for x, name in ((real, "real"), (fake, "generated")))
    inside_real = torch.zeros(len(fake), dtype=torch.float64)
    recall, covered = torch.empty(len(real)).double(), torch.empty(len(real)).double()
    for part, squared in tiles(real, fake):
        in_real_ball = squared <= real_radii[part, None]
        inside_real += in_real_ball.sum(0)
        covered[part] = in_real_ball.any(1).double()
        recall[part] = (squared <= fake_radii).any(1).double()
    return Coverage((inside_real > 0).double(), recall, inside_real / k, covered)


def _squared_radii(x: Tensor, k: int, slack: float, name: str) -> Tensor:
    """Squared distance (n,) to the k-th nearest other point, and the slack that rounding asks for."""
    # The point itself is the nearest of the k + 1.
    radii = torch.cat([squared.topk(k + 1, largest=False).values[:, -1] for _, squared in tiles(x, x)])
    zero = float((radii <= slack).double().mean())
    if zero > REPEATED:
        logger.warning("%.1f %% of the %s examples are repeated more than %d times", 100 * zero, name, k)
    return radii + slack
