"""Metrics of discrete modes: classes that a judge names, and the components of a mixture of Gaussians."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.errors import UserError

SIMULATIONS = 200
HIGH_QUALITY = 3.0
"""Mahalanobis distance below which a point belongs to a component (VEEGAN, PacGAN)."""


class Modes(NamedTuple):
    """How many modes were hit, and KL(samples' modes || uniform) in nats."""

    modes: int
    reverse_kl: float


class MixtureModes(NamedTuple):
    """Modes hit by a high-quality point, share of high-quality points, and the reverse KL in nats."""

    modes: int
    high_quality: float
    reverse_kl: float


def inception_score(probabilities: Tensor, *, splits: int = 10) -> tuple[float, float]:
    """Inception score: exp of the mean KL(p(y|x) || p(y)), mean and standard deviation over `splits` parts.

    Args:
        probabilities: (N, K), rows sum to 1.
        splits: consecutive parts; fewer where there are fewer examples than parts.

    Source: Salimans et al. 2016, section 4.

    >>> inception_score(torch.eye(4).repeat(5, 1), splits=1)
    (4.0, 0.0)
    """
    scores = []
    for part in probabilities.double().tensor_split(min(splits, len(probabilities))):
        marginal = part.mean(0)
        divergence = torch.special.xlogy(part, part) - torch.special.xlogy(part, marginal)
        scores.append(divergence.sum(1).mean().exp())
    stacked = torch.stack(scores)
    return float(stacked.mean()), float(stacked.std(correction=0))


def class_histogram(probabilities: Tensor) -> Tensor:
    """Share of the examples (N, K) whose most probable class is each of the K.

    >>> class_histogram(torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])).tolist()
    [0.75, 0.25]
    """
    return shares(probabilities.argmax(1), probabilities.shape[1])


def shares(labels: Tensor, classes: int) -> Tensor:
    """Share of the labels (N,) int64 that is each of the classes, (classes,) float64."""
    return torch.bincount(labels, minlength=classes).double() / max(len(labels), 1)


def modes_and_kl(labels: Tensor, classes: int) -> Modes:
    """Modes hit at least once by `labels` (N,) int64, and KL(p || uniform) = sum p ln(p K) in nats.

    Source: the protocol of StackedMNIST (Lin et al. 2018, PacGAN, section 4.2), there with N = 26,000, K = 1,000.
    A perfect sampler does not reach 0: see `reverse_kl_floor`.

    >>> modes_and_kl(torch.tensor([0, 0, 1, 1]), 2)
    Modes(modes=2, reverse_kl=0.0)
    """
    p = shares(labels, classes)
    return Modes(int((p > 0).sum()), float(torch.special.xlogy(p, p * classes).sum().clamp(min=0.0)))


def reverse_kl_floor(n: int, classes: int, generator: torch.Generator | None = None) -> float:
    """Reverse KL in nats that a perfect uniform sampler is expected to score with n draws.

    The first term of its expansion, (K - 1) / 2N, or with a generator the mean of simulated draws, which also
    holds where n is not large against the number of classes.

    >>> round(reverse_kl_floor(26_000, 1_000), 4)
    0.0192
    """
    if generator is None:
        return (classes - 1) / (2 * n)
    draws = (torch.randint(classes, (n,), generator=generator) for _ in range(SIMULATIONS))
    return sum(modes_and_kl(labels, classes).reverse_kl for labels in draws) / SIMULATIONS


def mixture_modes(points: Tensor, means: Tensor, sigma: float) -> MixtureModes:
    """How a mixture of equal isotropic Gaussians is covered by `points` (N, D), in the units of `means` (K, D).

    A point within 3 sigma of its nearest mean is of high quality, and one such point makes a mode. The reverse KL
    is over the nearest means of all points, against uniform.

    Source: Srivastava et al. 2017 (VEEGAN), section 4.1; Lin et al. 2018 (PacGAN), section 4.1; N = 2,500 there.

    Raises:
        UserError: points and means differ in dimension.
    """
    if points.ndim != 2 or points.shape[1] != means.shape[1]:
        raise UserError(f"expected points of shape (N, {means.shape[1]}), got {tuple(points.shape)}")
    distance, nearest = torch.cdist(points.double(), means.double()).min(1)
    good = distance < HIGH_QUALITY * sigma
    modes = int(nearest[good].unique().numel())
    return MixtureModes(modes, float(good.double().mean()), modes_and_kl(nearest, len(means)).reverse_kl)
