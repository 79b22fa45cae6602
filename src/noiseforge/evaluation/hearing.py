"""Sound as pictures: log-mel spectrograms, on which everything that judges pictures judges sound."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil, log, log2
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from noiseforge.data.examples import Examples, Memory
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Batch, Data, Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.objectives.spectral import log_mel

By = Literal["label", "speaker"]

MELS = 64
MOST_FRAMES = 128
WINDOW = 0.032
"""Seconds, before it is rounded to a power of two samples."""
HOP = 0.010
"""Seconds between frames, where so many fit."""
LENGTH_QUANTILE = 0.99
"""Clips longer than this share of the training clips are cut."""
RANGE = 60.0
"""Decibels below the loudest cell of a clip that are told apart; what is softer is the floor, -1."""
LOG_FLOOR = 1e-10
DECIBELS = 20 / log(10)
"""In a neper of magnitude, which is what `log_mel` counts in."""
SILENCE = 1e-8
"""Root mean square below which a clip is silent, and all floor."""
CHUNK = 256
"""Clips that are held as sound at a time."""


@dataclass(frozen=True)
class Ear:
    """The settings of a spectrogram: what turns clips into pictures (1, mels, frames) of 8 bits in [-1, 1].

    A clip is brought to a root mean square of 1 over its own length, and its loudest cell is 1, so that the level
    says nothing of a speaker. -1 is 60 dB below that. Frames after the clip's length are -1; what lies beyond the
    last frame is cut.
    """

    sample_rate: int
    """Hz."""
    n_fft: int
    hop: int
    """Samples between frames."""
    frames: int
    mels: int = MELS
    decibels: float = RANGE

    @property
    def id(self) -> str:
        """The name that figures are labelled with, with twelve hexadecimal digits that follow from the settings."""
        return f"mel-{hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]}"

    def __call__(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """Clips (N, 1, T) and their lengths (N,), T where there are none, as pictures (N, 1, mels, frames)."""
        return torch.cat([part / 127.5 - 1 for part in self.in_bytes(x, length)])

    def in_bytes(self, x: Tensor, length: Tensor | None = None) -> list[Tensor]:
        """The pictures as bytes 0 to 255, in chunks of clips."""
        return [self._heard(*part) for part in zip(x.split(CHUNK), lengths(x, length).split(CHUNK), strict=True)]

    def _heard(self, x: Tensor, length: Tensor) -> Tensor:
        # Every clip is brought to one length with zeros at its end, so that a picture does not depend on its batch.
        whole = self.frames * self.hop + self.n_fft
        wave = torch.nn.functional.pad(x.squeeze(1), (0, max(whole - x.shape[-1], 0)))
        wave = wave * (torch.arange(wave.shape[-1]) < length[:, None])
        level = (wave.square().sum(1) / length).sqrt()[:, None]
        wave = wave[:, :whole] / level.clamp(min=SILENCE)
        cells = log_mel(wave, self.sample_rate, n_fft=self.n_fft, hop=self.hop, mels=self.mels, floor=LOG_FLOOR)
        cells = cells[..., : self.frames] * DECIBELS
        heard = (torch.arange(self.frames) * self.hop < length[:, None]) & (level > SILENCE)
        cells = cells.masked_fill(~heard[:, None, :], -torch.inf)
        loudest = cells.amax((1, 2), keepdim=True).clamp(min=-1 / SILENCE)
        share = 1 + (cells - loudest).clamp(min=-self.decibels) / self.decibels
        return (255 * share).round().to(torch.uint8).unsqueeze(1)


class Pictures(NamedTuple):
    """What was heard of a part of the data."""

    store: Memory
    labels: Tensor | None
    speakers: Tensor | None

    def part(self, spec: Spec, by: By) -> Examples:
        """The pictures as examples of a data set of pictures."""
        labels = self.labels if by == "label" else self.speakers
        return Examples(self.store, torch.arange(len(self.store.values))[:, None], labels, spec)


class Heard(NamedTuple):
    """A data set of sound and its spectrograms."""

    sound: Data
    ear: Ear
    train: Pictures
    test: Pictures

    def by(self, by: By) -> Data:
        """The spectrograms as a data set of pictures, whose classes are those of the sound or its speakers.

        The fingerprint follows from that of the sound, the ear's settings, and what the classes are.
        """
        source = self.sound.spec
        derived = f"{source.fingerprint}:{self.ear.id}:{by}"
        spec = Spec(
            source=source.source,
            modality="image",
            shape=(1, self.ear.mels, self.ear.frames),
            classes=source.classes if by == "label" else source.speakers,
            sample_rate=source.sample_rate,
            offset=127.5,
            scale=127.5,
            fingerprint=hashlib.sha256(derived.encode()).hexdigest(),
        )
        return Data(self.train.part(spec, by), self.test.part(spec, by), spec)


def judged_by(spec: Spec) -> By:
    """What the clips of a data set are judged by: labels where there are classes, else speakers."""
    return "speaker" if len(spec.classes) < 2 <= len(spec.speakers) else "label"


def heard(data: Data, *, by: By = "label") -> Data:
    """Sound as a data set of spectrograms with the labels, or the speakers, as classes.

    Raises:
        UserError: the data is no sound.
    """
    return hear(data).by(by)


def hear(data: Data) -> Heard:
    """The spectrograms of all clips, held in memory as bytes.

    Raises:
        UserError: the data is no sound.
    """
    ear = ear_of(data)
    return Heard(data, ear, _pictures(data.train, ear), _pictures(data.test, ear))


def heard_samples(samples: Samples, ear: Ear) -> Tensor:
    """Generated clips as pictures (N, 1, mels, frames), exactly as the clips of the data that `ear` is of."""
    return ear(samples.x, samples.length)


def ear_of(data: Data) -> Ear:
    """An ear that holds 99 of 100 training clips whole, in at most 128 frames, 10 ms apart or as far as it takes.

    Raises:
        UserError: the data is no sound.
    """
    rate = data.spec.sample_rate
    if data.spec.modality != "audio" or not rate:
        raise UserError(f"expected sound with a sample rate, {data.spec.source} holds {data.spec.modality} examples")
    known = torch.cat([lengths(x, length) for x, _, length, _ in batches(data.train)]).double()
    longest = int(known.quantile(LENGTH_QUANTILE, interpolation="higher"))
    hop = max(round(HOP * rate), ceil(longest / MOST_FRAMES))
    n_fft = 2 ** max(round(log2(WINDOW * rate)), ceil(log2(2 * hop)))  # neighbouring windows overlap by half or more
    return Ear(rate, n_fft, hop, ceil(longest / hop))


def lengths(x: Tensor, length: Tensor | None) -> Tensor:
    """The true lengths (N,) of clips (N, 1, T): all of T where none are known."""
    return torch.full((len(x),), x.shape[-1]) if length is None else length


def batches(dataset: Dataset) -> Iterator[Batch]:
    """All clips of a data set, in their order, some at a time."""
    for indices in torch.arange(len(dataset)).split(CHUNK):
        yield dataset.batch(indices)


def _pictures(dataset: Dataset, ear: Ear) -> Pictures:
    values: list[Tensor] = []
    labels, speakers = [], []
    for x, y, length, speaker in batches(dataset):
        values += ear.in_bytes(x, length)
        labels.append(y)
        speakers.append(speaker)
    return Pictures(Memory(torch.cat(values)), _joined(labels), _joined(speakers))


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known else None
