"""How loud a clip is where something sounds, and the gain that brings it to a level."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

Level = float | Literal["keep"]
"""A speech level in dBFS to bring every clip to, or "keep" for clips as they were recorded."""

USUAL_LEVEL = -23.0
"""dBFS: leaves room for the peaks of speech, which lie 12 to 20 dB above its level."""

FRAME = 0.02
"""Seconds over which a power is taken; a clip must be as long."""

MARGIN = 15.9
"""dB below the active level at which a frame counts as a pause (ITU-T P.56)."""

SILENT = -70.0
"""dBFS below which nothing is heard: the absolute gate of ITU-R BS.1770."""

LOWEST = -120.0
"""dBFS: what digital silence is called."""

HIGHEST_PEAK = 1 - 2**-15
"""To this a peak is brought that would pass 1: the greatest value that 16 bits hold."""

FULL, FULL_RUN = 0.999, 3
"""A clip whose magnitude is at least this for so many samples running was clipped when it was recorded."""


class Measured(NamedTuple):
    """A clip as it was recorded; values are fractions of full scale."""

    level: float
    """dBFS over the active frames, without the offset."""
    dc: float
    low: float
    high: float
    clipped: bool

    @property
    def silent(self) -> bool:
        """Nothing is heard in it."""
        return self.level < SILENT


def measure(x: np.ndarray, rate: int) -> Measured:
    """Level, offset, extremes and clipping of a clip (T,) of floats at `rate` Hz; T is at least 1."""
    exact = x.astype(np.float64)
    dc = float(exact.mean())
    return Measured(active_level(exact - dc, rate), dc, float(x.min()), float(x.max()), _clipped(x))


def active_level(x: np.ndarray, rate: int) -> float:
    """The level in dBFS of a clip (T,) over the frames of 20 ms that are no pauses.

    A frame is a pause where its power lies more than 15.9 dB below the mean of those that are none: the margin of
    ITU-T P.56, on frames instead of an envelope. So silence around speech does not count.

    >>> tone = np.sin(np.arange(8000) * 0.1 * np.pi)
    >>> round(active_level(tone, 8000), 2), round(active_level(np.pad(tone, 8000), 8000), 2)
    (-3.01, -3.01)
    """
    frame = min(round(FRAME * rate), len(x))
    count = len(x) // frame
    powers = np.square(x[: count * frame]).reshape(count, frame).mean(axis=1)
    level, active = -1.0, float(powers.mean())
    while active > level:  # it rises until no more frames turn out to be pauses
        level = active
        active = float(powers[powers >= level * 10 ** (-MARGIN / 10)].mean())
    return 10 * math.log10(max(level, 10 ** (LOWEST / 10)))


def gain_for(measured: Measured, level: Level) -> float:
    """The factor that brings a clip to `level`, less where a peak would pass full scale.

    With "keep" it is 1, unless the recording itself passes full scale.

    >>> gain_for(Measured(level=-43.0, dc=0.0, low=-0.05, high=0.05, clipped=False), -23.0)
    10.0
    """
    if level == "keep":
        gain, peak = 1.0, max(-measured.low, measured.high)
    else:
        gain = 10 ** ((level - measured.level) / 20)
        peak = max(measured.dc - measured.low, measured.high - measured.dc)
    return HIGHEST_PEAK / peak if gain * peak > 1 else gain


def _clipped(x: np.ndarray) -> bool:
    full = np.abs(x) >= FULL
    if np.count_nonzero(full) < FULL_RUN:
        return False
    return bool(np.convolve(full, np.ones(FULL_RUN), "valid").max() >= FULL_RUN)
