"""Which series lie near which: by time warping, for what is covered, and step by step, for what is copied."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.spec import Dataset
from noiseforge.errors import UserError
from noiseforge.evaluation.sequence_view import Filled, filled, fitted, pooled, within
from noiseforge.networks.sequence.whitening import Whitening

BAND = 0.1
"""Share of the steps by which time may be warped."""
NEIGHBOURS = 5
"""k of coverage."""
CHUNK = 2_048
"""Training series that are compared at once."""
EXACT = "donot_use_mm_for_euclid_dist"
"""How distances are taken so that those of equal series are 0."""


class Coverage(NamedTuple):
    """Shares of series that lie near others."""

    real: float
    """Of the real series with a fake as near as their k-th real neighbour: what kinds there are is made."""
    fake: float
    """Of the fakes that are as near to some real series as that one's k-th real neighbour: what is made is real."""


def time_warping(a: Filled, b: Filled, *, band: float = BAND) -> Tensor:
    """Dynamic time warping distances (N, M) between all series of both sets (Sakoe and Chiba 1978).

    The root of the least sum of squared differences along a path that leaves the diagonal by no more than the band,
    which is as wide as lengths differ where that is wider. All pairs take a step together.

    >>> x = Filled(torch.tensor([[0.0, 0.0, 1.0, 0.0]]).T.reshape(1, 4, 1), torch.tensor([4]))
    >>> late = Filled(torch.tensor([0.0, 1.0, 0.0, 0.0]).reshape(1, 4, 1), torch.tensor([4]))
    >>> time_warping(x, late, band=0.3).item(), time_warping(x, late, band=0.0).item()
    (0.0, 1.4142...)
    """
    first, second = a.x.double(), b.x.double()
    lengths = torch.cat([a.length, b.length])
    reach = max(round(band * first.shape[1]), int(lengths.max() - lengths.min()))
    squares = first.square().sum(2), second.square().sum(2)
    found = first.new_full((len(first), len(second)), torch.inf)
    above: dict[int, Tensor] = {}
    for i in range(int(a.length.max())):
        row: dict[int, Tensor] = {}
        for j in range(max(i - reach, 0), min(i + reach + 1, int(b.length.max()))):
            cost = torch.addmm(squares[1][:, j], first[:, i], second[:, j].T, alpha=-2).add_(squares[0][:, i, None])
            before = [part for part in (above.get(j), above.get(j - 1), row.get(j - 1)) if part is not None]
            row[j] = cost.clamp_(min=0)
            if before:
                row[j] += before[0] if len(before) == 1 else torch.stack(before).amin(0)
            ends = (a.length == i + 1)[:, None] & (b.length == j + 1)
            found = torch.where(ends, row[j], found)
        above = row
    return found.sqrt()


def warped_coverage(real: Filled, fake: Filled, *, same: Tensor | None = None) -> Coverage:
    """How far two sets lie in the same places (Naeem et al. 2020, eq. 6), by time warping of at most 64 steps.

    Args:
        real: N of them, 2 at least.
        fake: one at least.
        same: (N, N) which real series share steps: these are no neighbours, or else near would mean the next window.

    Raises:
        UserError: fewer than 2 real series, or no fakes.
    """
    if len(real.x) < 2 or len(fake.x) < 1:
        raise UserError(f"coverage needs 2 real series and a sample, got {len(real.x)} and {len(fake.x)}")
    real, fake = pooled(real), pooled(fake)
    own = time_warping(real, real).fill_diagonal_(torch.inf)
    if same is not None and not bool((same | own.isinf()).all(1).any()):
        own = own.masked_fill(same, torch.inf)
    fewest = int(own.isfinite().sum(1).min())
    radius = own.kthvalue(min(NEIGHBOURS, fewest), dim=1).values
    near = time_warping(real, fake) <= radius[:, None]
    return Coverage(float(near.any(1).double().mean()), float(near.any(0).double().mean()))


class Nearest(NamedTuple):
    """The training series nearest to each of n series."""

    distance: Tensor
    """(n,) Euclidean, between whitened series."""
    place: Tensor
    """(n,) int64, into the training series."""


class Closeness:
    """Distances to the nearest training series, after whitening: small contrasts between features weigh as much.

    Series of more than 64 steps are averaged over stretches. Without whitening the features' common level decides alone
    which series are near, and copies of their shape are not seen.

    Args:
        training: where the nearest is looked for.
        most: training series that the whitening is taken from.
    """

    def __init__(self, training: Dataset, most: int = 4_096) -> None:
        self.training = training
        spread = torch.linspace(0, len(training) - 1, min(most, len(training))).long()
        batch = training.batch(spread)
        series = filled(batch.x, batch.length)
        rows = series.x[within(series.length, series.x.shape[1])]
        self.whitening = Whitening(rows.shape[1])
        if float(rows.double().var(0, correction=0).sum()) > 0:
            self.whitening.fit(rows)

    @torch.no_grad()
    def vectors(self, series: Filled) -> Tensor:
        """(N, F) float64."""
        steps = self.training.spec.shape[0]
        x, length = fitted(series.x, steps), series.length.clamp(max=steps)
        return pooled(Filled(self.whitening(x) * within(length, steps)[..., None], length)).x.flatten(1).double()

    def nearest(self, series: Filled, *, own: Tensor | None = None) -> Nearest:
        """The nearest training series of each of n.

        Args:
            series: what neighbours are looked for.
            own: (n,) where the series themselves lie among the training series, of which then only those count that
                share no step with them; infinitely far where there is none.
        """
        queries = self.vectors(series)
        best, which = queries.new_full((len(queries),), torch.inf), torch.zeros(len(queries), dtype=torch.int64)
        for some in torch.arange(len(self.training)).split(CHUNK):
            batch = self.training.batch(some)
            apart = torch.cdist(queries, self.vectors(filled(batch.x, batch.length)), compute_mode=EXACT)
            if own is not None:
                apart = apart.masked_fill(overlapping(self.training, own, some), torch.inf)
            distance, place = apart.min(1)
            which = torch.where(distance < best, some[place], which)
            best = torch.minimum(distance, best)
        return Nearest(best, which)


def overlapping(dataset: Dataset, a: Tensor, b: Tensor) -> Tensor:
    """Which of the series at `a` (n,) share a step with those at `b` (m,), or are the same: (n, m) bool.

    Windows of one series say where they begin, by `starts` and `lengths`; others share no steps.
    """
    starts, lengths = getattr(dataset, "starts", None), getattr(dataset, "lengths", None)
    if starts is None or lengths is None:
        return a[:, None] == b
    first, second = starts[a][:, None], starts[b]
    return (first < second + lengths[b]) & (second < first + lengths[a][:, None])


def window_starts(dataset: Dataset) -> Tensor | None:
    """(N,) where the windows of a long series begin, if any of them overlap; None of series that share no step."""
    starts, lengths = getattr(dataset, "starts", None), getattr(dataset, "lengths", None)
    if starts is None or lengths is None:
        return None
    order = starts.argsort()
    return starts if bool((starts[order].diff() < lengths[order][:-1]).any()) else None
