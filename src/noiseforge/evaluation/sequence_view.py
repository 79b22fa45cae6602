"""Series as judges and distances see them: without gaps, and never longer than they can be compared."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Dataset, Spec

MOST_STEPS = 64
"""Steps beyond which series are averaged over stretches of time before they are compared as wholes."""
CHUNK = 4_096
"""Series that are fetched at once."""


class Filled(NamedTuple):
    """Series without gaps: x (N, T, D), 0 after the end, and their lengths (N,)."""

    x: Tensor
    length: Tensor
    starts: Tensor | None = None
    """(N,) where each begins in the long series that it is a window of; None where each stands alone."""

    def at(self, indices: Tensor) -> Filled:
        """The series at `indices` (n,)."""
        return Filled(*(None if part is None else part[indices] for part in self))  # type: ignore[arg-type]


def filled(x: Tensor, length: Tensor | None = None) -> Filled:
    """Series whose gaps hold the value before them, those at the start the one after, and 0 where nothing is known.

    Gaps are filled along time and never from other features.

    Args:
        x: (N, T, D), NaN where a value is missing.
        length: (N,) int64; None where all have T steps.

    >>> nan = float("nan")
    >>> filled(torch.tensor([[[nan, nan], [1.0, nan], [nan, nan], [3.0, nan]]])).x.squeeze(0).T.tolist()
    [[1.0, 1.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
    """
    x = x.detach().cpu().float()
    length = torch.full((len(x),), x.shape[1]) if length is None else length.cpu()
    inside = within(length, x.shape[1])[..., None]
    if x.isnan().any():
        steps = torch.arange(x.shape[1])[None, :, None]
        known = ~x.isnan() & inside
        last = torch.where(known, steps, -1).cummax(1).values
        first = torch.where(known, steps, x.shape[1]).amin(1, keepdim=True)
        source = torch.where(last < 0, first, last).clamp(max=x.shape[1] - 1)
        x = x.gather(1, source).nan_to_num(0.0)
    return Filled(x * inside, length)


def within(length: Tensor, steps: int) -> Tensor:
    """Which steps are before the end of their series, (N, T) bool, from lengths (N,)."""
    return torch.arange(steps, device=length.device) < length[:, None]


def everything(dataset: Dataset, indices: Tensor | None = None) -> Samples:
    """The series of a data set at `indices` (n,), all by default, with their gaps, labels and lengths."""
    indices = torch.arange(len(dataset)) if indices is None else indices
    parts = [dataset.batch(some) for some in indices.split(CHUNK)]
    x, y, length = (
        None if parts[0][place] is None else torch.cat([part[place] for part in parts])  # type: ignore[misc]
        for place in range(3)
    )
    assert x is not None, "batches have examples"
    return Samples(x, y, length)


def fitted(x: Tensor, steps: int) -> Tensor:
    """Series (N, any, D) cut or padded with 0 to so many steps."""
    return torch.nn.functional.pad(x[:, :steps], (0, 0, 0, max(steps - x.shape[1], 0)))


def pooled(series: Filled, most: int = MOST_STEPS) -> Filled:
    """Series of at most so many steps: means over equal stretches of time, the last of what is left of a series.

    >>> long = Filled(torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 0.0]).reshape(1, 6, 1), torch.tensor([5]))
    >>> pooled(long, 3).x.flatten().tolist(), pooled(long, 3).length.tolist()
    ([0.5, 2.5, 4.0], [3])
    """
    x, length, starts = series
    size = -(-x.shape[1] // most)
    if size == 1:
        return series
    x = torch.nn.functional.pad(x, (0, 0, 0, -x.shape[1] % size))
    inside = within(length, x.shape[1]).float().unflatten(1, (-1, size)).sum(2)
    total = x.unflatten(1, (-1, size)).sum(2)
    return Filled(total / inside.clamp(min=1)[..., None], -(-length // size), starts)


def view(x: Tensor, length: Tensor | None, spec: Spec) -> Tensor:
    """Series as vectors (N, F) without NaN, for `health.measure` and all else that takes distances.

    All values of at most 64 steps; how much of each column is missing, where values of it may be; and the share of
    the longest series that each is long, where lengths differ.

    Args:
        x: (N, T, D), NaN where a value is missing.
        length: (N,) or None.
        spec: what the series are.
    """
    steps = spec.shape[0]
    length = None if length is None else length.cpu().clamp(max=steps)
    x = fitted(x.detach().cpu().float(), steps)
    series = filled(x, length)
    parts = [pooled(series).x.flatten(1)]
    if any(column.missing for column in spec.columns):
        parts.append(missing_share(x, series.length))
    if length is not None:
        parts.append(series.length[:, None] / steps)
    return torch.cat(parts, 1)


def missing_share(x: Tensor, length: Tensor) -> Tensor:
    """The share of the steps of a series at which each feature is missing, (N, D)."""
    inside = within(length, x.shape[1])[..., None]
    return (x.isnan() & inside).sum(1) / length.clamp(min=1)[:, None]
