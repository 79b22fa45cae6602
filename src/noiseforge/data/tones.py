"""Sounds that are computed: four timbres at two registers, no two alike."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.audio import Recordings, SoundSettings, recordings_of
from noiseforge.data.split import seeded
from noiseforge.data.takes import Take

RATE = 8000
"""Hz, where no other is asked for."""

EACH = 60
"""Sounds of each timbre in each register."""

SHORTEST, LONGEST = 0.25, 0.5
"""Seconds."""

REGISTERS = {"low": (110.0, 180.0), "high": (260.0, 420.0)}
"""The "speakers": between which pitches in Hz a sound lies."""

TIMBRES: dict[str, tuple[tuple[float, ...], float, float, float, float]] = {
    "bell": ((1.0, 2.76, 5.40, 8.93), 0.6, 0.004, 12.0, 0.0),
    "glide": ((1.0, 2.0, 3.0), 1.5, 0.03, 1.0, 0.8),
    "pluck": (tuple(map(float, range(1, 13))), 1.0, 0.004, 8.0, 0.0),
    "reed": (tuple(map(float, range(1, 16, 2))), 0.7, 0.04, 0.5, 0.0),
}
"""The classes: partials as multiples of the pitch, how steeply their amplitudes fall with that multiple, the attack in
seconds, the decay in nats a second, and by how many octaves the pitch may glide. The bell's partials are those of a
free bar."""

VIBRATO = 0.02
"""Largest change of the pitch, as a share of it; 4 to 7 times a second."""


def read_tones(settings: SoundSettings, *, seed: int) -> Recordings:
    """480 sounds of 0.25 to 0.5 s: 120 of each of the timbres bell, glide, pluck and reed, half of them low, half high.

    Pitch, vibrato, length, loudness and the phase of every partial are drawn by `seed`.
    """
    generator = seeded(seed, "tones")
    rate = settings.sample_rate or RATE
    takes, sounds = [], []
    for timbre in TIMBRES:
        for register in REGISTERS:
            for index in range(EACH):
                name = f"{timbre}_{register}_{index}"
                takes.append(Take(Path(name), name, timbre, register, index))
                sounds.append(_sound(timbre, register, rate, generator))
    return recordings_of(takes, sounds, rate, settings)


def _sound(timbre: str, register: str, rate: int, generator: torch.Generator) -> np.ndarray:
    multiples, slope, attack, decay, glide = TIMBRES[timbre]
    draws = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
    phases = 2 * math.pi * torch.rand(len(multiples), generator=generator, dtype=torch.float64)
    seconds = SHORTEST + (LONGEST - SHORTEST) * draws[0]
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    low, high = REGISTERS[register]
    pitch = low * (high / low) ** draws[1] * _movement(time, seconds, glide * (2 * draws[2] - 1), *draws[3:5])
    turns = 2 * math.pi * pitch.cumsum(0) / rate
    envelope = (time / attack).clamp(max=1) * ((seconds - time) / 0.02).clamp(max=1) * (-decay * time).exp()
    x = torch.zeros_like(time)
    for multiple, phase in zip(multiples, phases, strict=True):
        audible = multiple * pitch < 0.45 * rate
        x += audible * multiple**-slope * (multiple * turns + phase).sin()
    x *= envelope
    return (0.05 + 0.6 * draws[5]) * (x / x.abs().max()).float().numpy()


def _movement(time: Tensor, seconds: float, octaves: float, depth: float, speed: float) -> Tensor:
    """By what the pitch is multiplied: vibrato of a drawn depth and speed, and a glide of so many octaves."""
    vibrato = 1 + VIBRATO * depth * (2 * math.pi * (4 + 3 * speed) * time).sin()
    return vibrato * 2 ** (octaves * time / seconds)
