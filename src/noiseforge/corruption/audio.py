"""Corruptions of sound (N, 1, T) at a sample rate. What is random is drawn anew for each clip.

All have gradients. None keeps its result within [-1, 1]: that is for those who write it to a file.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noiseforge.corruption import coloured
from noiseforge.corruption.noise import normal, uniform

FRAME = 0.02
"""Seconds that `drop` loses at a time, a packet of telephony."""

TRANSITION = 100.0
"""Hz in which `band` falls off around each of its edges."""


def snr(
    x: Tensor,
    decibels: float,
    generator: torch.Generator | None,
    *,
    length: Tensor,
    sample_rate: int | None,
    noise: str = "white",
    **options: float,
) -> Tensor:
    """Adds noise at a signal-to-noise ratio in dB, exact for each clip; the clip itself stays as it is.

    SNR = 10 lg(S / M), the mean squares of a clip and of its noise over its true length. A silent clip gets no
    noise. Where the noise is silent (a pause in a recording) white noise stands in for it.
    """
    made = coloured.make(noise, coloured.Clips(x, length, sample_rate), generator, **options)
    within = inside(x, length)
    power = _power(made, within)
    if not power.all():
        made = torch.where(power > 0, made, normal(x, generator))
        power = _power(made, within)
    ratio = _power(x, within) / power * 10 ** (-decibels / 10)
    # The root has no slope at 0. Clamping keeps the gradient of a silent clip at 0.
    return x + made * ratio.clamp_min(torch.finfo(x.dtype).tiny).sqrt()


def clip(x: Tensor, ratio: float, generator: torch.Generator | None) -> Tensor:
    """Cuts a clip off at `ratio` of its peak, as an overdriven input does."""
    bound = ratio * x.abs().amax(2, keepdim=True)
    return torch.minimum(torch.maximum(x, -bound), bound)


def gain(x: Tensor, decibels: float, generator: torch.Generator | None) -> Tensor:
    """Makes a clip louder by `decibels`, or softer where they are negative: the same for every clip."""
    return x * 10 ** (decibels / 20)


def band(x: Tensor, edges: tuple[float, float], generator: torch.Generator | None, *, sample_rate: int) -> Tensor:
    """Keeps what lies between two frequencies in Hz, at half amplitude on the edges themselves.

    A sinc of linear phase and no delay under Blackman's window, which falls off within 100 Hz around an edge, to -74
    dB (Oppenheim & Schafer, Discrete-time signal processing, section 7.5). An edge at 0 or at half the rate is none.
    """
    low, high = (_low_pass(edge / sample_rate, round(2.75 * sample_rate / TRANSITION)) for edge in edges)
    return _convolved(x, high - low, (len(high) - 1) // 2)


def reverb(x: Tensor, seconds: float, generator: torch.Generator | None, *, sample_rate: int) -> Tensor:
    """Adds the echo of a room whose sound dies away by 60 dB in `seconds` (RT60), and cuts it to the clip's length.

    The impulse response is 1, the direct sound, and then noise under an exponential (Polack 1988) whose energy is that
    of the direct sound on average, as at a room's critical distance.
    """
    samples = max(seconds * sample_rate, 1e-3)
    count = min(math.ceil(samples), x.shape[2])
    # The k-th echo has energy r^k with r = 10^(-6 / samples), and all of them r / (1 - r): divided by it, 1.
    scale = math.sqrt(-math.expm1(-6 / samples * math.log(10)))
    place = torch.arange(count, device=x.device)
    echoes = normal(x[:, :, :count], generator) * (scale * 10 ** (-3 * (place - 1) / samples)).to(x)
    return _convolved(x, torch.where(place == 0, 1, echoes), 0)


def drop(x: Tensor, probability: float, generator: torch.Generator | None, *, sample_rate: int) -> Tensor:
    """Sets each 20 ms to 0 with `probability`."""
    frame = round(FRAME * sample_rate)
    lost = uniform(x, (len(x), 1, -(-x.shape[2] // frame)), generator) < probability
    return x * ~lost.repeat_interleave(frame, 2)[..., : x.shape[2]]


def inside(x: Tensor, length: Tensor) -> Tensor:
    """(N, 1, T), whether a sample lies within its clip's true length (N,)."""
    return torch.arange(x.shape[2], device=x.device) < length.view(-1, 1, 1)


def _power(x: Tensor, within: Tensor) -> Tensor:
    """Mean square (N, 1, 1) over the true length."""
    return (x * within).square().sum(2, keepdim=True) / within.sum(2, keepdim=True)


def _low_pass(edge: float, reach: int) -> Tensor:
    """A filter of 2 reach + 1 taps for what is below `edge` cycles a sample, with gain 1 at 0 Hz."""
    if edge in (0, 0.5):
        return torch.nn.functional.pad(torch.tensor([2 * edge]), (reach, reach))
    place = torch.arange(-reach, reach + 1, dtype=torch.float64)
    window = torch.blackman_window(2 * reach + 3, periodic=False, dtype=torch.float64)[1:-1]
    taps = torch.sinc(2 * edge * place) * window
    return (taps / taps.sum()).float()


def _convolved(x: Tensor, response: Tensor, delay: int) -> Tensor:
    """x * response, (N, 1, T) with taps that broadcast to it, without the first `delay` samples and cut to T."""
    count = x.shape[2] + response.shape[-1] - 1
    wide = torch.promote_types(x.dtype, torch.float32)  # half precision has no Fourier transform on every device
    spectrum = torch.fft.rfft(x.to(wide), n=count) * torch.fft.rfft(response.to(x.device, wide), n=count)
    return torch.fft.irfft(spectrum, n=count)[..., delay : delay + x.shape[2]].to(x.dtype)
