"""Batches for a training: an endless order of examples, a position in it, and what comes next on the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Dataset
from noiseforge.data.split import Order


class Feed:
    """Batches in the endless seeded order of a data set.

    The n-th batch is a function of the seed and n alone, so `position` is all that resuming needs.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        seed: int,
        device: torch.device,
        own_rows: Callable[[Tensor], Tensor] = lambda indices: indices,
    ):
        self.dataset, self.batch, self.device, self.own_rows = dataset, batch, device, own_rows
        self.order = Order(len(dataset), seed)
        self.position = 0

    def next(self) -> Batch:
        """The next batch of this process, on the device; pictures are channels-last."""
        indices = self.own_rows(self.order.take(self.position, self.batch))
        self.position += self.batch
        batch = self.dataset.batch(indices)
        x = batch.x.to(self.device, non_blocking=True)
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        y, length, condition = (None if part is None else part.to(self.device) for part in batch[1:])
        return Batch(x, y, length, condition)
