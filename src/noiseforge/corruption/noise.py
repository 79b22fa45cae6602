"""Noise that fits data of any shape (N, ...), and the random draws of all corruptions."""

import torch
from torch import Tensor


def gaussian(x: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    """Adds white noise of standard deviation `sigma`, in the units of x."""
    return x + sigma * normal(x, generator)


def snr(x: Tensor, decibels: float, generator: torch.Generator | None) -> Tensor:
    """Adds white noise at a signal-to-noise ratio in dB, exact for each example.

    SNR = 10 lg(S / M), where S is the example's variance about its own mean and M the mean square of its
    noise, which is scaled to it, so that the ratio holds for every example and not only on average. A
    constant example has no signal, and gets no noise.
    """
    noise = normal(x, generator)
    ratio = _mean((x - _mean(x)).square()) / _mean(noise.square())
    # The root has no slope at 0. Clamping keeps the gradient of a constant example at 0.
    return x + noise * (ratio * 10 ** (-decibels / 10)).clamp_min(torch.finfo(x.dtype).tiny).sqrt()


def normal(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """ε ~ N(0, 1) of the shape, type and device of x, drawn on the generator's own device."""
    generator = _given(generator)
    return torch.randn(x.shape, generator=generator, device=generator.device).to(x)


def uniform(x: Tensor, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """U[0, 1) on the device of x, in float32, drawn on the generator's own device."""
    generator = _given(generator)
    return torch.rand(shape, generator=generator, device=generator.device).to(x.device)


def _mean(x: Tensor) -> Tensor:
    """Over all but the first dimension, which are kept as 1."""
    return x.flatten(1).mean(1).view(-1, *[1] * (x.dim() - 1))


def _given(generator: torch.Generator | None) -> torch.Generator:
    if generator is None:
        raise ValueError("this corruption is random: pass generator=torch.Generator().manual_seed(...)")
    return generator
