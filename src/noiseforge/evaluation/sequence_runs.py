"""What all recurrent judges of series share: whom they judge, how they are split and trained, several runs at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.errors import UserError
from noiseforge.evaluation.sequence_recurrent import Recurrent
from noiseforge.evaluation.sequence_view import Filled

Progress = Callable[[float], None]
Split = Callable[[Filled, torch.Generator], tuple[Tensor, Tensor]]
"""From series and random numbers, the places of those that a judge is trained on, and of those that it is tested on."""

TRAINED_ON = 0.8
"""Share of the series that a judge is trained on; the rest tests it."""
BLOCKS = 65_536
"""Blocks of time beyond which the choice of the held-out ones repeats itself."""


class Pair(NamedTuple):
    """What a judge tells apart, or learns from one and is tested on the other."""

    real: Filled
    fake: Filled


class Judge(NamedTuple):
    """The size of a judge and how it is trained."""

    hidden: int | None = None
    """Units of a layer; None takes half the features, one at least."""
    layers: int = 1
    iterations: int = 2_000
    batch: int = 128
    """Of real series, and as many fakes."""
    rate: float = 1e-3
    cosine: bool = False
    """The learning rate falls to 0, along half a cosine."""

    def units(self, features: int) -> int:
        """Of a layer, for series of so many features."""
        return self.hidden or max(features // 2, 1)


class Run(NamedTuple):
    """One judge."""

    pair: int
    """Place of the pair that it is of."""
    chance: torch.Generator
    """All that it draws."""
    target: int = -1
    """The feature that it predicts."""


class Store:
    """All series of all pairs behind one another, fetched by their rows with time in front."""

    def __init__(self, series: Sequence[Filled], device: str | torch.device) -> None:
        longest = max(part.x.shape[1] for part in series)
        padded = [torch.nn.functional.pad(part.x.float(), (0, 0, 0, longest - part.x.shape[1])) for part in series]
        self.x = torch.cat(padded).to(device)
        self.length = torch.cat([part.length for part in series]).to(device)
        self.series, self.counts = series, [len(part.x) for part in series]
        self.features = self.x.shape[2]

    def all(self, place: int) -> Tensor:
        """The rows of one of the series."""
        return torch.arange(self.counts[place]) + sum(self.counts[:place])

    def split(self, place: int, split: Split, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """Its rows for training and those for the test."""
        train, test = split(self.series[place], chance)
        return self.all(place)[train], self.all(place)[test]

    def __call__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Series (T, R, D, B) and lengths (R, B) of rows (R, B)."""
        rows = rows.to(self.x.device)
        return self.x[rows].permute(2, 0, 3, 1).contiguous(), self.length[rows]


@torch.enable_grad()
def train(network: Recurrent, loss: Callable[[], Tensor], judge: Judge, progress: Progress | None) -> None:
    """Trains all runs at once by Adam, under `no_grad` too; the loss is a sum over runs, so that none feels another."""
    optimiser = torch.optim.Adam(network.parameters(), lr=judge.rate)
    for step in range(judge.iterations):
        if judge.cosine:
            optimiser.param_groups[0]["lr"] = judge.rate * (1 + math.cos(math.pi * step / judge.iterations)) / 2
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        if progress and step % 50 == 0:
            progress(step / judge.iterations)


def some(rows: Tensor, count: int, chance: torch.Generator) -> Tensor:
    """So many of the rows (n,), none of them twice."""
    return rows[torch.randperm(len(rows), generator=chance)[:count]]


def check_pairs(pairs: Sequence[Pair], fewest: int) -> None:
    """Refuses what no judge can learn from.

    Raises:
        UserError: features that differ, or fewer than `fewest` series of a kind.
    """
    for real, fake in pairs:
        if real.x.shape[2] != fake.x.shape[2]:
            raise UserError(f"expected samples of {real.x.shape[2]} features like the data, got {fake.x.shape[2]}")
        if min(len(real.x), len(fake.x)) < fewest:
            raise UserError(f"a score needs {fewest} series of each kind, got {len(real.x)} and {len(fake.x)}")


def random_split(series: Filled, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """The places of four fifths of the series, and those of the rest."""
    order = torch.randperm(len(series.x), generator=chance)
    return order[: int(len(order) * TRAINED_ON)], order[int(len(order) * TRAINED_ON) :]


def block_split(series: Filled, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """A split of windows that overlap: time is cut into blocks of three windows, a random fifth of which is held out.

    Windows with steps on both sides are on neither. The blocks are those of the run, for all series of a pair alike.
    Series that stand alone, or are too few to be cut so, are split at random.
    """
    if series.starts is None:
        return random_split(series, chance)
    size = 3 * series.x.shape[1]
    blocks = torch.Generator().manual_seed(chance.initial_seed())
    held = torch.rand(BLOCKS, generator=blocks) >= TRAINED_ON
    first, last = (held[place // size % BLOCKS] for place in (series.starts, series.starts + series.length - 1))
    train, test = ((~first & ~last).nonzero().flatten(), (first & last).nonzero().flatten())
    return (train, test) if min(len(train), len(test)) > 0 else random_split(series, chance)
