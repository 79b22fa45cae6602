"""Spoken digits from the voices of espeak-ng, which the extra `speech` brings along."""

from __future__ import annotations

import ctypes
import functools
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from noiseforge.data.audio import Recordings, SoundSettings, recordings_of
from noiseforge.data.decode_audio import FULL_SCALE, resampled
from noiseforge.data.takes import Take
from noiseforge.errors import UserError

RATE = 8000
"""Hz, where no other is asked for."""

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

VOICES = {
    "british": "en",
    "american": "en-us",
    "scottish": "en-gb-scotland",
    "caribbean": "en-029+f2",
    "newyork": "en-us-nyc+m3",
    "woman": "en-us+f4",
}
"""The speakers, and espeak-ng's name of each: a language, and after + a variant of the voice."""

RATES, PITCHES = (130, 160, 190), (25, 40, 55, 70)
"""Words a minute, and pitches on a scale of 0 to 100: each digit is spoken in every combination by every voice."""

_SYNCHRONOUS, _RATE, _PITCH, _CHARACTERS, _UTF8 = 2, 1, 3, 1, 1
"""Of espeak-ng's speak_lib.h: AUDIO_OUTPUT_SYNCHRONOUS, espeakRATE, espeakPITCH, POS_CHARACTER, espeakCHARS_UTF8."""

_QUIET = 2e-3
"""The share of full scale below which the silence around a word lies."""


def read_spoken_digits(settings: SoundSettings) -> Recordings:
    """720 spoken digits: ten words by six voices at three rates and four pitches, at 8 kHz or the rate asked for.

    Raises:
        UserError: the extra `speech` is not installed, or its library does not work here.
    """
    spoken_rate, sounds = _spoken()
    rate = settings.sample_rate or RATE
    count = len(RATES) * len(PITCHES)
    takes = []
    for (voice, digit), index in itertools.product(itertools.product(VOICES, range(len(WORDS))), range(count)):
        name = f"{digit}_{voice}_{index}"
        takes.append(Take(Path(name), name, str(digit), voice, index))
    return recordings_of(takes, [resampled(x, spoken_rate, rate) for x in sounds], rate, settings)


@functools.cache
def _spoken() -> tuple[int, tuple[np.ndarray, ...]]:
    """The rate in Hz and every word. Kept: a second reading in one process would differ in its aspiration noise."""
    library, data = _library()
    parts: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def receive(samples: Any, count: int, _: object) -> int:
        if samples and count > 0:
            parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    rate = int(library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0))
    if rate <= 0:
        raise UserError(f"espeak-ng does not start with its data in {data}: install noiseforge[speech] again")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    library.espeak_SetSynthCallback(receive)
    sounds = []
    for voice, word in itertools.product(VOICES.values(), WORDS):
        _check(library.espeak_SetVoiceByName(voice.encode()), voice)
        for speed, pitch in itertools.product(RATES, PITCHES):
            library.espeak_SetParameter(_RATE, speed, 0)
            library.espeak_SetParameter(_PITCH, pitch, 0)
            parts.clear()
            text = word.encode()
            spoken = library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, _CHARACTERS, 0, _UTF8, None, None)
            _check(spoken or library.espeak_Synchronize(), word)
            sounds.append(_trimmed(np.concatenate(parts).astype(np.float32) / FULL_SCALE))
    library.espeak_Terminate()
    return rate, tuple(sounds)


def missing() -> str | None:
    """What keeps the voices from speaking here, and what to do, in one line; None where nothing does."""
    try:
        import espeakng_loader

        ctypes.CDLL(espeakng_loader.get_library_path())
    except ImportError:
        return "espeak-ng's voices are not installed: pip install 'noiseforge[speech]'"
    except OSError as error:
        return f"espeak-ng cannot be loaded here: {error}"
    return None


def _library() -> tuple[ctypes.CDLL, str]:
    if reason := missing():
        raise UserError(f"{reason}; or use tones, which need nothing, in the place of spoken-digits")
    import espeakng_loader

    return ctypes.CDLL(espeakng_loader.get_library_path()), espeakng_loader.get_data_path()


def _check(status: int, what: str) -> None:
    if status:
        raise UserError(f"espeak-ng cannot say {what!r} (status {status}): install noiseforge[speech] again")


def _trimmed(x: np.ndarray) -> np.ndarray:
    """A word (T,) without the silence around it."""
    loud = np.flatnonzero(np.abs(x) > _QUIET)
    return x[loud[0] : loud[-1] + 1]
