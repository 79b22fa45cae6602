"""Log-likelihoods log p(x|z) in nats, each summed over all but the first dimension: (N, ...) -> (N,)."""

import math
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from noiseforge.objectives.variational import guarded, normal_log_density

Number = TypeVar("Number", float, Tensor)


def bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """Σ log σ(x · logits), giving (N,) in nats: of values that are 1 with probability σ(logits), else -1.

    Args:
        x: (N, ...), -1 or 1: see `binarised`.
        logits: (N, ...).

    Raises:
        ValueError: the shapes differ.

    Kingma & Welling 2013, appendix C.1.

    >>> bernoulli(torch.tensor([[-1.0, 1.0]]), torch.zeros(1, 2))
    tensor([-1.3863])
    """
    _same_shape(x, logits)
    return _summed(logsigmoid(x * logits))


def gaussian(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Σ log N(x; mean, exp(log_scale)²), giving (N,) in nats: a density, which may be above 0.

    Args:
        x: (N, ...).
        mean: (N, ...).
        log_scale: log σ, of any shape that broadcasts to that of x; clamped to (-15, 10).

    Raises:
        ValueError: the shapes differ.

    Kingma & Welling 2013, appendix C.2.

    >>> gaussian(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor(0.0))
    tensor([-1.8379])
    """
    _same_shape(x, mean)
    return _summed(normal_log_density(x, mean, guarded(2 * log_scale)))


def discretised_logistic(x: Tensor, mean: Tensor, log_scale: Tensor, *, levels: int = 256) -> Tensor:
    """Σ log P(x), the mass of a logistic distribution on each value's bin, giving (N,) in nats.

    The bins of the first and the last level reach to −∞ and ∞, so that the masses of all levels sum to 1.

    Args:
        x: (N, ...), on the grid of `levels` values from -1 to 1; anything else is taken for the nearest of them.
        mean: (N, ...).
        log_scale: log s of the logistic, of any shape that broadcasts to that of x; clamped to (-15, 10).
        levels: how many values there are, at least 2.

    Raises:
        ValueError: the shapes differ, or there are fewer than 2 levels.

    Salimans et al. 2017 (PixelCNN++), eq. 2 with one component; Kingma et al. 2016, appendix C.

    >>> grid = torch.linspace(-1, 1, 4)[:, None]
    >>> float(discretised_logistic(grid, torch.full((4, 1), 0.3), torch.tensor(-1.0), levels=4).exp().sum())
    1.0
    """
    _same_shape(x, mean)
    if levels < 2:
        raise ValueError(f"discretised_logistic needs at least 2 levels, got {levels}")
    return _summed(_logistic_mass(x, mean, log_scale, levels))


def logistic_mixture(x: Tensor, parameters: Tensor, *, levels: int = 65_536) -> Tensor:
    """log P(x) of a mixture of discretised logistics, value by value, in nats.

    Args:
        x: (...), on the grid of `levels` values from -1 to 1; anything else is taken for the nearest of them.
        parameters: (..., 3·M): logits of the M components, their means, and their log scales.
        levels: how many values there are.

    Returns:
        (...), like x.

    Salimans et al. 2017 (PixelCNN++), eq. 2; van den Oord et al. 2018 (Parallel WaveNet), section 2.2.

    >>> grid = torch.linspace(-1, 1, 5)
    >>> parameters = torch.tensor([0.3, 0.0, -0.5, 0.5, -1.0, -2.0]).expand(5, 6)
    >>> round(float(logistic_mixture(grid, parameters, levels=5).exp().sum()), 5)
    1.0
    """
    logits, means, log_scales = parameters.chunk(3, dim=-1)
    masses = _logistic_mass(x.unsqueeze(-1), means, log_scales, levels)
    return (logits.log_softmax(-1) + masses).logsumexp(-1)


def binarised(x: Tensor, thresholds: Tensor) -> Tensor:
    """x in [-1, 1] -> 1 where it lies above its threshold, else -1.

    Args:
        x: (N, ...), in model units.
        thresholds: (N, ...); uniform in [-1, 1), they give 1 with probability (x + 1) / 2, and new ones at every look
            at x are the dynamic binarisation.

    Raises:
        ValueError: the shapes differ.

    Salakhutdinov & Murray 2008; drawn anew each time as in Burda et al. 2016.
    """
    _same_shape(x, thresholds)
    return (x > thresholds).to(x.dtype).mul_(2).sub_(1)


def bits_per_dimension(nats: Number, dimensions: int) -> Number:
    """A negative log-likelihood of a whole example in nats, as bits for each of its values.

    >>> bits_per_dimension(3 * math.log(256), 3)
    8.0
    """
    return nats / (dimensions * math.log(2))


def _summed(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


def _same_shape(x: Tensor, other: Tensor) -> None:
    if x.shape != other.shape or x.ndim < 2:
        raise ValueError(
            f"a likelihood compares value with value: expected two tensors of one shape (N, ...), "
            f"got {tuple(x.shape)} and {tuple(other.shape)}"
        )


def _logistic_mass(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """The logarithm of the mass of a logistic on the bin of each value."""
    rate = (-0.5 * guarded(2 * log_scale)).exp()
    # Neighbours share a bin's end to the last bit, so that what one rounds away the other gains.
    level = ((x + 1) * (0.5 * (levels - 1))).round().clamp(0, levels - 1)
    upper = rate * ((2 * level + 1) / (levels - 1) - 1 - mean)
    lower = rate * ((2 * level - 1) / (levels - 1) - 1 - mean)
    # σ(upper) − σ(lower) = σ(upper) σ(−lower) (1 − exp(lower − upper)), which cancels nowhere.
    inside = (-torch.expm1(rate * (-2 / (levels - 1)))).log()
    first, last = level == 0, level == levels - 1
    mass = logsigmoid(upper).masked_fill(last, 0) + logsigmoid(-lower).masked_fill(first, 0)
    return mass + inside.expand_as(mass).masked_fill(first | last, 0)
