"""Noises that `snr` adds to sound: each a function of (clips, generator, options) giving (N, 1, T) at any level.

What lies after a clip's true length is cut off by the caller, who also sets the level.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from noiseforge.corruption import noise
from noiseforge.data.decode_audio import Form, SoundHeader, read_sound_header, read_stretch
from noiseforge.data.listing import SOUNDS, BadFile
from noiseforge.errors import UserError, unknown
from noiseforge.files import readable, reading

log = logging.getLogger(__name__)

FLAT_BELOW = 1 / 400
"""Cycles a sample, 20 Hz at 8 kHz: below, pink and brown noise are flat. Else most of brown's power is inaudible."""

HARMONICS = 10
TALKERS = range(3, 7)
"""How many other clips are in a babble: as many of them as the batch allows."""

CLICKS = 0.002
"""The share of samples that are clicks: 16 a second at 8 kHz."""

Options = tuple[tuple[str, str | float], ...]


class Clips(NamedTuple):
    """What noise is made for: x (N, 1, T), the true lengths (N,) on the device of x, the sample rate in Hz."""

    x: Tensor
    length: Tensor
    sample_rate: int | None


def white(clips: Clips, generator: torch.Generator | None) -> Tensor:
    """As much power at every frequency."""
    return noise.normal(clips.x, generator)


def pink(clips: Clips, generator: torch.Generator | None) -> Tensor:
    """Power falls by 3 dB an octave."""
    return _tilted(clips, 0.5, generator)


def brown(clips: Clips, generator: torch.Generator | None) -> Tensor:
    """Power falls by 6 dB an octave."""
    return _tilted(clips, 1.0, generator)


def hum(clips: Clips, generator: torch.Generator | None, hz: float = 50.0) -> Tensor:
    """The mains: `hz` and its multiples up to the tenth, amplitude 1/k for the k-th, at random phases."""
    assert clips.sample_rate is not None
    order = torch.arange(1, HARMONICS + 1, dtype=torch.float64)
    order = order[order * hz < clips.sample_rate / 2, None]
    time = torch.arange(clips.x.shape[2], dtype=torch.float64) / clips.sample_rate
    # Whole turns are taken off in float64: a phase of many turns has no digits left in float32.
    turns = (order * hz * time).remainder(1).float().to(clips.x.device)
    phase = noise.uniform(clips.x, (len(clips.x), len(order), 1), generator)
    waves = (2 * torch.pi * (turns + phase)).sin() / order.float().to(clips.x.device)
    return waves.sum(1, keepdim=True).to(clips.x)


def babble(clips: Clips, generator: torch.Generator | None) -> Tensor:
    """Three to six other clips of the batch, equally loud, each turned in a circle by a random amount.

    Raises:
        UserError: fewer than four clips.
    """
    x, length = clips.x[:, 0], clips.length
    count = len(x)
    if count <= TALKERS[0]:
        raise UserError(
            f"noise=babble mixes at least {TALKERS[0]} other clips of a batch, got a batch of {count}: "
            f"give it {TALKERS[0] + 1} clips or more, or choose another noise"
        )
    order = noise.uniform(x, (count, count), generator).fill_diagonal_(2)
    others = order.argsort(1)[:, : min(TALKERS[-1], count - 1)]
    turn = length[others][..., None]
    place = torch.arange(x.shape[1], device=x.device)
    source = ((noise.uniform(x, tuple(turn.shape), generator) * turn).long() + place) % turn
    power = (x.square() * (place < length[:, None])).sum(1, keepdim=True) / length[:, None]
    even = x * power.clamp_min(1e-10).rsqrt()  # what is below -100 dB has nothing to say
    return even[others[..., None], source].sum(1, keepdim=True)


def clicks(clips: Clips, generator: torch.Generator | None) -> Tensor:
    """Single samples of normal size at random places, at least one within each clip (Bernoulli-Gaussian noise)."""
    draw = noise.uniform(clips.x, tuple(clips.x.shape), generator)
    within = torch.arange(draw.shape[2], device=draw.device) < clips.length[:, None, None]
    first = draw.masked_fill(~within, 2).amin(2, keepdim=True)
    return noise.normal(clips.x, generator) * (draw <= first.clamp_min(CLICKS))


def folder(clips: Clips, generator: torch.Generator | None, path: str) -> Tensor:
    """A random stretch of a random recording for each clip, resampled; one that is too short goes round.

    Raises:
        UserError: no recording there, or one that cannot be read.
    """
    assert clips.sample_rate is not None
    recordings = _recordings(path)
    draws = noise.uniform(clips.x, (len(clips.x), 2), generator).tolist()
    count = clips.x.shape[2]
    stretches = [
        _stretch(*recordings[int(which * len(recordings))], where, count, clips.sample_rate) for which, where in draws
    ]
    return torch.from_numpy(np.stack(stretches))[:, None].to(clips.x)


