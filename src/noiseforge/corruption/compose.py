"""Corruptions as values: written and read as text, and joined by `|`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from noiseforge.corruption import audio, coloured, image, noise, sequence
from noiseforge.corruption.coloured import Options
from noiseforge.errors import UserError, unknown

Value = float | tuple[float, float]


def no_options(step: str, given: Mapping[str, str], sample_rate: int | None) -> Options:
    """The options of a step that has none."""
    for key in given:
        raise UserError(f"corruption {step} takes no options, got {key!r}: write {step}:VALUE")
    return ()


def at_a_rate(step: str, given: Mapping[str, str], sample_rate: int | None) -> Options:
    """The options of a step that has none and must know the sample rate."""
    if sample_rate is None:
        raise UserError(f"corruption {step} needs to know the sample rate, got none: name it where the text is read")
    return no_options(step, given, sample_rate)


class Kind(NamedTuple):
    """A function of (x, value, generator), what its value is called, where that may lie, and its default.

    A `span` has two values, LOW-HIGH, up to half the sample rate. `needs` are what the function is told by name, of
    `length` and `sample_rate`. `options` reads what is written as `,key=value` after the value, and refuses what does
    not fit; the function gets them by name as well.
    """

    function: Callable[..., Tensor]
    value: str
    low: float = 0.0
    high: float = math.inf
    default: float | None = None
    span: bool = False
    needs: tuple[str, ...] = ()
    options: Callable[[str, Mapping[str, str], int | None], Options] = no_options


LENGTH: Any = {"needs": ("length",)}
"""Of kinds that measure an example over its true length."""

RATE: Any = {"needs": ("sample_rate",), "options": at_a_rate}
"""Of kinds that act on seconds or Hz."""

KINDS: dict[str, dict[str, Kind]] = {
    "image": {
        "gaussian": Kind(noise.gaussian, "sigma"),
        "snr": Kind(noise.snr, "dB", low=-math.inf),
        "blur": Kind(image.blur, "sigma"),
        "brightness": Kind(image.brightness, "strength"),
        "contrast": Kind(image.contrast, "strength"),
        "saturation": Kind(image.saturation, "strength"),
        "translate": Kind(image.translate, "ratio", high=1.0),
        "cutout": Kind(image.cutout, "ratio", high=1.0),
        "drop": Kind(image.drop, "probability", high=1.0),
        "flip": Kind(image.flip, "probability", high=1.0, default=0.5),
    },
    "point": {"gaussian": Kind(noise.gaussian, "sigma")},
    "audio": {
        "gaussian": Kind(noise.gaussian, "sigma"),
        "snr": Kind(audio.snr, "dB", low=-math.inf, needs=("length", "sample_rate"), options=coloured.chosen),
        "clip": Kind(audio.clip, "ratio of the peak", high=1.0),
        "band": Kind(audio.band, "Hz", span=True, **RATE),
        "reverb": Kind(audio.reverb, "seconds", **RATE),
        "gain": Kind(audio.gain, "dB", low=-math.inf),
        "drop": Kind(audio.drop, "probability", high=1.0, **RATE),
    },
    "sequence": {
        "gaussian": Kind(noise.gaussian, "sigma"),
        "snr": Kind(sequence.snr, "dB", low=-math.inf, **LENGTH),
        "drift": Kind(sequence.drift, "sigma at the end", **LENGTH),
        "spikes": Kind(sequence.spikes, "probability", high=1.0, **LENGTH),
        "drop": Kind(sequence.drop, "probability", high=1.0),
        "channels": Kind(sequence.channels, "probability", high=1.0),
        "jitter": Kind(sequence.jitter, "steps", **LENGTH),
        "quantise": Kind(sequence.quantise, "levels", low=2.0, **LENGTH),
    },
}
"""What there is for each modality."""

TIME = {"audio": 2, "sequence": 1}
"""The dimension along which examples of a modality have a length each."""


class Step(NamedTuple):
    """One corruption by its name in KINDS, at a value or from one to another; options that are not the default."""

    name: str
    value: Value
    options: Options = ()

    def __str__(self) -> str:
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        options = "".join(f",{key}={value if isinstance(value, str) else _text(value)}" for key, value in self.options)
        return f"{self.name}:{'-'.join(map(_text, values))}{options}"


@dataclass(frozen=True)
class Corruption:
    """x -> y = A(x) + n, a chain of steps from left to right. No steps: the identity.

    >>> noisy = parse("blur:1.5") | parse("gaussian:0.1")
    >>> str(noisy)
    'blur:1.5 | gaussian:0.1'
    >>> noisy == parse(str(noisy))
    True
    """

    steps: tuple[Step, ...]
    modality: str = "image"
    sample_rate: int | None = None
    """Of sound, in Hz."""

    def __call__(self, x: Tensor, *, length: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Corrupts (N, ...), differentiably.

        Args:
            x: examples as a model sees them.
            length: (N,) true samples of sound (N, 1, T), true steps of sequences (N, T, D), over which noise is
                measured and after which the result is 0; all T when left out.
            generator: of any device; only a chain without randomness does without.

        Raises:
            ValueError: a step is random and there is no generator; lengths that do not fit x, or of what has none.
        """
        known: dict[str, Any] = {"sample_rate": self.sample_rate}
        if self.modality in TIME:
            known["length"] = _lengths(x, length, self.modality)
        elif length is not None:
            raise ValueError(
                f"only sound and sequences have lengths, got them for {self.modality} data: leave them out"
            )
        for step in self.steps:
            kind = KINDS[self.modality][step.name]
            told = {name: known[name] for name in kind.needs}
            x = kind.function(x, step.value, generator, **told, **dict(step.options))
            if length is not None:
                x = x.masked_fill(_after(x, known["length"], TIME[self.modality]), 0)
        return x

    def __or__(self, following: Corruption) -> Corruption:
        if self.modality != following.modality:
            raise ValueError(f"cannot join corruptions of {self.modality} and of {following.modality} data")
        rates = {self.sample_rate, following.sample_rate} - {None}
        if len(rates) > 1:
            raise ValueError(f"cannot join corruptions at {self.sample_rate} and at {following.sample_rate} Hz")
        return Corruption(self.steps + following.steps, self.modality, rates.pop() if rates else None)

    def __str__(self) -> str:
        return " | ".join(map(str, self.steps))


