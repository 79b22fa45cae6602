"""What a causal network is told beside the past: features of frames, as one vector a frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from noiseforge.networks.blocks import initialise, scaled
from noiseforge.objectives.spectral import log_mel

PLACES = 16
"""Places along a clip that `progress` tells apart."""
QUIETEST = 1e-5
"""Mel magnitude that `mel_frames` does not tell from silence."""


class Conditioner(nn.Module):
    """Features of each frame (N, F, features) to what the gates are told (N, F, width), so that they can act together.

    One-hot labels beside the place in the clip become the course of that word, and not the sum of a word and a place.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def initialise(self, rng: torch.Generator) -> None:
        """Draws all weights, which keep the scale of a signal from layer to layer."""
        initialise(self, rng, scaled(math.sqrt(2)))

    def forward(self, features: Tensor) -> Tensor:
        told: Tensor = self.layers(features)
        return told


def progress(length: Tensor, frames: int, hop: int, sample_rate: int) -> Tensor:
    """How far a clip has come in each of its frames: (N,) samples -> (N, frames, PLACES + 1).

    A bump over the place in the clip, from 0 at its beginning to 1 at its end and after, and the logarithm of its
    duration in seconds.

    >>> far = progress(torch.tensor([8000]), 100, 80, 8000)
    >>> far.shape, far[0, 0].argmax().item(), far[0, 99].argmax().item()
    (torch.Size([1, 100, 17]), 0, 15)
    """
    middle = (torch.arange(frames, device=length.device) + 0.5) * hop
    place = (middle / length[:, None].clamp_min(1)).clamp_max(1.0)
    centres = torch.linspace(0, 1, PLACES, device=length.device)
    bumps = torch.exp(-0.5 * ((place[:, :, None] - centres) * (PLACES - 1)).square())
    duration = (length.clamp_min(1) / sample_rate).log()[:, None, None].expand(-1, frames, 1)
    return torch.cat([bumps, duration], -1)


def mel_window(hop: int) -> int:
    """Samples of the window of `mel_frames`, a power of two: four frames or more, so that what comes next is in it.

    >>> mel_window(80), mel_window(64)
    (512, 256)
    """
    return int(2 ** math.ceil(math.log2(4 * hop)))


def mel_frames(x: Tensor, length: Tensor, frames: int, hop: int, sample_rate: int, mels: int) -> Tensor:
    """What is heard around the beginning of each frame of clips: (N, T) and true lengths (N,) -> (N, frames, mels).

    The logarithm of mel magnitudes, see `log_mel`, on a scale where a magnitude of 1 is 1 and one of 1e-5 or less
    is -1; so are frames after a clip's end.

    >>> heard = mel_frames(torch.rand(1, 400) - 0.5, torch.tensor([200]), 6, 80, 8000, 20)
    >>> heard.shape, (heard[0] > -1).any(1).tolist()
    (torch.Size([1, 6, 20]), [True, True, True, False, False, False])
    """
    cells = log_mel(x, sample_rate, n_fft=mel_window(hop), hop=hop, mels=mels, floor=QUIETEST, length=length)
    heard = 1 - 2 * cells / math.log(QUIETEST)
    return pad(heard, (0, max(frames - heard.shape[2], 0)), value=-1.0)[..., :frames].transpose(1, 2)
