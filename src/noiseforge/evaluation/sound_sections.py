"""The sections of a report that let sound be heard: players, each with its waveform and its spectrogram."""

from __future__ import annotations

import base64
import io
import wave
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.pictures import grid
from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data, Spec
from noiseforge.evaluation.gallery import drawn
from noiseforge.evaluation.hearing import Ear, Heard, hear, lengths
from noiseforge.evaluation.page import section
from noiseforge.evaluation.sound_statistics import nearest_clips

MOST_PLAYERS = 60
"""In a section; those of a row are fewer."""
MOST_IN_ROW = 6
MOST_ROWS = 40
"""Classes beyond which players are not sorted into rows."""
MOST_REAL = 12
MOST_PAIRS = 12
MOST_BYTES = 1_200_000
"""Of text for the sound of the samples, and as much for real clips and for pairs: some 4 MB with the pictures."""
TEXT = 2 * 4 / 3
"""Bytes of text for one value of sound: 16 bits, in base 64."""
MOST_SECONDS = 10
"""Of one player."""
QUIET = 1e-4
"""Peak below which a waveform is not enlarged to fill its place."""
STEPS = 120
"""Columns of a drawn waveform."""
PLAYER = """<figure class="clip"><figcaption>{name}</figcaption>{waveform}{spectrogram}\
<audio controls preload="none" src="data:audio/wav;base64,{sound}"></audio></figure>"""


class Clip(NamedTuple):
    """One clip without padding, and what it is called."""

    x: Tensor
    """(T,) in [-1, 1]."""
    name: str


def sound_sections(samples: Samples, data: Data, *, spectrograms: Heard | None = None) -> tuple[str, ...]:
    """Samples by class, or by speaker, real clips, and the training clips nearest to samples, as parts of a page.

    Args:
        samples: x (N, 1, T); sorted into rows by their labels, or by their speakers where there are no labels.
        data: the real sound.
        spectrograms: `hear(data)`, where that is known.
    """
    spectrograms = spectrograms or hear(data)
    return _samples(samples, data, spectrograms.ear), _nearest(samples, spectrograms)


def players(samples: Samples, spec: Spec, ear: Ear, *, most: int, sides: int) -> str:
    """The first clips, as many as one of so many sides of a page has room for, and `most` at most."""
    clips = _clips(samples, spec, range(min(most, len(samples.x))), sides)
    return _players(clips[: _room(clips, sides)], ear)


def wav(x: Tensor, sample_rate: int) -> bytes:
    """A clip (T,) as a WAV file of 16 bits; what lies beyond [-1, 1] is clipped.

    >>> import wave
    >>> with wave.open(io.BytesIO(wav(torch.tensor([0.5, -2.0, 1.0]), 8000))) as file:
    ...     file.getframerate(), list(memoryview(file.readframes(3)).cast("h"))
    (8000, [16384, -32768, 32767])
    """
    values = (x.detach().float().cpu() * 32768).round().clamp(-32768, 32767).to(torch.int16)
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(values.numpy().astype("<i2").tobytes())
    return written.getvalue()


