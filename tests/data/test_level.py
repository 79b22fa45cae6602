"""The level is that of what sounds, and no gain makes a peak pass full scale."""

import numpy as np
import pytest

from noiseforge.data.level import HIGHEST_PEAK, Measured, active_level, gain_for, measure

SINE = 0.1 * np.sin(2 * np.pi * 400 * np.arange(4000) / 8000)
LEVEL = 20 * np.log10(0.1 / np.sqrt(2))


@pytest.mark.parametrize("silence", [0, 4000, 40_000])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_silence_around_speech_does_not_count(silence: int, noise: float) -> None:
    x = np.pad(SINE, silence)
    x += noise * np.random.default_rng(0).standard_normal(len(x))
    assert active_level(x, 8000) == pytest.approx(LEVEL, abs=0.01)


def test_a_level_counts_pauses_shorter_than_the_margin_of_loudness() -> None:
    quiet = 10 ** (-10 / 20) * SINE  # 10 dB less is speech, 30 dB less is a pause
    both = 10 * np.log10((10 ** (LEVEL / 10) + 10 ** ((LEVEL - 10) / 10)) / 2)
    assert active_level(np.concatenate([SINE, quiet]), 8000) == pytest.approx(both, abs=0.01)
    assert active_level(np.concatenate([SINE, quiet / 10]), 8000) == pytest.approx(LEVEL, abs=0.01)


def test_what_is_measured() -> None:
    x = np.concatenate([SINE + 0.25, np.full(3, 1.0)])
    found = measure(x.astype(np.float32), 8000)
    assert found.clipped and not measure(x[:-1].astype(np.float32), 8000).clipped
    assert (found.high, found.low) == (1.0, pytest.approx(0.15, abs=1e-6))
    assert measure(SINE + 0.25, 8000).dc == pytest.approx(0.25)
    assert measure(SINE + 0.25, 8000).level == pytest.approx(LEVEL, abs=0.01)
    assert measure(np.zeros(100), 8000).silent and measure(np.zeros(100), 8000).level == -120


@pytest.mark.parametrize(
    ("level", "low", "high", "expected"),
    [
        (-23.0, -0.05, 0.05, 10.0),
        (-23.0, -0.05, 0.2, HIGHEST_PEAK / 0.2),
        (-23.0, -0.4, 0.2, HIGHEST_PEAK / 0.4),
        ("keep", -1.0, 0.9, 1.0),
        ("keep", -2.0, 0.9, HIGHEST_PEAK / 2),
    ],
)
def test_gains(level: float, low: float, high: float, expected: float) -> None:
    assert gain_for(Measured(-43.0, 0.0, low, high, False), level) == pytest.approx(expected)
