"""One file of sound becomes clips of one channel at one rate, or it is said what is wrong with it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noiseforge.data.level import FRAME, SILENT, Measured, measure
from noiseforge.data.listing import BadFile

BLOCK = 2**16
"""Frames that are read at a time, so that memory follows what a file holds and not what its header promises."""

FULL_SCALE = 2**15
"""A sample of 16 bits is this many steps of full scale: x = k / 32768."""

EXACT = frozenset({"PCM_16", "PCM_S8", "PCM_U8"})
"""Kinds of samples that 16 bits hold without a loss."""

LOST = 0.01
"""By more than this share of its length a file must fall short of its header to count as truncated."""

CONTAINERS = {b"RIFF": (b"WAVE", "<", b"data"), b"RIFX": (b"WAVE", ">", b"data"), b"FORM": (b"AIF", ">", b"SSND")}
"""How files of chunks begin, their byte order, and the chunk that holds the sound."""


class SoundHeader(NamedTuple):
    """What is known of a recording before it is decoded."""

    rate: int
    """Hz."""
    channels: int
    frames: int
    exact: bool
    """16 bits hold its samples."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.rate


class Form(NamedTuple):
    """What clips are brought to."""

    rate: int
    """Hz."""
    longest: float
    """Seconds, above which a recording is cut into clips of this length."""
    exact: bool
    """int16 as it lies in the file, or float32 in fractions of full scale."""


class Clip(NamedTuple):
    """A stretch of a recording, as it was found when the file was read through."""

    start: int
    """In frames of the file."""
    frames: int
    length: int
    """In samples at the rate of the form."""
    measured: Measured
    raw: np.ndarray | None
    """(length,) int16 or float32, or None where it is to be read again."""


def read_sound_header(path: Path) -> SoundHeader:
    """Rate, channels and length of a recording.

    Raises:
        BadFile: it is empty, no sound of a known kind, truncated, or shorter than 20 ms.
    """
    try:
        if path.stat().st_size == 0:
            raise BadFile("the file is empty (0 bytes)")
        _check_chunks(path)
    except OSError as error:
        raise BadFile(error.strerror or str(error)) from error
    with _opened(path) as file:
        header = SoundHeader(file.samplerate, file.channels, file.frames, file.subtype in EXACT)
    if header.seconds < FRAME:
        raise BadFile(
            f"it lasts {1000 * header.seconds:.0f} ms ({header.frames} samples at {header.rate} Hz): "
            f"at least {1000 * FRAME:.0f} ms are needed"
        )
    return header


def read_clips(path: Path, header: SoundHeader, form: Form, *, keep: bool, silence: bool = False) -> list[Clip]:
    """Reads a recording through: its clips, without those that are silent or shorter than 20 ms.

    Args:
        path: the file.
        header: of that file.
        form: what the clips are brought to.
        keep: hold the samples of the clips.
        silence: keep silent clips too.

    Raises:
        BadFile: it is truncated or corrupt, holds NaN, or is all silence.
    """
    clips, start, loudest = [], 0, -np.inf
    with _opened(path) as file:
        while len(frames := _frames(file, round(form.longest * header.rate), form)):
            raw = _as_clip(frames, header, form)
            measured = measure(as_fractions(raw), form.rate)
            loudest = max(loudest, measured.level)
            if len(frames) >= FRAME * header.rate and (silence or not measured.silent):
                clips.append(Clip(start, len(frames), len(raw), measured, raw if keep else None))
            start += len(frames)
    if start < (1 - LOST) * header.frames:
        raise BadFile(f"it is truncated: its header promises {header.frames} samples, {start} could be read")
    if not clips:
        raise BadFile(f"it is silent: its level is {loudest:.0f} dBFS, at least {SILENT:.0f} is needed")
    return clips


def read_stretch(path: Path, header: SoundHeader, form: Form, *, start: int, frames: int) -> np.ndarray:
    """The samples (length,) of one clip that `read_clips` found, int16 or float32.

    Raises:
        BadFile: the file has changed since.
    """
    with _opened(path) as file:
        if start:
            file.seek(start)
        found = _frames(file, frames, form)
    if len(found) != frames:
        raise BadFile(f"{len(found)} of {frames} samples could be read: the file has changed")
    return _as_clip(found, header, form)


def as_fractions(raw: np.ndarray) -> np.ndarray:
    """Samples of int16 as fractions of full scale; floats are so already."""
    return raw.astype(np.float32) / FULL_SCALE if raw.dtype == np.int16 else raw


def _check_chunks(path: Path) -> None:
    """A sound chunk that ends beyond its file: the decoder would take what is there for the whole."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(12)
        kind, order, wanted = CONTAINERS.get(start[:4], (b"-", "<", b""))
        if not start[8:].startswith(kind):
            return
        while len(chunk := file.read(8)) == 8:
            length = struct.unpack(f"{order}I", chunk[4:])[0]
            held = size - file.tell()
            if chunk[:4] == wanted and length > held:
                raise BadFile(f"it is truncated: its header promises {length} bytes of sound, {held} are there")
            file.seek(length + length % 2, os.SEEK_CUR)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A sound file to read; what the decoder raises inside the block becomes a BadFile."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise BadFile(_reason(error)) from error


def _frames(file: Any, count: int, form: Form) -> np.ndarray:
    """The next frames (n, channels) of an open file, n at most `count`."""
    return np.concatenate(list(_blocks(file, count, "int16" if form.exact else "float32")))


def _blocks(file: Any, count: int, dtype: str) -> Iterator[np.ndarray]:
    yield np.empty((0, file.channels), dtype)
    while count > 0 and len(block := file.read(min(count, BLOCK), dtype=dtype, always_2d=True)):
        count -= len(block)
        yield block


def _as_clip(frames: np.ndarray, header: SoundHeader, form: Form) -> np.ndarray:
    """Frames (n, channels) as one channel at the form's rate."""
    x = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1, dtype=np.float64).astype(np.float32)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        wrong = np.flatnonzero(~np.isfinite(x))
        raise BadFile(f"NaN or infinite values in {len(wrong)} samples, the first {wrong[0] / header.rate:.3f} s in")
    return x if header.rate == form.rate else resampled(x, header.rate, form.rate)


def resampled(x: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """A clip (T,) float32 brought from one rate to another, both in Hz (soxr, high quality)."""
    import soxr

    return np.asarray(soxr.resample(x, rate, wanted, quality="HQ"), np.float32)


def _reason(error: BaseException) -> str:
    """One line in plain words."""
    text = str(getattr(error, "error_string", error))
    if "not recognised" in text:
        return "it is no sound of a known kind, or its header is broken"
    if "does not exist" in text:  # said by the decoder of an MP3 in which it finds no sound
        return "it is truncated or corrupt"
    return f"it is truncated or corrupt ({' '.join(text.split()).rstrip('.')})"
