"""The data set of sequences: pieces of one table of steps, of one length or of many."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Spec


class Series:
    """A `Dataset` of sequences. Windows that overlap share their steps, which are stored once.

    >>> from noiseforge.data.spec import Column
    >>> columns = (Column(name="a"),)
    >>> spec = Spec(source="four", modality="sequence", shape=(3, 1), columns=columns, fingerprint="")
    >>> steps = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    >>> series = Series(steps, torch.tensor([0, 2]), torch.tensor([3, 2]), None, spec)
    >>> batch = series.batch(torch.tensor([1, 0]))
    >>> batch.x.squeeze(2).tolist(), batch.length.tolist()
    ([[3.0, 4.0, 0.0], [1.0, 2.0, 3.0]], [2, 3])
    """

    def __init__(self, steps: Tensor, starts: Tensor, lengths: Tensor, labels: Tensor | None, spec: Spec) -> None:
        """steps (M, D) float32 as a model sees them; starts and lengths (N,) int64; labels (N,) int64 or None."""
        self.spec = spec
        self.steps = steps
        self.starts = starts
        self.lengths = lengths
        self._labels = labels
        self._ragged = bool((lengths != spec.shape[0]).any())
        self._first_lags = first_lags(spec)

    @property
    def labels(self) -> Tensor | None:
        """(N,) int64, or None."""
        return self._labels

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: Tensor) -> Batch:
        """The series at `indices` (n,) int64: x (n, T, D), length (n,) where not all of the set have T steps."""
        starts, places = self.starts[indices], torch.arange(self.spec.shape[0])
        rows = starts[:, None] + places
        length = self.lengths[indices] if self._ragged else None
        if length is not None:
            rows = torch.where(places < length[:, None], rows, starts[:, None])
        x = self.steps.index_select(0, rows.flatten()).view(*rows.shape, -1)
        for feature, zero in self._first_lags:
            x[:, 0, feature] = zero
        if length is not None:
            x.masked_fill_((places >= length[:, None])[:, :, None], 0.0)
        return Batch(x, None if self._labels is None else self._labels[indices], length)

    def subset(self, indices: Tensor) -> Series:
        """The series at `indices` (n,) int64 alone. T stays."""
        labels = None if self._labels is None else self._labels[indices]
        return Series(self.steps, self.starts[indices], self.lengths[indices], labels, self.spec)


def first_lags(spec: Spec) -> list[tuple[int, float]]:
    """Features that are lags, each with what a lag of 0 looks like: nothing comes before the first step of a window."""
    places, feature = [], 0
    for column in spec.columns:
        if column.kind == "lag":
            places.append((feature, -column.offset / column.scale))
        feature += column.width
    return places