def parse(text: str, modality: str = "image", sample_rate: int | None = None) -> Corruption:
    """Reads `name:value | name:value,option=value | ...`; the empty text is the identity.

    Args:
        text: the steps, from left to right.
        modality: one of KINDS.
        sample_rate: of sound, in Hz, which some of its steps have to know.

    Raises:
        UserError: a name, an option or a modality that does not exist, a value that is missing, no number or out of
            range, a sample rate that is missing.

    >>> str(parse("band:300-3400 | snr:5,noise=pink", "audio", 8000))
    'band:300-3400 | snr:5,noise=pink'
    """
    if not text.strip():
        return Corruption((), modality, sample_rate)
    if modality not in KINDS:
        raise unknown("modality for corruptions", modality, KINDS)
    steps = tuple(_step(part.strip(), KINDS[modality], sample_rate) for part in text.split("|"))
    return Corruption(steps, modality, sample_rate)


def _step(text: str, kinds: dict[str, Kind], sample_rate: int | None) -> Step:
    name, colon, rest = (part.strip() for part in text.partition(":"))
    if name not in kinds:
        raise unknown("corruption", name, kinds)
    kind = kinds[name]
    if kind.default is not None and not colon:
        return Step(name, kind.default)
    # A comma may stand in a path: options begin where a key does.
    value, *written = re.split(r",\s*(?=\w+=)", rest)
    options = kind.options(name, _given(name, written), sample_rate)
    if kind.span:
        return Step(name, _span(name, value, kind, sample_rate or 0), options)
    return Step(name, _number(name, value, kind), options)


def _given(name: str, written: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for key, text in (part.split("=", 1) for part in written):
        if key in given:
            raise UserError(f"corruption {name} has option {key} twice: write it once")
        given[key] = text.strip()
    return given


def _number(name: str, text: str, kind: Kind) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and kind.low <= value <= kind.high):
        span = f"from {kind.low:g} to {kind.high:g}" if kind.high < math.inf else f">= {kind.low:g}"
        wanted = f"{kind.value} {span}" if kind.low > -math.inf else f"{kind.value}, any number"
        raise UserError(f"corruption {name} needs {wanted}, got {text!r}: write {name}:VALUE")
    return value


def _span(name: str, text: str, kind: Kind, sample_rate: int) -> tuple[float, float]:
    ends = re.split(r"(?<![eE])-", text)  # the minus of 1e-3 is no dash
    try:
        low, high = map(float, ends)
    except ValueError:
        low = high = math.nan
    if not 0 <= low < high <= sample_rate / 2:
        raise UserError(
            f"corruption {name} needs two {kind.value} from 0 to {sample_rate / 2:g}, the lower one first, "
            f"got {text!r}: write {name}:LOW-HIGH"
        )
    return low, high


def _text(value: float) -> str:
    return repr(value).removesuffix(".0")


def _lengths(x: Tensor, length: Tensor | None, modality: str) -> Tensor:
    """The true lengths (N,) of clips (N, 1, T) or sequences (N, T, D), on their device."""
    sound = modality == "audio"
    if x.ndim != 3 or (sound and x.shape[1] != 1):
        wanted = "sound need clips (N, 1, T)" if sound else "sequences need (N, T, D)"
        raise ValueError(f"corruptions of {wanted}, got {tuple(x.shape)}")
    longest = x.shape[TIME[modality]]
    if length is None:
        return torch.full((len(x),), longest, device=x.device)
    if length.shape != (len(x),) or (len(x) and not 1 <= length.min() <= length.max() <= longest):
        what = f"{'clips' if sound else 'sequences'} {tuple(x.shape)}"
        raise ValueError(f"lengths of {what} must be ({len(x)},), from 1 to {longest}, got {length.tolist()}")
    return length.to(x.device)


def _after(x: Tensor, length: Tensor, time: int) -> Tensor:
    """What lies after the true lengths (N,) along a dimension of x."""
    shape = [1] * x.ndim
    shape[time] = -1
    return torch.arange(x.shape[time], device=x.device).view(shape) >= length.view(-1, *[1] * (x.ndim - 1))