def _samples(samples: Samples, data: Data, ear: Ear) -> str:
    rows = _rows(samples, data.spec)
    each = min(MOST_IN_ROW, max(MOST_PLAYERS // len(rows), 1)) if rows else MOST_PLAYERS
    kinds = rows or [("", list(range(len(samples.x))))]
    shown = [(name, _clips(samples, data.spec, indices[:each], len(kinds))) for name, indices in kinds]
    room = _room([clip for _, clips in shown for clip in clips], len(kinds))
    body = "".join(_row(name, clips[:room], ear) for name, clips in shown)
    spread = torch.linspace(0, len(data.test) - 1, min(MOST_REAL, len(data.test))).long()
    real = _clips(Samples(*data.test.batch(spread)), data.spec, range(len(spread)), 1)
    first = "The first of each kind" if rows else "The first"
    lead = f"{first} of {len(samples.x):,} samples, as they came: none was chosen. Waveforms are drawn to their peak."
    compare = _players(real[: _room(real, 1)], ear)
    return section("Samples to hear", lead, f"{body}<h3>Real clips, to compare</h3>{compare}")


def _nearest(samples: Samples, spectrograms: Heard) -> str:
    ear, spec, training = spectrograms.ear, spectrograms.sound.spec, spectrograms.sound.train
    n = min(len(samples.x), MOST_PAIRS)
    pictures = ear(samples.x[:n], None if samples.length is None else samples.length[:n])
    found = nearest_clips(pictures, spectrograms.by("label").train).clip
    ours = _clips(samples, spec, range(n), 2)
    theirs = _clips(Samples(*training.batch(found)), spec, range(n), 2)
    shown = _room([*ours, *theirs], 2)
    pairs = "".join(
        f'<div class="pair">{_player(a._replace(name=f"sample: {a.name}"), ear)}'
        f"{_player(b._replace(name=f'clip {int(index)}: {b.name}'), ear)}</div>"
        for a, b, index in zip(ours[:shown], theirs[:shown], found[:shown], strict=True)
    )
    lead = (
        "Each pair: a sample, then the training clip whose spectrogram is nearest to its own. "
        "The same word of the same speaker is near; the same sound would be memorised."
    )
    return section("Nearest training clips", lead, f'<div class="clips pairs">{pairs}</div>')


def _rows(samples: Samples, spec: Spec) -> list[tuple[str, list[int]]]:
    """For each label, or speaker, the samples that were asked for it, one of each speaker before any second one."""
    by, names = (samples.y, spec.classes) if samples.y is not None else (samples.speaker, spec.speakers)
    if by is None or not names or len(names) > MOST_ROWS:
        return []
    speakers = by if samples.speaker is None else samples.speaker
    seen: Counter[tuple[int, int]] = Counter()
    ranked: list[list[tuple[int, int, int]]] = [[] for _ in names]
    for index, (kind, speaker) in enumerate(zip(by.tolist(), speakers.tolist(), strict=True)):
        ranked[kind].append((seen[kind, speaker], speaker, index))
        seen[kind, speaker] += 1
    return [
        (name, [index for *_, index in sorted(members)]) for name, members in zip(names, ranked, strict=True) if members
    ]


def _clips(samples: Samples, spec: Spec, indices: Sequence[int], rows: int) -> list[Clip]:
    """Clips as one of so many rows plays them: without padding, and cut where they are long."""
    own = lengths(samples.x, samples.length)
    assert spec.sample_rate is not None, "sound has a sample rate"
    most = min(MOST_SECONDS * spec.sample_rate, int(MOST_BYTES / TEXT / rows))
    return [Clip(samples.x[i, 0, : min(int(own[i]), most)], _name(samples, spec, i)) for i in indices]


def _name(samples: Samples, spec: Spec, index: int) -> str:
    known = ((samples.y, spec.classes), (samples.speaker, spec.speakers))
    return " · ".join(names[int(which[index])] for which, names in known if which is not None and names)


def _room(clips: Sequence[Clip], rows: int) -> int:
    """Players in each of so many rows that the page has room for, at least one."""
    mean = sum(len(clip.x) for clip in clips) / max(len(clips), 1)
    return max(int(MOST_BYTES / (mean * TEXT * rows)), 1)


def _row(name: str, clips: Sequence[Clip], ear: Ear) -> str:
    players = _players(clips, ear)
    return f'<div class="row heard"><b>{escape(name)}</b>{players}</div>' if name else players


def _players(clips: Sequence[Clip], ear: Ear) -> str:
    return f'<div class="clips">{"".join(_player(clip, ear) for clip in clips)}</div>'


def _player(clip: Clip, ear: Ear) -> str:
    frames = min(-(-len(clip.x) // ear.hop), ear.frames)
    picture = ear(clip.x[None, None])[..., :frames].flip(2)  # low frequencies below
    return PLAYER.format(
        name=escape(clip.name),
        waveform=_waveform(clip.x[: frames * ear.hop]),
        spectrogram=drawn(grid(picture, pad=0, scale=1), "spectrogram"),
        sound=base64.b64encode(wav(clip.x, ear.sample_rate)).decode(),
    )


def _waveform(x: Tensor) -> str:
    """The highest and the lowest value of each stretch of time, as one shape."""
    x = x / x.abs().max().clamp(min=QUIET)
    parts = x.tensor_split(min(STEPS, len(x)))
    upper = [f"{i} {-float(part.max()):.3f}" for i, part in enumerate(parts)]
    lower = [f"{i} {-float(part.min()):.3f}" for i, part in reversed(list(enumerate(parts)))]
    return (
        f'<svg viewBox="0 -1 {max(len(parts) - 1, 1)} 2" preserveAspectRatio="none" role="img" aria-label="waveform">'
        f'<path class="bar" d="M{"L".join([*upper, *lower])}Z"/></svg>'
    )
