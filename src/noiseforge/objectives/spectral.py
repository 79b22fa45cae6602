"""Spectra of sound and distances between them, on clips (N, T); one value a clip.

All spectra share one convention: a periodic Hann window of n_fft samples, frames centred at multiples of `hop`,
clips mirrored at their ends, so that a clip of T samples has 1 + T // hop frames. Where clips of unlike length share a
batch, `length` (N,) holds their true ones: a clip's values are then those that it has alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

LINEAR_END = 1000.0
"""Hz, where Slaney's scale turns from linear to logarithmic."""

RESOLUTIONS = ((128, 32), (256, 64), (512, 128))
"""Pairs (n_fft, hop) of `multi_resolution_stft`: windows of 16, 32 and 64 ms at 8 kHz."""


def mel_filterbank(sample_rate: float, n_fft: int, mels: int, *, low: float = 0.0, high: float | None = None) -> Tensor:
    """Triangles on Slaney's mel scale, each of area 1 over Hz: (mels, n_fft // 2 + 1), float32.

    The scale is linear to 1 kHz, where 66⅔ Hz are a mel, and then logarithmic, 27 mel to a factor of 6.4. A triangle
    that is narrower than a bin may hold none, and is 0 throughout.

    Args:
        sample_rate: Hz.
        n_fft: samples of the window.
        mels: how many triangles.
        low: Hz, where the first triangle starts.
        high: Hz, where the last one ends; half the sample rate when left out.

    Raises:
        ValueError: not 0 <= low < high <= sample_rate / 2, or no triangle.

    Slaney 1998 (Auditory Toolbox); the default of librosa.filters.mel (McFee et al. 2015).

    >>> mel_filterbank(8000, 256, 64).shape
    torch.Size([64, 129])
    """
    high = sample_rate / 2 if high is None else high
    if not 0 <= low < high <= sample_rate / 2 or mels < 1:
        raise ValueError(
            f"mel_filterbank needs 0 <= low < high <= sample_rate / 2 = {sample_rate / 2:g} and at least one mel, "
            f"got low {low:g}, high {high:g}, {mels} mels"
        )
    ends = _hertz(torch.linspace(_mel(low), _mel(high), mels + 2, dtype=torch.float64))
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    lower, centre, upper = (ends[i : i + mels, None] for i in range(3))
    triangles = torch.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)).clamp_min(0)
    return (triangles * (2 / (upper - lower))).float()


