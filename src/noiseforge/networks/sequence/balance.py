"""Lengths and gaps of what a model makes, as frequent as those of the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from noiseforge.networks.sequence.view import SURE, View

ROUNDS = 40


class Balance(nn.Module):
    """What is added to logits of lengths and gaps (Saerens et al. 2002: other priors for the same classifier).

    A decoder learns chances from codes of the data, where a gap is there or not. Codes that are generated lie between
    these, and there the likelier choice wins too often: gaps become rare, and lengths crowd.

    Args:
        steps: of the longest series.
        gaps: columns that have gaps.
        classes: of a conditional model; else 0.
    """

    length: Tensor
    missing: Tensor
    share: Tensor
    classes: Tensor

    def __init__(self, steps: int, gaps: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("length", torch.zeros(steps))
        self.register_buffer("missing", torch.zeros(gaps))
        self.register_buffer("share", torch.full((gaps,), 0.5))
        self.register_buffer("classes", torch.full((classes,), 1 / max(classes, 1)))

    def learn(self, view: View, y: Tensor | None) -> None:
        """Takes the shares of gaps and classes in series of the data, and their labels (N,)."""
        self.share.copy_(view.missing.sum((0, 1)) / view.alive.sum())
        if y is not None and len(self.classes):
            self.classes.copy_(one_hot(y, len(self.classes)).float().mean(0))

    def labels(self, n: int) -> Tensor | None:
        """(n,) labels with the shares that they have in the data; None without classes."""
        if not len(self.classes):
            return None
        ends = (self.classes.cumsum(0).cpu() * n).round()
        return torch.searchsorted(ends, torch.arange(n), right=True).clamp(max=len(self.classes) - 1)

    def fit(self, length: Tensor, missing: Tensor, shares: Tensor) -> None:
        """Finds what is to be added.

        Args:
            length: (N, T) logits of lengths of what is made.
            missing: (N, T, M) logits of its gaps.
            shares: (T,) of the lengths in the data.
        """
        more, wanted = torch.zeros_like(shares), shares.clamp(min=1e-6).log()
        for _ in range(ROUNDS):
            found = (length + more).softmax(1).mean(0).clamp(min=1e-6).log()
            more = torch.where(shares > 0, more + wanted - found, more)
        # A step counts as often as series last so long.
        alive = (length + more).softmax(1).flip(1).cumsum(1).flip(1).unsqueeze(2)
        low, high = torch.full_like(self.share.cpu(), -SURE), torch.full_like(self.share.cpu(), SURE)
        for _ in range(ROUNDS):
            middle = (low + high) / 2
            share = ((missing + middle).sigmoid() * alive).sum((0, 1)) / alive.sum()
            few = share < self.share.cpu()
            low, high = torch.where(few, middle, low), torch.where(few, high, middle)
        self.length.copy_(more)
        self.missing.copy_((low + high) / 2)
