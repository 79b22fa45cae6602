"""Who plays in a training: a Player owns parameters and says what it loses; a Moment is when it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from noiseforge.data.spec import Batch
    from noiseforge.recipes.player_settings import OptimiserSettings


class Noise:
    """The random numbers of one training, the same however many processes share the batch.

    Every process holds the same CPU generator and draws for the whole batch; each keeps its own rows. So two
    processes with n rows each see what one process with 2n rows would, on any device.
    """

    def __init__(self, generator: torch.Generator, device: torch.device, *, rank: int = 0, processes: int = 1):
        self.generator = generator
        self.device = device
        self.rank = rank
        self.processes = processes

    def normal(self, n: int, width: int) -> Tensor:
        """(n, width) draws of N(0, 1)."""
        return self._own_rows(torch.randn(n * self.processes, width, generator=self.generator))

    def uniform(self, n: int, width: int) -> Tensor:
        """(n, width) draws of U(-1, 1)."""
        return self._own_rows(torch.rand(n * self.processes, width, generator=self.generator) * 2 - 1)

    def private(self) -> torch.Generator:
        """A generator of this process alone, for draws whose number may differ between processes."""
        seed = int(torch.randint(2**62, (), generator=self.generator))
        return torch.Generator().manual_seed(seed + self.rank)

    def _own_rows(self, whole: Tensor) -> Tensor:
        own = whole if self.processes == 1 else whole.chunk(self.processes)[self.rank]
        return own.to(self.device)


@dataclass
class Moment:
    """When a loss is asked for, what randomness it may use, and what it wants recorded beside its terms."""

    noise: Noise
    images: int = 0
    """Real images seen by the whole training so far: what schedules are functions of."""
    turn: int = 0
    """Turns that this player has had before this one."""
    notes: dict[str, Tensor] = field(default_factory=dict)

    def note(self, name: str, value: Tensor) -> None:
        """Records a scalar that is watched but not minimised."""
        self.notes[name] = value.detach()


@dataclass(frozen=True)
class Player:
    """One side of the game: the loop adds the terms of `loss` up and steps this player's parameters alone."""

    name: str
    module: nn.Module
    """Owns the parameters that this player moves."""
    loss: Callable[[Batch, Moment], dict[str, Tensor]]
    optimiser: OptimiserSettings
    averaged: bool = False
    """Whether sampling uses a moving average of these parameters."""
    after_step: Callable[[], None] | None = None
    """What must hold after every step, such as clipped weights."""
    begins: int = 0
    """Real images that the whole training has seen before this player's first turn."""
    ends: int | None = None
    """Images after which it plays no more; None plays to the end."""

    def plays(self, images: int) -> bool:
        """Whether it has turns in the round that begins after so many images."""
        return self.begins <= images and (self.ends is None or images < self.ends)
