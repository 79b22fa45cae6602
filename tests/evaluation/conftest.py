"""A data set of sound: two labels, two speakers, short harmonic tones of any sample rate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from noiseforge.data.spec import Batch, Data, Spec

PITCHES = (0.025, 0.06)
"""Of the labels, as a share of the sample rate."""
SLOPES = (0.2, 0.9)
"""Of the speakers: how strong each harmonic is against the one below it."""


class Tones:
    """Clips in memory, padded at their end to the longest of a batch."""

    def __init__(self, spec: Spec, x: Tensor, y: Tensor, length: Tensor, speaker: Tensor) -> None:
        self.spec, self.x, self.y, self.length, self.speaker = spec, x, y, length, speaker

    @property
    def labels(self) -> Tensor | None:
        return self.y if self.spec.classes else None

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor) -> Batch:
        length = self.length[indices]
        labels = self.y[indices] if self.spec.classes else None
        speakers = self.speaker[indices] if self.spec.speakers else None
        return Batch(self.x[indices, :, : int(length.max())], labels, length, speakers)

    def subset(self, indices: Tensor) -> Tones:
        return Tones(self.spec, *(part[indices] for part in (self.x, self.y, self.length, self.speaker)))


def make_tones(
    n_train: int = 64,
    n_test: int = 40,
    *,
    rate: int = 8000,
    seconds: float = 0.15,
    classes: tuple[str, ...] = ("low", "high"),
    speakers: tuple[str, ...] = ("dull", "bright"),
) -> Data:
    """Clips of `seconds` to twice as long, every pair of label and speaker as often, and no two alike."""
    generator = torch.Generator().manual_seed(0)
    n, longest = n_train + n_test, int(2 * seconds * rate)
    y, speaker = torch.arange(n) % 2, torch.arange(n) // 2 % 2
    length = (longest * (0.5 + 0.5 * torch.rand(n, generator=generator))).long()
    pitch = torch.tensor(PITCHES)[y] * (1 + 0.1 * torch.rand(n, generator=generator))
    harmonics = torch.arange(1, 7)
    strength = torch.tensor(SLOPES)[speaker][:, None] ** harmonics
    phase = 2 * torch.pi * torch.rand(n, 6, 1, generator=generator)
    angle = 2 * torch.pi * pitch[:, None, None] * harmonics[:, None] * torch.arange(longest)
    x = (strength[..., None] * (angle + phase).sin()).sum(1) + 1e-3 * torch.randn(n, longest, generator=generator)
    x = 0.5 * x / x.abs().amax(1, keepdim=True) * (torch.arange(longest) < length[:, None])
    spec = Spec(
        source="tones",
        modality="audio",
        shape=(1, longest),
        classes=classes,
        speakers=speakers,
        sample_rate=rate,
        fingerprint="of tones",
    )
    whole = Tones(spec, x[:, None], y, length, speaker)
    return Data(whole.subset(torch.arange(n_train)), whole.subset(torch.arange(n_train, n)), spec)


@pytest.fixture(scope="session")
def make() -> Callable[..., Data]:
    """`make_tones`."""
    return make_tones


@pytest.fixture(scope="session")
def tones() -> Data:
    """64 training clips and 40 test clips at 8 kHz."""
    return make_tones()
