"""How spectrograms are varied while a judge learns from them, so that it knows more than its clips."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_SHIFT = 1 / 16
"""Of the frames, each way: when a clip starts."""
MOST_STRETCH = 0.1
"""How much faster or slower a clip is."""
LOUDEST_NOISE = -0.1
SOFTEST_NOISE = -1.4
"""Levels of a noise floor in the units of a spectrogram; those below -1 add nothing."""
NOISE_SLOPE = 0.4
NOISE_SPREAD = 0.06
MOST_MELS_MASKED = 1 / 8
MOST_FRAMES_MASKED = 1 / 8

SETTINGS = (
    MOST_SHIFT,
    MOST_STRETCH,
    LOUDEST_NOISE,
    SOFTEST_NOISE,
    NOISE_SLOPE,
    NOISE_SPREAD,
    MOST_MELS_MASKED,
    MOST_FRAMES_MASKED,
)


def varied(x: Tensor, generator: torch.Generator) -> Tensor:
    """Spectrograms (N, 1, M, F) in [-1, 1], -1 being silence, each moved, stretched, made noisy and masked in its way.

    The level is no matter: a spectrogram has none. Bands of mels and of frames are masked by the picture's mean.

    Source: SpecAugment (Park et al. 2019), masks and their fill; time warping is one stretch here.

    >>> silence = torch.full((2, 1, 8, 16), -1.0)
    >>> bool((varied(silence, torch.Generator().manual_seed(0)) == -1).all())
    True
    """
    return _masked(_noisy(_moved(x, generator), generator), generator)


def _moved(x: Tensor, generator: torch.Generator) -> Tensor:
    n, _, mels, frames = x.shape
    shift = (2 * torch.rand(n, 1, generator=generator) - 1) * MOST_SHIFT * frames
    rate = 1 + (2 * torch.rand(n, 1, generator=generator) - 1) * MOST_STRETCH
    source = ((torch.arange(frames) - shift) * rate).round().long().to(x.device)
    index = source.clamp(0, frames - 1)[:, None, None].expand(n, 1, mels, frames)
    return x.gather(3, index).masked_fill(((source < 0) | (source >= frames))[:, None, None], -1.0)


def _noisy(x: Tensor, generator: torch.Generator) -> Tensor:
    """With a floor of noise, of some level and slope, under all frames that are not silent."""
    n, _, mels, frames = x.shape
    level = SOFTEST_NOISE + (LOUDEST_NOISE - SOFTEST_NOISE) * torch.rand(n, 1, 1, 1, generator=generator)
    slope = NOISE_SLOPE * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1)
    noise = level + slope * torch.linspace(-1, 1, mels)[:, None]
    noise = noise + NOISE_SPREAD * torch.randn(n, 1, mels, frames, generator=generator)
    sounding = x.amax(2, keepdim=True) > -1
    return torch.where(sounding, torch.maximum(x, noise.to(x.device)), x)


def _masked(x: Tensor, generator: torch.Generator) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    mels = _band(len(x), x.shape[2], MOST_MELS_MASKED, generator).to(x.device)
    frames = _band(len(x), x.shape[3], MOST_FRAMES_MASKED, generator).to(x.device)
    return torch.where(mels[:, None, :, None] | frames[:, None, None, :], mean, x)


def _band(n: int, size: int, most: float, generator: torch.Generator) -> Tensor:
    """One band of up to a share `most` of `size` for each of n pictures, (n, size) bool."""
    width = torch.rand(n, 1, generator=generator) * most * size
    start = torch.rand(n, 1, generator=generator) * (size - width)
    place = torch.arange(size)
    return (place >= start) & (place < start + width)