class Noise(NamedTuple):
    """One of NOISES: its function, and whether that has to know the sample rate."""

    function: Callable[..., Tensor]
    needs_rate: bool = False


NOISES: dict[str, Noise] = {
    "white": Noise(white),
    "pink": Noise(pink),
    "brown": Noise(brown),
    "hum": Noise(hum, needs_rate=True),
    "babble": Noise(babble),
    "clicks": Noise(clicks),
    "folder": Noise(folder, needs_rate=True),
}
"""What `noise=` may be; folder is written `noise=folder:PATH`."""


def make(name: str, clips: Clips, generator: torch.Generator | None, **options: float) -> Tensor:
    """The noise that is written `noise=name`, (N, 1, T)."""
    name, colon, path = name.partition(":")
    return NOISES[name].function(clips, generator, **({"path": path} if colon else {}), **options)


def chosen(step: str, given: Mapping[str, str], sample_rate: int | None) -> Options:
    """Reads the options `noise` and `hz`. What is as it would be anyway is left out.

    Raises:
        UserError: an option or noise that does not exist, one that does not fit, a missing folder or sample rate.
    """
    for key in given:
        if key not in ("noise", "hz"):
            raise unknown(f"option of {step}", key, ("noise", "hz"))
    text = given.get("noise", "white")
    name, colon, path = text.partition(":")
    if name not in NOISES:
        raise unknown("noise", name, NOISES)
    if NOISES[name].needs_rate and sample_rate is None:
        raise UserError(f"noise={name} needs to know the sample rate, got none: name it where the text is read")
    if name == "folder" and not (path and Path(path).is_dir()):
        raise UserError(f"noise=folder needs a folder of recordings, got {path!r}: write noise=folder:PATH")
    if colon and name != "folder":
        raise UserError(f"noise={name} takes nothing after a colon, got {text!r}: write noise={name}")
    options: Options = () if text == "white" else (("noise", text),)
    if "hz" not in given:
        return options
    if name != "hum":
        raise UserError(f"option hz belongs to noise=hum, got it with noise={name}: leave it out")
    hertz = _hertz(given["hz"], sample_rate or 0)
    return options if hertz == 50 else (*options, ("hz", hertz))


def _hertz(text: str, sample_rate: int) -> float:
    try:
        hertz = float(text)
    except ValueError:
        hertz = 0.0
    if not 0 < hertz < sample_rate / 2:
        raise UserError(f"option hz needs Hz above 0 and below {sample_rate / 2:g}, got {text!r}: write hz=60")
    return hertz


def _tilted(clips: Clips, slope: float, generator: torch.Generator | None) -> Tensor:
    """White noise times frequency^−slope, without a mean."""
    spectrum = torch.fft.rfft(noise.normal(clips.x, generator).float())
    frequency = torch.fft.rfftfreq(clips.x.shape[2], device=clips.x.device)
    weight = frequency.clamp_min(FLAT_BELOW) ** -slope * (frequency > 0)
    return torch.fft.irfft(spectrum * weight, n=clips.x.shape[2]).to(clips.x)


@lru_cache(maxsize=16)
def _recordings(path: str) -> tuple[tuple[Path, SoundHeader], ...]:
    with reading(Path(path)):
        files = sorted(file for file in Path(path).rglob("*") if file.suffix.lower() in SOUNDS.endings)
    found = []
    for file in files:
        try:
            found.append((file, read_sound_header(file)))
        except BadFile as error:
            log.warning("left out of the noise: %s: %s", readable(file), error)
    if not found:
        endings = ", ".join(sorted(SOUNDS.endings))
        raise UserError(f"noise=folder found no recording in {readable(path)}: it needs whole files of {endings}")
    return tuple(found)


def _stretch(path: Path, header: SoundHeader, where: float, count: int, sample_rate: int) -> np.ndarray:
    """`count` samples at `sample_rate`, from the part `where` in [0, 1) of all places where they can begin."""
    frames = min(count * header.rate // sample_rate + 2, header.frames)
    start = int(where * (header.frames - frames + 1))
    form = Form(sample_rate, header.seconds, exact=False)
    try:
        sound = read_stretch(path, header, form, start=start, frames=frames)
    except BadFile as error:
        raise UserError(f"cannot use the noise {readable(path)}: {error}; mend it or take it away") from error
    turn = int(where * len(sound)) if frames == header.frames else 0
    return np.resize(np.roll(sound, -turn), count)
