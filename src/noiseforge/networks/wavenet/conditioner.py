"""What a causal network is told beside the past: features of frames, as one vector a frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from noiseforge.networks.blocks import initialise, scaled

PLACES = 16
"""Places along a clip that `progress` tells apart."""


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
