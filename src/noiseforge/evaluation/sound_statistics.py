"""What is counted on clips of sound and on what judges hear in them: pure functions of tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.spec import Dataset
from noiseforge.evaluation.classes import SIMULATIONS, shares
from noiseforge.evaluation.neighbours import nearest_examples
from noiseforge.objectives.spectral import stft_magnitude

CHUNK = 256
"""Clips whose spectra are held at a time."""
SHIFTS = 3
"""Frames each way by which a clip is moved to lie on its nearest one."""
QUIETEST = 1e-10
"""Power below which sound is silence: -100 dB."""


class ClipFacts(NamedTuple):
    """One row, or number, for each clip, float64."""

    spectrum: Tensor
    """(N, bins) mean power of each frequency, of which the sum is 1; 0 throughout in silence."""
    level: Tensor
    """(N,) root mean square in dB of full scale, -100 in silence."""
    crossings: Tensor
    """(N,) changes of sign in a second."""
    duration: Tensor
    """(N,) seconds."""


class Cells(NamedTuple):
    """How shares (K,) of cells lie to those of the training clips."""

    coverage: float
    """Share of the cells of the training clips that were hit at least once."""
    distance: float
    """Total variation: half the sum of the absolute differences."""


class NearestClips(NamedTuple):
    """The training clip nearest to each of n clips."""

    clip: Tensor
    """(n,) int64, into the training clips."""
    distance: Tensor
    """(n,) Euclidean, between spectrograms in [-1, 1]."""


def clip_facts(x: Tensor, length: Tensor, sample_rate: int, *, n_fft: int, hop: int) -> ClipFacts:
    """What clips (N, 1, T) are like over their true lengths (N,); zeros beyond them do not count."""
    parts = [
        _facts(wave.squeeze(1), own, sample_rate, n_fft, hop)
        for wave, own in zip(x.split(CHUNK), length.split(CHUNK), strict=True)
    ]
    return ClipFacts(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _facts(x: Tensor, length: Tensor, sample_rate: int, n_fft: int, hop: int) -> ClipFacts:
    x = x[:, : int(length.max())].double()
    place = torch.arange(x.shape[1])
    x = x * (place < length[:, None])
    spectrum = stft_magnitude(x, n_fft, hop, length=length).square().sum(2)
    total = spectrum.sum(1, keepdim=True)
    power = x.square().sum(1) / length
    changes = (x[:, 1:] < 0) != (x[:, :-1] < 0)
    seconds = length.double() / sample_rate
    return ClipFacts(
        torch.where(total > QUIETEST, spectrum / total.clamp(min=QUIETEST), 0.0),
        10 * power.clamp(min=QUIETEST).log10(),
        (changes & (place[1:] < length[:, None])).sum(1) / seconds,
        seconds,
    )


def spectrum_distance(a: Tensor, b: Tensor) -> float:
    """Root mean square difference in dB of two long-term average spectra, from spectra of clips (N, bins), (M, bins).

    >>> spectrum_distance(torch.ones(3, 4), torch.full((2, 4), 10.0))
    10.0
    """
    first, second = (10 * spectra.mean(0).clamp(min=QUIETEST).log10() for spectra in (a, b))
    return float((first - second).square().mean().sqrt())


def sorted_distance(a: Tensor, b: Tensor) -> float:
    """Mean distance that numbers a (N,) must be moved to become b (N,): the Wasserstein distance of order 1.

    >>> sorted_distance(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 2.0]))
    1.0
    """
    return float((a.sort().values - b.sort().values).abs().mean())


def cells(seen: Tensor, training: Tensor) -> Cells:
    """Shares (K,) of the cells among samples against those among training clips.

    >>> cells(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.25, 0.25]))
    Cells(coverage=0.6666666666666666, distance=0.25)
    """
    wanted = training > 0
    return Cells(int((seen[wanted] > 0).sum()) / int(wanted.sum()), float((seen - training).abs().sum() / 2))


def cells_floor(training: Tensor, n: int, generator: torch.Generator) -> Cells:
    """What n draws from the training clips' own shares (K,) score, the mean of 200 times."""
    draws = [
        cells(shares(torch.multinomial(training, n, replacement=True, generator=generator), len(training)), training)
        for _ in range(SIMULATIONS)
    ]
    return Cells(*(sum(column) / SIMULATIONS for column in zip(*draws, strict=True)))


def nearest_clips(pictures: Tensor, training: Dataset) -> NearestClips:
    """The nearest of the training clips for each clip, moved by up to 3 frames: a copy may start a little later.

    Args:
        pictures: (n, 1, M, F) spectrograms in [-1, 1], -1 being silence.
        training: spectrograms of the same size.
    """
    best = torch.full((len(pictures),), torch.inf)
    which = torch.zeros(len(pictures), dtype=torch.int64)
    for shift in range(-SHIFTS, SHIFTS + 1):
        distance, index = nearest_examples(moved(pictures, shift).flatten(1), training, lambda x: x.flatten(1))
        which = torch.where(distance < best, index, which)
        best = torch.minimum(distance, best)
    return NearestClips(which, best.double())


def moved(pictures: Tensor, shift: int) -> Tensor:
    """Spectrograms (n, 1, M, F) that start so many frames later, silence before; earlier where it is negative."""
    return torch.nn.functional.pad(pictures, (shift, -shift), value=-1.0)
