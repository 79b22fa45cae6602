"""Small sets of series for tests: smooth waves, with overlapping windows, gaps, lengths and labels as asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Column, Data, Spec


class InMemory:
    """Series in memory; windows of one series say where they start."""

    def __init__(
        self, x: Tensor, spec: Spec, y: Tensor | None = None, length: Tensor | None = None, starts: Tensor | None = None
    ) -> None:
        self.x, self.spec, self.labels, self.length = x, spec, y, length
        if starts is not None:
            self.starts, self.lengths = starts, torch.full_like(starts, x.shape[1])

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(*(None if part is None else part[indices] for part in (self.x, self.labels, self.length)))

    def subset(self, indices: Tensor) -> InMemory:
        x, y, length = self.batch(indices)[:3]
        return InMemory(x, self.spec, y, length, self.starts[indices] if hasattr(self, "starts") else None)


def waves(n: int, steps: int = 12, features: int = 3, seed: int = 0) -> Tensor:
    """(n, steps, features) in [0, 1]: sines of random phase, whose features follow one another, one in the mean."""
    chance = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(n, 1, 1, generator=chance)
    pace = 0.4 + 0.3 * torch.rand(n, 1, 1, generator=chance)
    place = torch.arange(steps)[None, :, None] + 2 * torch.arange(features)
    noise = 0.02 * torch.randn(n, steps, features, generator=chance)
    return ((place * pace + phase).sin() * 0.4 + 0.5 + noise).clamp(0, 1)


def spec_of(x: Tensor, *, missing: bool = False, classes: tuple[str, ...] = ()) -> Spec:
    columns = tuple(Column(name=f"c{place}", missing=missing) for place in range(x.shape[2]))
    return Spec(
        source="waves",
        modality="sequence",
        shape=tuple(x.shape[1:]),
        columns=columns,
        classes=classes,
        value_range=(0.0, 1.0),
        fingerprint="of waves",
    )


def wave_data(n: int = 120, held: int = 80, **settings: int) -> Data:
    """Waves, each on its own."""
    return parted(waves(n + held, **settings), n)


def parted(x: Tensor, n: int, *, y: Tensor | None = None, length: Tensor | None = None, classes: int = 0) -> Data:
    """The first n series to train on, the others held out."""
    names = tuple(f"kind {place}" for place in range(classes))
    whole = InMemory(x, spec_of(x, missing=bool(x.isnan().any()), classes=names), y, length)
    return Data(whole.subset(torch.arange(n)), whole.subset(torch.arange(n, len(x))), whole.spec)


def window_data(count: int = 200, steps: int = 12) -> Data:
    """All windows of one long series, nothing held out."""
    places = torch.arange(count)
    long = waves(1, count + steps)[0]
    x = long[places[:, None] + torch.arange(steps)]
    whole = InMemory(x, spec_of(x), starts=places)
    return Data(whole, whole, whole.spec)
