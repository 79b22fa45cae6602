"""Corruptions as values: written and read as text, and joined by `|`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.corruption import image, noise
from noiseforge.errors import UserError, unknown


class Kind(NamedTuple):
    """A function of (x, value, generator), what its value is called, where that may lie, and its default."""

    function: Callable[[Tensor, float, torch.Generator | None], Tensor]
    value: str
    low: float = 0.0
    high: float = math.inf
    default: float | None = None


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
}
"""What there is for each modality."""


class Step(NamedTuple):
    """One corruption by its name in KINDS, at one value."""

    name: str
    value: float

    def __str__(self) -> str:
        return f"{self.name}:{self.value!r}".removesuffix(".0")


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

    def __call__(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Corrupts (N, ...), differentiably.

        Args:
            x: examples as a model sees them.
            generator: of any device; only a chain without randomness does without.

        Raises:
            ValueError: a step is random and there is no generator.
        """
        for step in self.steps:
            x = KINDS[self.modality][step.name].function(x, step.value, generator)
        return x

    def __or__(self, following: Corruption) -> Corruption:
        if self.modality != following.modality:
            raise ValueError(f"cannot join corruptions of {self.modality} and of {following.modality} data")
        return Corruption(self.steps + following.steps, self.modality)

    def __str__(self) -> str:
        return " | ".join(map(str, self.steps))


def parse(text: str, modality: str = "image") -> Corruption:
    """Reads `name:value | name:value | ...`; the empty text is the identity.

    Raises:
        UserError: a name or modality that does not exist, a value that is missing, no number or out of range.
    """
    if not text.strip():
        return Corruption((), modality)
    if modality not in KINDS:
        raise unknown("modality for corruptions", modality, KINDS)
    return Corruption(tuple(_step(part.strip(), KINDS[modality]) for part in text.split("|")), modality)


def _step(text: str, kinds: dict[str, Kind]) -> Step:
    name, colon, value = (part.strip() for part in text.partition(":"))
    if name not in kinds:
        raise unknown("corruption", name, kinds)
    kind = kinds[name]
    if kind.default is not None and not colon:
        return Step(name, kind.default)
    return Step(name, _number(name, value, kind))


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
