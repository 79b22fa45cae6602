"""How sound is written: 16-bit WAV, one file or a folder of them, and arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.decode_audio import FULL_SCALE
from noiseforge.data.labels import file_name, folder_name
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Spec
from noiseforge.files import replacing

PAUSE = 0.25
"""Seconds of silence between the clips of one file."""

MARK = "noiseforge"
"""The comment in every file of a folder of samples, by which the folder is known again."""


def to_pcm16(x: Tensor) -> np.ndarray:
    """Sound in [-1, 1] as 16 bits: x = k / 32768, rounded; what lies beyond is clamped and never wraps around.

    >>> to_pcm16(torch.tensor([-2.0, -1.0, 0.5, 1.0])).tolist()
    [-32768, -32768, 16384, 32767]
    """
    steps = x.detach().cpu().double().mul(FULL_SCALE).round()
    return steps.clamp(-FULL_SCALE, FULL_SCALE - 1).to(torch.int16).numpy()


def clips_of(samples: Samples) -> list[np.ndarray]:
    """The clips of samples (n, 1, T) without their padding, as 16 bits each."""
    whole = to_pcm16(samples.x[:, 0])
    ends = [whole.shape[1]] * len(whole) if samples.length is None else samples.length.tolist()
    return [clip[:end] for clip, end in zip(whole, ends, strict=True)]


def save_folder(path: Path, samples: Samples, spec: Spec) -> None:
    """A folder of WAVs that bear their label and speaker in their name, where they have them; by class, too."""
    labels = None if samples.y is None or not spec.classes else samples.y.tolist()
    speakers = None if samples.speaker is None or not spec.speakers else samples.speaker.tolist()
    with replacing(path) as temporary:
        for index, clip in enumerate(clips_of(samples)):
            name, folder = f"{index:05d}", temporary
            if speakers is not None:
                name = f"{file_name(spec.speakers[speakers[index]])}_{name}"
            if labels is not None:
                label = spec.classes[labels[index]]
                folder /= folder_name(label)
                name = name if speakers is None else f"{file_name(label)}_{name}"
            folder.mkdir(parents=True, exist_ok=True)
            write_wav(folder / f"{name}.wav", clip, spec)


def save_pairs(path: Path, real: Samples, made: Samples, spec: Spec) -> None:
    """A folder of `00000_real.wav`, `00000_made.wav`, ..."""
    with replacing(path) as temporary:
        temporary.mkdir()
        for index, pair in enumerate(zip(clips_of(real), clips_of(made), strict=True)):
            for kind, clip in zip(("real", "made"), pair, strict=True):
                write_wav(temporary / f"{index:05d}_{kind}.wav", clip, spec)


def save_wav(path: Path, samples: Samples, spec: Spec) -> None:
    """All clips in one file, with a pause between any two."""
    pause = np.zeros(round(PAUSE * (spec.sample_rate or 0)), np.int16)
    pieces = [piece for clip in clips_of(samples) for piece in (clip, pause)][:-1]
    with replacing(path) as temporary:
        write_wav(temporary, np.concatenate(pieces), spec)


def save_npy(path: Path, samples: Samples, spec: Spec) -> None:
    """The padded clips (n, 1, T) as float32."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, samples.x.detach().float().cpu().numpy())


def save_npz(path: Path, samples: Samples, spec: Spec) -> None:
    """The padded clips (n, 1, T), and `length`, `labels` and `speakers` where they are known."""
    known = {"length": samples.length, "labels": samples.y, "speakers": samples.speaker}
    arrays = {name: values.cpu().numpy() for name, values in known.items() if values is not None}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, samples=samples.x.detach().float().cpu().numpy(), **arrays)  # type: ignore[arg-type]


def write_wav(path: Path, clip: np.ndarray, spec: Spec) -> None:
    """One marked WAV of 16 bits from a clip (T,) int16, at the rate of the data."""
    import soundfile

    form = {"samplerate": spec.sample_rate, "channels": 1, "subtype": "PCM_16", "format": "WAV"}
    with path.open("wb") as raw, soundfile.SoundFile(raw, "w", **form) as file:
        file.comment = MARK
        file.write(clip)


def marked(path: Path) -> bool:
    """A WAV that `write_wav` has written."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            return not path.is_symlink() and file.format == "WAV" and file.comment == MARK
    except (soundfile.LibsndfileError, OSError):
        return False


WRITERS: dict[str, Callable[[Path, Samples, Spec], None]] = {".wav": save_wav, ".npy": save_npy, ".npz": save_npz}
