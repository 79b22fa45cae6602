"""The baseline that any model of series should beat: a Gaussian along principal components, without any network."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Spec
from noiseforge.evaluation.sequence_view import Filled, within

KEPT = 0.9999
"""Share of the variance that the components hold."""
MOST_COMPONENTS = 512
MOST_VALUES = 4_000_000
"""Of the series that the components are taken from, which are 1,024 at least."""


def gaussian_series(training: Filled, n: int, *, spec: Spec, generator: torch.Generator) -> Filled:
    """n series from a Gaussian with the mean and the covariance of all values of the training series.

    Values are cut to the range of the data; lengths are drawn from the training series, whose values after the end
    count as 0.

    Args:
        training: series of one N, T and D.
        n: how many.
        spec: says the range.
        generator: what they are drawn with.
    """
    x, length, _ = training
    some = torch.randperm(len(x), generator=generator)[: max(MOST_VALUES // x[0].numel(), 1_024)]
    flat = x[some].double().flatten(1)
    mean = flat.mean(0)
    _, scales, directions = torch.linalg.svd(flat - mean, full_matrices=False)
    variance = scales.square() / max(len(flat) - 1, 1)
    share = variance.cumsum(0) / variance.sum().clamp(min=1e-30)
    count = min(int((share < KEPT).sum()) + 1, MOST_COMPONENTS)
    z = torch.randn(n, count, generator=generator, dtype=torch.float64) * variance[:count].sqrt()
    drawn = (mean + z @ directions[:count]).reshape(n, *x.shape[1:]).float()
    if spec.value_range is not None:
        drawn = drawn.clamp(*spec.value_range)
    ends = length[torch.randint(len(length), (n,), generator=generator)]
    return Filled(drawn * within(ends, drawn.shape[1])[..., None], ends)


def with_gaps(series: Filled, training: Tensor, generator: torch.Generator) -> Samples:
    """Series with values missing where they are in random training series x (N, T, D)."""
    gaps = training[torch.randint(len(training), (len(series.x),), generator=generator)].isnan()
    inside = within(series.length, series.x.shape[1])[..., None]
    return Samples(series.x.masked_fill(gaps & inside, torch.nan), length=series.length)
