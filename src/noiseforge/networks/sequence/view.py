"""What recurrent networks see of series, and what they give."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LARGEST = 6.0
"""Standard deviations that a network is shown at most of a component."""
SURE = 1e3
"""Logits of what has been chosen: nothing is left to draw."""


class View(NamedTuple):
    """Series in parts: what is real, what is a category, what is missing, and which steps there are."""

    columns: Tensor
    """(N, T, R) real ones; gaps are interpolated, and after the end is the mean."""
    real: Tensor
    """(N, T, R) their components, normalised and by their curves."""
    level: Tensor
    """(N, 2·R) whitened means and log-scales of components, gaps interpolated; (N, 0) without normalisation."""
    known: Tensor
    """(N, T, R) bool of the columns."""
    category: Tensor
    """(N, T, K) one-hot, 0 where missing."""
    missing: Tensor
    """(N, T, M) 1 where a value of a column with gaps is missing."""
    alive: Tensor
    """(N, T) bool: steps before the end."""
    length: Tensor | None
    """(N,) or None, where all have T steps."""

    @property
    def inputs(self) -> Tensor:
        """(N, T, R + K + M + 2·R + 1), what a network is shown; 0 after the end."""
        alive = self.alive.unsqueeze(2)
        real, level = (values.clamp(-LARGEST, LARGEST) for values in (self.real, self.level))
        level = level.unsqueeze(1).expand(-1, real.shape[1], -1)
        return torch.cat([torch.cat([real, self.category, self.missing, level], 2) * alive, alive.to(real.dtype)], 2)


class Parts(NamedTuple):
    """What a decoder gives: components (N, T, R) as those of a `View`, logits of categories (N, T, K) and gaps
    (N, T, M), and the levels (N, 2·R)."""

    real: Tensor
    category: Tensor
    missing: Tensor
    level: Tensor
