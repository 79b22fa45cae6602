"""What `noiseforge demo` trains on, by modality: data that need no files."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Demonstration(NamedTuple):
    """A recipe that learns in minutes, and what is made with it."""

    recipe: str
    of: str
    """What it generates, in words."""
    out: str
    """The run folder, where no other is asked for."""
    samples: str
    """Where in the run samples go, in the form that the ending names."""
    clips: int
    look: str
    """What one does with them, in words."""
    more: tuple[str, ...]
    """Options of `noiseforge sample` to go on with."""
    note: str = ""
    """What to know beforehand."""


DIGITS = Demonstration(
    recipe="image/digits",
    of="handwritten digits",
    out="runs/demo",
    samples="samples.png",
    clips=100,
    look="Look at",
    more=("-n", "16", "--out", "digits.png"),
)
SPOKEN_DIGITS = Demonstration(
    recipe="audio/spoken-digits",
    of="spoken digits by the voices of espeak-ng",
    out="runs/demo-audio",
    samples="sounds",
    clips=60,
    look="Listen to the WAVs in",
    more=("-n", "6", "--label", "7", "--out", "sevens/"),
)
TONES = Demonstration(
    recipe="audio/tones",
    of="computed tones",
    out="runs/demo-audio",
    samples="sounds",
    clips=40,
    look="Listen to the WAVs in",
    more=("-n", "6", "--label", "pluck", "--speaker", "low", "--out", "plucks/"),
)
SINES = Demonstration(
    recipe="sequence/sines-small",
    of="sines of five channels",
    out="runs/demo-sequence",
    samples="samples.csv",
    clips=64,
    look="Open the table",
    more=("-n", "16", "--out", "sines.png"),
)


def demonstration(modality: Literal["image", "audio", "sequence"]) -> Demonstration:
    """The demonstration of a modality; of sound it is spoken digits where their voices are installed, else tones.

    >>> demonstration("image").recipe
    'image/digits'
    """
    if modality == "image":
        return DIGITS
    if modality == "sequence":
        return SINES
    from noiseforge.data.speech import missing

    reason = missing()
    return SPOKEN_DIGITS if reason is None else TONES._replace(note=f"No spoken digits: {reason}")
