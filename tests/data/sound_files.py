"""Small sound files for tests."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


def tone(seconds: float = 0.1, hertz: float = 440.0, amplitude: float = 0.25, rate: int = RATE) -> np.ndarray:
    """A sine (T,) as whole steps of 16 bits, so that every file of sound holds it exactly."""
    time = np.arange(round(seconds * rate)) / rate
    return np.round(amplitude * 32768 * np.sin(2 * np.pi * hertz * time)) / 32768


def write(path: Path, x: np.ndarray | None = None, rate: int = RATE, **options: str) -> Path:
    """Writes a clip, a tone by default, and makes the folders for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone() if x is None else x, rate, **options)
    return path
