"""The one data set: rows of a store, as batches. A store is an array in memory or a list of picture files."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Modality, Spec

CHUNK = 4096
"""Rows that are handled at a time where a whole set would take too much memory."""


class Store(Protocol):
    """Values as the source holds them, fetched by row."""

    def fetch(self, rows: Tensor) -> Tensor:
        """The values (n, ...) of `rows` (n,) int64."""

    def digest(self, rows: Tensor) -> bytes:
        """A hash of the content of `rows` (n,) int64 in that order."""


class Memory:
    """A store of values (M, ...) that are held in memory, uint8 or float32."""

    def __init__(self, values: Tensor) -> None:
        self.values = values.contiguous()

    def fetch(self, rows: Tensor) -> Tensor:
        """The values (n, ...) of `rows` (n,) int64."""
        return self.values.index_select(0, rows)

    def digest(self, rows: Tensor) -> bytes:
        """SHA-256 of the distinct values and of the order in which they come."""
        distinct, order = torch.unique(rows, return_inverse=True)
        content = hashlib.sha256(order.numpy().tobytes())
        for chunk in distinct.split(CHUNK):
            content.update(self.fetch(chunk).numpy().tobytes())
        return content.digest()


class Found(NamedTuple):
    """What a reader found in a source, before it is split."""

    store: Store
    rows: Tensor
    """(N, K) int64: the K rows of the store that are the channels of each example; K is 1 but for stacks."""
    shape: tuple[int, ...]
    modality: Modality = "image"
    labels: Tensor | None = None
    """(N,) int64."""
    classes: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = (-1.0, 1.0)
    offset: float = 127.5
    scale: float = 127.5
    train_count: int | None = None
    """So many of the first examples are the source's own training set; None when it has no test set."""
    problems: tuple[str, ...] = ()


class Examples:
    """A `Dataset`: some rows of a store, scaled to what a model sees.

    >>> from noiseforge.data.spec import Spec
    >>> spec = Spec(source="two", modality="point", shape=(2,), offset=1.0, scale=2.0, fingerprint="")
    >>> store = Memory(torch.tensor([[1.0, 3.0], [5.0, 1.0]]))
    >>> examples = Examples(store, torch.tensor([[0], [1]]), None, spec)
    >>> examples.batch(torch.tensor([1])).x
    tensor([[2., 0.]])
    """

    def __init__(self, store: Store, rows: Tensor, labels: Tensor | None, spec: Spec) -> None:
        self.spec = spec
        self._store = store
        self._rows = rows
        self._labels = labels

    @property
    def labels(self) -> Tensor | None:
        """(N,) int64, or None."""
        return self._labels

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: Tensor) -> Batch:
        """The examples at `indices` (n,) int64: x (n, *shape) float32, y (n,) int64 or None."""
        rows = self._rows.index_select(0, indices)
        values = self._store.fetch(rows.flatten()).reshape(len(indices), *self.spec.shape)
        x = values.to(torch.float32, copy=True).sub_(self.spec.offset).div_(self.spec.scale)
        return Batch(x, None if self._labels is None else self._labels.index_select(0, indices))

    def subset(self, indices: Tensor) -> Examples:
        """The examples at `indices` (n,) int64 alone."""
        labels = None if self._labels is None else self._labels[indices]
        return Examples(self._store, self._rows[indices], labels, self.spec)
