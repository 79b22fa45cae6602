"""What is counted on series: cheap, the same every time, and better the smaller. Pure functions of series without gaps.

Series that are missing values are compared by those that are known: where a function takes x (N, T, D), NaN marks what
is missing, and what is after the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.evaluation.sequence_view import Filled, within

MOST_LAGS = 32
"""Steps apart up to which values are compared with later ones."""
QUIETEST = -60.0
"""Decibels below the strongest real frequency at which power counts as none."""
LEAST_SPREAD = 1e-3
"""Standard deviation that a feature is taken to have at least."""
POINTS = 2_000
"""Quantiles by which two distributions are compared."""


def marginal_difference(real: Tensor, fake: Tensor) -> float:
    """Mean over features of how far values must be moved to be distributed like the real ones, in real standard
    deviations: the Wasserstein distance of order 1 between all values of a feature.

    >>> x = torch.tensor([[[0.0], [1.0], [2.0], [3.0]]])
    >>> round(marginal_difference(x, x + 1), 4), marginal_difference(x, x)
    (0.8944, 0.0)
    """
    return _over_features(real, fake, lambda a, b: (_quantiles(a) - _quantiles(b)).abs().mean() / _spread(a))


def skewness_difference(real: Tensor, fake: Tensor) -> float:
    """Mean over features of the difference of the third standardised moments."""
    return _over_features(real, fake, lambda a, b: (_moment(a, 3) - _moment(b, 3)).abs())


def kurtosis_difference(real: Tensor, fake: Tensor) -> float:
    """Mean over features of the difference of the fourth standardised moments."""
    return _over_features(real, fake, lambda a, b: (_moment(a, 4) - _moment(b, 4)).abs())


def autocorrelation(x: Tensor, lags: int) -> Tensor:
    """(lags + 1, D), of series (N, T, D) about the mean of each: 1 at lag 0; 0 where nothing varies.

    Sums over all series are divided once, so that series that hardly vary count little.
    """
    x = x.double()
    known = ~x.isnan()
    mean = x.nansum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
    centred = torch.where(known, x - mean, 0.0)
    found = []
    for lag in range(lags + 1):
        pairs = (known[:, lag:] & known[:, : x.shape[1] - lag]).sum((0, 1)).clamp(min=1)
        found.append((centred[:, lag:] * centred[:, : x.shape[1] - lag]).sum((0, 1)) / pairs)
    covariance = torch.stack(found)
    return torch.where(covariance[0] > 0, covariance / covariance[0].clamp(min=1e-30), 0.0)


def autocorrelation_difference(real: Tensor, fake: Tensor) -> float:
    """Mean over features, and over lags up to 32 and to half of the series, of the difference of autocorrelations."""
    lags = most_lags(real)
    return float((autocorrelation(real, lags)[1:] - autocorrelation(fake, lags)[1:]).abs().mean())


def most_lags(x: Tensor) -> int:
    """Lags at which series (N, T, D) are compared: 32, or half of the steps."""
    return max(min(MOST_LAGS, x.shape[1] // 2), 1)


def correlation_difference(real: Tensor, fake: Tensor) -> float:
    """Sum over pairs of features of the difference of their correlations, over 10, as it is published.

    Liao et al. 2020, "Conditional Sig-Wasserstein GANs"; Yuan and Qiao 2024, "Diffusion-TS".
    """
    lower = torch.ones(real.shape[2], real.shape[2]).tril(-1).bool()
    return float((_correlations(real) - _correlations(fake)).abs()[lower].sum() / 10)


def kernel_distance(real: Tensor, fake: Tensor) -> float:
    """Squared maximum mean discrepancy of vectors (N, F), (M, F), unbiased, by a Gaussian kernel of the median distance
    between real ones (Gretton et al. 2012, eq. 3); 0 on average where both are alike, and then as often below.
    """
    real, fake = real.double(), fake.double()
    squares = [torch.cdist(a, b).square() for a, b in ((real, real), (fake, fake), (real, fake))]
    off = ~torch.eye(len(real), dtype=torch.bool)
    width = squares[0][off].median().clamp(min=1e-12)
    within_real, within_fake, across = (torch.exp(-square / width) for square in squares)
    return float(_mean_apart(within_real) + _mean_apart(within_fake) - 2 * across.mean())


def power(series: Filled) -> Tensor:
    """Power (N, F, D) of each frequency in each series, about its own mean."""
    x, length, _ = series
    inside = within(length, x.shape[1])[..., None]
    mean = x.sum(1, keepdim=True) / length.clamp(min=1)[:, None, None]
    return torch.fft.rfft(((x - mean) * inside).double(), dim=1).abs().square()[:, 1:]


def spectral_distance(real: Tensor, fake: Tensor) -> float:
    """Root mean square difference in decibels of the mean power at each frequency, over all features.

    What is 60 dB below the strongest frequency of a real feature counts as silence.

    Args:
        real: `power` of real series.
        fake: `power` of samples.
    """
    theirs, ours = real.mean(0), fake.mean(0)
    least = theirs.amax(0).clamp(min=1e-12) * 10 ** (QUIETEST / 10)
    apart = 10 * (torch.maximum(ours, least) / torch.maximum(theirs, least)).log10()
    return float(apart.square().mean().sqrt())


class Compared(NamedTuple):
    """Two distributions of numbers."""

    statistic: float
    """Largest difference of the two shares below any number: that of Kolmogorov and Smirnov."""
    p: float
    """How often samples of one distribution differ as much."""


def lengths_compared(real: Tensor, fake: Tensor) -> Compared:
    """Lengths (N,), (M,) by the test of Kolmogorov and Smirnov, whose p is too large where many lengths are equal."""
    from scipy.stats import ks_2samp

    found = ks_2samp(real.numpy(), fake.numpy())
    return Compared(float(found.statistic), float(found.pvalue))


def masked(samples: Samples) -> Tensor:
    """x (N, T, D) with NaN also after the end."""
    return samples.x.float().masked_fill(~_inside(samples)[..., None], torch.nan)


def missing_difference(real: Samples, fake: Samples) -> float:
    """Mean over features of the difference of the shares of steps at which a value is missing."""
    ours, theirs = (
        (samples.x.isnan() & inside[..., None]).sum((0, 1)) / inside.sum()
        for samples in (fake, real)
        for inside in [_inside(samples)]
    )
    return float((ours - theirs).abs().mean())


def _inside(samples: Samples) -> Tensor:
    """Which steps (N, T) are before the end."""
    length = torch.full((len(samples.x),), samples.x.shape[1]) if samples.length is None else samples.length
    return within(length, samples.x.shape[1])


def _over_features(real: Tensor, fake: Tensor, difference: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Mean of what a function makes of the known values (n,), (m,) of each feature; 0 where one has none."""
    found = [0.0]
    for feature in range(real.shape[2]):
        a, b = (values[~values.isnan()] for values in (x[..., feature].double() for x in (real, fake)))
        if len(a) and len(b):
            found.append(float(difference(a, b)))
    return sum(found) / max(len(found) - 1, 1)


def _quantiles(values: Tensor) -> Tensor:
    """Of values (n,) at evenly spread shares."""
    places = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS * len(values)
    return values.sort().values[places.long().clamp(max=len(values) - 1)]


def _spread(values: Tensor) -> Tensor:
    return values.std(correction=0).clamp(min=LEAST_SPREAD)


def _moment(values: Tensor, order: int) -> Tensor:
    return ((values - values.mean()) / _spread(values)).pow(order).mean()


def _correlations(x: Tensor) -> Tensor:
    """(D, D), each pair of features by the steps at which both are known; 0 where one does not vary."""
    values = x.flatten(0, 1).double()
    known = (~values.isnan()).double()
    values = values.nan_to_num(0.0)
    values = (values - values.sum(0) / known.sum(0).clamp(min=1)) * known
    both = (known.T @ known).clamp(min=1)
    covariance = values.T @ values / both
    # The variance of either feature, over the same steps.
    variance = values.square().T @ known / both
    scale = (variance * variance.T).sqrt()
    return torch.where(scale > 1e-12, covariance / scale.clamp(min=1e-12), 0.0)


def _mean_apart(kernel: Tensor) -> Tensor:
    n = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))
