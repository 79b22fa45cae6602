"""Euclidean distances between feature tensors in tiles, so that no more than a tile is ever in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from noiseforge.data.spec import Dataset

TILE = 4_000_000
"""Distances that are held at once."""
CHUNK = 5_000
"""Training examples whose features are held at once."""
ROUNDING = 1e-12
"""Squared distances below this share of the largest squared norm are rounding, and count as 0."""


def tiles(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of some rows of a (n, d) to all rows of b (m, d): the rows as a slice, and (rows, m)."""
    centre = b.mean(0)
    a, b = a - centre, b - centre
    squared_a, squared_b = a.square().sum(1), b.square().sum(1)
    rows = max(TILE // len(b), 1)
    for start in range(0, len(a), rows):
        part = slice(start, min(start + rows, len(a)))
        squared = torch.addmm(squared_b, a[part], b.T, alpha=-2).add_(squared_a[part, None])
        yield part, squared.clamp_(min=0)


def rounding(a: Tensor, b: Tensor) -> float:
    """What squared distances between a (n, d) and b (m, d) may be wrong by: equal rows differ by no more."""
    centre = b.mean(0)
    return ROUNDING * max(float((x - centre).square().sum(1).max()) for x in (a, b))


def nearest(queries: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Distance (n,) from each query (n, d) to its nearest candidate (m, d), and that candidate's index (n,).

    >>> nearest(torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [7.0]]))
    (tensor([1., 2.]), tensor([0, 1]))
    """
    index = torch.cat([squared.argmin(1) for _, squared in tiles(queries, candidates)])
    return torch.linalg.vector_norm(queries - candidates[index], dim=1), index


def nearest_examples(
    queries: Tensor,
    dataset: Dataset,
    features: Callable[[Tensor], Tensor],
    *,
    indices: Tensor | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """`nearest` among the examples of a data set, whose features are made a chunk at a time.

    Args:
        queries: (n, d) features.
        dataset: where the neighbours are looked for.
        features: (N, ...) -> (N, d), what made the queries.
        indices: (m,) the examples to look at; all of them by default.
        progress: called with the share that is done.

    Returns:
        Distances (n,), and indices (n,) into the data set.
    """
    indices = torch.arange(len(dataset)) if indices is None else indices
    best = queries.new_full((len(queries),), torch.inf)
    which = torch.zeros(len(queries), dtype=torch.int64)
    for start in range(0, len(indices), CHUNK):
        chunk = indices[start : start + CHUNK]
        distance, index = nearest(queries, features(dataset.batch(chunk).x).to(queries.dtype))
        which = torch.where(distance < best, chunk[index], which)
        best = torch.minimum(distance, best)
        if progress:
            progress(min((start + CHUNK) / len(indices), 1.0))
    return best, which


def pairwise_distance(x: Tensor) -> float:
    """Mean Euclidean distance between two different rows of x (n, d), a measure of diversity.

    >>> pairwise_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    5.0
    """
    total = sum(float(squared.sqrt().sum()) for _, squared in tiles(x, x))
    return total / (len(x) * (len(x) - 1))