def stft_magnitude(x: Tensor, n_fft: int, hop: int, *, length: Tensor | None = None) -> Tensor:
    """|STFT| of clips (N, T): (N, n_fft // 2 + 1, 1 + T // hop), not normalised.

    A clip of n_fft / 2 samples or fewer cannot be mirrored, and is continued with zeros instead.

    Args:
        x: (N, T).
        n_fft: samples of the window, even.
        hop: samples from frame to frame.
        length: (N,) true samples of each clip; frames from 1 + length // hop on are then 0.

    Returns:
        float32 (of float64, float64), with slope 0 where a magnitude is 0.

    Raises:
        ValueError: x is not (N, T), n_fft is odd, or hop is below 1.

    Allen & Rabiner 1977.
    """
    if x.ndim != 2 or n_fft % 2 or n_fft < 2 or hop < 1:
        raise ValueError(
            f"stft_magnitude needs clips (N, T), an even n_fft and a hop of at least 1, "
            f"got {tuple(x.shape)}, {n_fft} and {hop}"
        )
    with torch.autocast(x.device.type, enabled=False):
        x = _continued(x if x.dtype == torch.float64 else x.float(), n_fft // 2, length)
        window = torch.hann_window(n_fft, dtype=x.dtype, device=x.device)
        magnitude = torch.stft(x, n_fft, hop, window=window, center=False, return_complex=True).abs()
    if length is None:
        return magnitude
    true = torch.arange(magnitude.shape[2], device=x.device) < (1 + length // hop).to(x.device)[:, None]
    return magnitude * true[:, None]


def log_mel(
    x: Tensor,
    sample_rate: float,
    *,
    n_fft: int = 256,
    hop: int = 80,
    mels: int = 64,
    floor: float = 1e-5,
    length: Tensor | None = None,
) -> Tensor:
    """ln max(mel magnitude, floor) of clips (N, T): (N, mels, 1 + T // hop). Magnitude, not power.

    Args:
        x: (N, T).
        sample_rate: Hz.
        n_fft: samples of the window, even.
        hop: samples from frame to frame.
        mels: how many mel bands, from 0 Hz to half the sample rate.
        floor: the smallest magnitude that is told apart from silence.
        length: (N,) true samples of each clip; frames from 1 + length // hop on are then ln floor.

    Raises:
        ValueError: as `mel_filterbank` and `stft_magnitude`.

    Kong et al. 2020 (HiFi-GAN), its spectrograms' definition, on the scale of `mel_filterbank`.
    """
    magnitude = stft_magnitude(x, n_fft, hop, length=length)
    with torch.autocast(x.device.type, enabled=False):
        return (mel_filterbank(sample_rate, n_fft, mels).to(magnitude) @ magnitude).clamp_min(floor).log()


def spectral_convergence(magnitude: Tensor, target: Tensor) -> Tensor:
    """‖target − magnitude‖ / ‖target‖ over bins and frames: (N, bins, frames) twice -> (N,).

    Raises:
        ValueError: the shapes differ.

    Arik et al. 2019 (Fast spectrogram inversion), section III; of each clip, where others take one norm of a batch.

    >>> spectral_convergence(torch.zeros(1, 2, 2), torch.ones(1, 2, 2))
    tensor([1.])
    """
    _same_shape(magnitude, target, "(N, bins, frames)")
    return _norm(target - magnitude, (1, 2)) / _norm(target, (1, 2))


def log_magnitude_distance(
    magnitude: Tensor, target: Tensor, *, floor: float = 1e-5, frames: Tensor | None = None
) -> Tensor:
    """Mean over bins and frames of |ln magnitude − ln target|: (N, bins, frames) twice -> (N,).

    Args:
        magnitude: (N, bins, frames).
        target: (N, bins, frames).
        floor: smaller magnitudes count as this one.
        frames: (N,) how many each clip has, 1 + length // hop, where the rest are equal, as `stft_magnitude`'s are.

    Raises:
        ValueError: the shapes differ.

    Arik et al. 2019, section III.
    """
    _same_shape(magnitude, target, "(N, bins, frames)")
    distance = (magnitude.clamp_min(floor).log() - target.clamp_min(floor).log()).abs().mean(1)
    return _frame_mean(distance, frames)


def multi_resolution_stft(
    x: Tensor,
    y: Tensor,
    *,
    resolutions: Sequence[tuple[int, int]] = RESOLUTIONS,
    length: Tensor | None = None,
) -> Tensor:
    """Spectral convergence plus distance of log magnitudes, mean over resolutions: (N, T) twice -> (N,).

    Args:
        x: (N, T), what is to be made like y.
        y: (N, T), the target.
        resolutions: pairs (n_fft, hop); double them at 16 kHz to look at the same milliseconds.
        length: (N,) true samples of each clip.

    Raises:
        ValueError: the shapes differ, or as `stft_magnitude`.

    Yamamoto et al. 2020 (Parallel WaveGAN), eq. 6.
    """
    _same_shape(x, y, "(N, T)")
    total = x.new_zeros(len(x))
    for n_fft, hop in resolutions:
        spectra = [stft_magnitude(clips, n_fft, hop, length=length) for clips in (x, y)]
        frames = None if length is None else 1 + length // hop
        total = total + spectral_convergence(*spectra) + log_magnitude_distance(*spectra, frames=frames)
    return total / len(resolutions)


def signal_to_distortion(x: Tensor, y: Tensor, *, length: Tensor | None = None) -> Tensor:
    """SI-SDR in dB of x as an estimate of y, whatever the scale of either: (N, T) twice -> (N,), in float64.

    Both are taken about their own means. An x without fault is bounded by the digits of float64, and an x or y that
    is constant gives a large negative number.

    Args:
        x: (N, T), the estimate.
        y: (N, T), the target.
        length: (N,) true samples of each clip.

    Raises:
        ValueError: the shapes differ.

    Le Roux et al. 2019 (SDR: half-baked or well done?), eq. 5.

    >>> y = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    >>> signal_to_distortion(3 * y + torch.tensor([[0.3, 0.3, -0.3, -0.3]]), y)
    tensor([20.0000], dtype=torch.float64)
    """
    _same_shape(x, y, "(N, T)")
    x, y = (_centred(clips.double(), length) for clips in (x, y))
    least = torch.finfo(torch.float64).tiny
    target = (x * y).sum(1, keepdim=True) / y.square().sum(1, keepdim=True).clamp_min(least) * y
    signal, distortion = (clips.square().sum(1) for clips in (target, x - target))
    distortion = torch.where(x.any(1), distortion, 1.0)  # nothing at all is no perfect estimate
    return 10 * (signal.clamp_min(least).log10() - distortion.clamp_min(least).log10())


def log_spectral_distance(
    x: Tensor, y: Tensor, *, n_fft: int = 256, hop: int = 64, floor: float = 1e-5, length: Tensor | None = None
) -> Tensor:
    """Root over bins of the mean squared difference of levels in dB, mean over frames: (N, T) twice -> (N,).

    Args:
        x: (N, T).
        y: (N, T).
        n_fft: samples of the window, even.
        hop: samples from frame to frame.
        floor: smaller magnitudes count as this one.
        length: (N,) true samples of each clip.

    Raises:
        ValueError: the shapes differ, or as `stft_magnitude`.

    Gray & Markel 1976, eq. 4 with p = 2.
    """
    _same_shape(x, y, "(N, T)")
    first, second = (20 * stft_magnitude(clips, n_fft, hop, length=length).clamp_min(floor).log10() for clips in (x, y))
    distance = _norm(first - second, (1,)) / math.sqrt(n_fft // 2 + 1)
    return _frame_mean(distance, None if length is None else 1 + length // hop)


def _mel(hertz: float) -> float:
    return 3 * hertz / 200 if hertz < LINEAR_END else 15 + 27 * math.log(hertz / LINEAR_END) / math.log(6.4)


def _hertz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, 200 / 3 * mel, LINEAR_END * ((mel - 15) / 27 * math.log(6.4)).exp())


def _continued(x: Tensor, margin: int, length: Tensor | None) -> Tensor:
    """(N, T) -> (N, T + 2 margin): mirrored at both ends, or zeros where a clip is too short for it."""
    if length is None:
        mode = "reflect" if x.shape[1] > margin else "constant"
        return torch.nn.functional.pad(x[:, None], (margin, margin), mode)[:, 0]
    last = length.to(x.device)[:, None] - 1
    place = torch.arange(-margin, x.shape[1] + margin, device=x.device)
    source = last - (last - place.abs()).abs()
    within = (place <= last + margin) & (last >= margin) | (place >= 0) & (place <= last)
    return x.gather(1, source.clamp(0, x.shape[1] - 1)) * within


def _centred(x: Tensor, length: Tensor | None) -> Tensor:
    """x without its mean over the true length, and 0 after it."""
    if length is None:
        return x - x.mean(1, keepdim=True)
    length = length.to(x.device)[:, None]
    inside = torch.arange(x.shape[1], device=x.device) < length
    return (x - (x * inside).sum(1, keepdim=True) / length) * inside


def _norm(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The root of the sum of squares, kept from 0, where it has no slope."""
    return x.square().sum(dims).clamp_min(torch.finfo(x.dtype).tiny).sqrt()


def _frame_mean(distance: Tensor, frames: Tensor | None) -> Tensor:
    """(N, frames) -> (N,). What is beyond a clip's own frames is 0 already."""
    return distance.mean(1) if frames is None else distance.sum(1) / frames.to(distance.device)


def _same_shape(x: Tensor, y: Tensor, wanted: str) -> None:
    if x.shape != y.shape or x.ndim != wanted.count(",") + 1:
        raise ValueError(f"expected two tensors of one shape {wanted}, got {tuple(x.shape)} and {tuple(y.shape)}")
