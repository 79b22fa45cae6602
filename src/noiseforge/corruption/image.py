"""Corruptions of images (N, C, H, W) in [-1, 1], where −1 is black and 0 mid-grey.

All have gradients, twice. What is random is drawn anew for each example. brightness, contrast, saturation,
translate and cutout are those of Zhao et al. 2020 (DiffAugment), whose settings are `brightness:0.5 |
contrast:0.5 | saturation:1 | translate:0.125 | cutout:0.5`.
"""

import math

import torch
from torch import Tensor

from noiseforge.corruption.noise import uniform


def blur(x: Tensor, sigma: float, generator: torch.Generator | None) -> Tensor:
    """Convolves with a Gaussian of `sigma` pixels, cut off at 4 sigma, on an image mirrored at its borders.

    As two products with matrices: up to 256 pixels a side they are faster than convolutions of one channel.
    """
    rows, columns = (_blur_matrix(side, sigma).to(x) for side in x.shape[2:])
    return rows @ x @ columns.mT


def _blur_matrix(side: int, sigma: float) -> Tensor:
    reach = min(math.ceil(4 * sigma), side - 1)
    offset = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offset / max(sigma, 1e-3)).square())
    source = (torch.arange(side)[:, None] + offset).abs()
    source = side - 1 - (side - 1 - source).abs()
    return torch.zeros(side, side).scatter_add_(1, source, (weights / weights.sum()).expand(side, -1))


def brightness(x: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
    """Adds one number from U(−strength, strength) to all of an image."""
    return x + strength * _one_each(x, generator)


def contrast(x: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
    """Stretches an image about its mean by a factor from U(1 − strength, 1 + strength)."""
    return _stretch(x, x.mean((1, 2, 3), keepdim=True), strength, generator)


def saturation(x: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
    """Stretches each pixel about its grey by a factor from U(1 − strength, 1 + strength); grey ones stay."""
    return _stretch(x, x.mean(1, keepdim=True), strength, generator)


def translate(x: Tensor, ratio: float, generator: torch.Generator | None) -> Tensor:
    """Shifts by whole pixels, up to `ratio` of the side either way on each axis; 0 comes in from outside."""
    for axis in (2, 3):
        side = x.shape[axis]
        reach = round(ratio * side)
        source = torch.arange(side, device=x.device) + _places(x, 2 * reach + 1, generator) - reach
        rows = (-1, 1, side, 1) if axis == 2 else (-1, 1, 1, side)
        inside = ((source >= 0) & (source < side)).view(rows)
        x = x.gather(axis, source.clamp(0, side - 1).view(rows).expand_as(x)) * inside
    return x


def cutout(x: Tensor, ratio: float, generator: torch.Generator | None) -> Tensor:
    """Sets a square of `ratio` of the image's side to 0. Its centre is anywhere: it may hang over an edge."""
    inside = []
    for axis in (2, 3):
        side = x.shape[axis]
        length = round(ratio * side)
        start = _places(x, side + 1 - length % 2, generator) - length // 2
        place = torch.arange(side, device=x.device)
        inside.append((place >= start) & (place < start + length))
    rows, columns = inside
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


def drop(x: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Sets each pixel, in all its channels, to 0 with `probability`."""
    return x * (uniform(x, (len(x), 1, *x.shape[2:]), generator) >= probability)


def flip(x: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    """Mirrors left and right with `probability`."""
    return torch.where(uniform(x, (len(x), 1, 1, 1), generator) < probability, x.flip(3), x)


def _one_each(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """(N, 1, 1, 1) from U(−1, 1)."""
    return (2 * uniform(x, (len(x), 1, 1, 1), generator) - 1).to(x.dtype)


def _places(x: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """(N, 1) integers below `count`."""
    return (uniform(x, (len(x), 1), generator) * count).long()


def _stretch(x: Tensor, centre: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
    return torch.lerp(centre, x, 1 + strength * _one_each(x, generator))
