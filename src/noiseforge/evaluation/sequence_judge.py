"""What strong judges say of series: a network large enough to see what the official score is too weak for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.evaluation.sequence_official import Told, predicted, told_apart
from noiseforge.evaluation.sequence_runs import Judge, Pair, Progress, Split, block_split
from noiseforge.evaluation.sequence_view import Filled, filled, within

PREDICTING = Judge(hidden=16, iterations=600, rate=5e-3, cosine=True)
"""Of every feature: larger than the official predictor, and trained faster, so that its error is that of the data."""
MOST_TARGETS = 8
"""Features that are predicted, spread over all."""


def strong_judge(units: int) -> Judge:
    """Two layers of so many units, trained by few steps at a rate that falls.

    They find somewhat less than the official 2,000 steps of 128 and 128 at 0.001, of which see `official_judge`, in a
    seventh to a tenth of the time.
    """
    return Judge(units, layers=2, iterations=600 if units < 64 else 400, batch=64, rate=4e-3, cosine=True)


def official_judge(units: int) -> Judge:
    """Two layers of so many units, trained as the official score trains its one."""
    return Judge(units, layers=2)


def strong_scores(
    pairs: Sequence[Pair],
    *,
    units: int,
    seeds: Sequence[int] = range(3),
    split: Split = block_split,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> list[Told]:
    """How well two layers of gated recurrent units tell the series of each pair apart.

    By default windows that overlap are split by blocks of time, so that no step is both learned from and tested on:
    with the plain split a judge of this size knows test windows by their neighbours.

    Args:
        pairs: see `with_gaps_seen`.
        units: of a layer, 32 or 64.
        seeds: one for each run of a pair.
        split: of either set into what is learned from and what is tested on.
        device: where it runs.
        progress: called with the share that is done.
    """
    judge = strong_judge(units)
    return told_apart(pairs, seeds=seeds, judge=judge, split=split, device=device, progress=progress)


def with_gaps_seen(samples: Samples, *, gaps: bool, starts: Tensor | None = None) -> Filled:
    """Series as a strong judge sees them: filled and, with `gaps`, for each feature whether it is missing, as 1.

    Args:
        samples: x (N, T, D).
        gaps: whether real series or samples have any.
        starts: (N,) where windows begin.
    """
    series = filled(samples.x, samples.length)._replace(starts=starts)
    if not gaps:
        return series
    missing = samples.x.isnan() & within(series.length, samples.x.shape[1])[..., None]
    return series._replace(x=torch.cat([series.x, missing.float()], 2))


def predictive_ratios(
    pairs: Sequence[Pair],
    *,
    seeds: Sequence[int] = range(3),
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Tensor:
    """For each pair but the first, feature and run: the predictive score over the mean one of the first pair.

    Every feature in its turn is predicted from the others, as the official score predicts the last one but by 16 units;
    of many features 8, spread over all.

    Returns:
        (pairs - 1, targets, runs) float64.
    """
    features = pairs[0].real.x.shape[2]
    scores = predicted(
        pairs, seeds=seeds, targets=targets_of(features), judge=PREDICTING, device=device, progress=progress
    )
    return scores[1:] / scores[:1].mean(2, keepdim=True).clamp(min=1e-6)


def targets_of(features: int) -> list[int]:
    """The features that are predicted.

    >>> targets_of(3), targets_of(28)
    ([0, 1, 2], [0, 4, 8, 12, 15, 19, 23, 27])
    """
    return torch.linspace(0, features - 1, min(features, MOST_TARGETS)).round().long().tolist()
