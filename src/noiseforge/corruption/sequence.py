"""Corruptions of sequences (N, T, D) with true lengths. NaN is what is missing, and stays so.

What is random is drawn anew for each series. What comes after a series' end is no part of it: `compose` sets it to 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noiseforge.corruption.noise import normal, uniform

SPIKE = 5.0
"""Size of a spike in standard deviations of its feature."""


def snr(x: Tensor, decibels: float, generator: torch.Generator | None, *, length: Tensor) -> Tensor:
    """Adds white noise at a signal-to-noise ratio in dB, exact for each series.

    SNR = 10 lg(S / M) over the known values of a series' true length. S is their mean square about the mean of their
    own feature, so that where a sensor has its zero does not count, and M the mean square of their noise: all features
    get the same. A series without any change has no signal, and gets no noise.
    """
    there = _there(x, length)
    noise = normal(x, generator)
    signal = _mean(_centred(x, there).square(), there, (1, 2))
    ratio = signal / _mean(noise.square(), there, (1, 2)) * 10 ** (-decibels / 10)
    # The root has no slope at 0. Clamping keeps the gradient of a constant series at 0.
    return x + noise * ratio.clamp_min(torch.finfo(x.dtype).tiny).sqrt()


def drift(x: Tensor, sigma: float, generator: torch.Generator | None, *, length: Tensor) -> Tensor:
    """Adds a random walk to each feature: 0 before the first step, of standard deviation `sigma` at the last."""
    return x + normal(x, generator).cumsum(1) * (sigma / length.to(x).sqrt().view(-1, 1, 1))


def spikes(x: Tensor, probability: float, generator: torch.Generator | None, *, length: Tensor) -> Tensor:
    """Throws each value off with `probability`, up or down by 5 standard deviations of its feature in the series."""
    there = _there(x, length)
    spread = _mean(_centred(x, there).square(), there, (1,)).clamp_min(torch.finfo(x.dtype).tiny).sqrt()
    hit, up = (uniform(x, x.shape, generator) for _ in range(2))
    return x + SPIKE * spread * (hit < probability) * torch.where(up < 0.5, -1.0, 1.0)


def drop(x: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Loses each step with `probability`: all of its features are missing."""
    return x.masked_fill(uniform(x, (*x.shape[:2], 1), generator) < probability, torch.nan)


def channels(x: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Loses each feature of each series with `probability`, for its whole length; one of them always stays."""
    drawn = uniform(x, (len(x), 1, x.shape[2]), generator)
    return x.masked_fill((drawn < probability) & (drawn < drawn.amax(2, keepdim=True)), torch.nan)


def jitter(x: Tensor, steps: float, generator: torch.Generator | None, *, length: Tensor) -> Tensor:
    """Reads each step at a time that is off by a normal error of standard deviation `steps`, all features at once.

    Between steps a series is a straight line, before its first and after its last it is what it is there. Where a
    neighbour is missing the other one stands in for it.
    """
    place = torch.arange(x.shape[1], device=x.device).to(x)[None, :, None]
    last = (length - 1).to(x).view(-1, 1, 1)
    time = torch.minimum((place + steps * normal(x[:, :, :1], generator)).clamp_min(0), last)
    before, after = (x.gather(1, edge.long().expand_as(x)) for edge in (time.floor(), time.ceil()))
    before, after = torch.where(before.isnan(), after, before), torch.where(after.isnan(), before, after)
    read = torch.lerp(before, after, (time - time.floor()).expand_as(x))
    return torch.where(x.isnan(), x, torch.where(read.isnan(), x, read))


def quantise(x: Tensor, levels: float, generator: torch.Generator | None, *, length: Tensor) -> Tensor:
    """Rounds to `levels` values, evenly from the lowest to the highest of the whole series, as one converter does."""
    there = _there(x, length)
    low = x.masked_fill(~there, torch.inf).amin((1, 2), keepdim=True)
    high = x.masked_fill(~there, -torch.inf).amax((1, 2), keepdim=True)
    step = (high - low) / (round(levels) - 1)
    return torch.where(there & (step > 0), low + ((x - low) / step).round() * step, x)


def _there(x: Tensor, length: Tensor) -> Tensor:
    """(N, T, D), what is known and within the true length."""
    return ~x.isnan() & (torch.arange(x.shape[1], device=x.device) < length[:, None])[:, :, None]


def _mean(x: Tensor, there: Tensor, dimensions: tuple[int, ...]) -> Tensor:
    """Over what is known; 0 where nothing is."""
    return x.masked_fill(~there, 0).sum(dimensions, keepdim=True) / there.sum(dimensions, keepdim=True).clamp_min(1)


def _centred(x: Tensor, there: Tensor) -> Tensor:
    return x - _mean(x, there, (1,))
