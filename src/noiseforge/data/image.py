"""Arrays of pictures brought to one form: square, of the size and the channels that are asked for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from noiseforge.data.examples import CHUNK, Found, Memory

SMALLEST, LARGEST = 8, 256
"""Sides in pixels between which every picture is brought."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def found_images(
    values: Tensor,
    *,
    bounds: tuple[float, float],
    size: int | None,
    channels: int | None,
    labels: Tensor | None,
    classes: tuple[str, ...],
    train_count: int | None,
) -> Found:
    """Pictures in memory as a source.

    Args:
        values: (N, C, H, W), uint8 or float32, with C 1 or 3.
        bounds: the values of black and white, which become -1 and 1.
        size: side in pixels, or None to keep the pictures' own.
        channels: 1 or 3, or None to keep the pictures' own.
        labels: (N,) int64.
        classes: names of the labels.
        train_count: how many of the first are the source's training set.
    """
    height, width = values.shape[2:]
    side = size or min(max(min(height, width), SMALLEST), LARGEST)
    changed = size is None and (height, width) != (side, side)
    problems = (f"{height} x {width} pictures were brought to {side} x {side}",) if changed else ()
    if channels == 1:
        values = grey(values)
    values = resized(cropped(values), side, bounds=bounds)
    rows = torch.arange(len(values))[:, None]
    if channels == 3 and values.shape[1] == 1:
        rows = rows.expand(-1, 3)
    low, high = bounds
    return Found(
        Memory(values),
        rows,
        (values.shape[1] * rows.shape[1], side, side),
        labels=labels,
        classes=classes,
        offset=(low + high) / 2,
        scale=(high - low) / 2,
        train_count=train_count,
        problems=problems,
    )


def cropped(values: Tensor) -> Tensor:
    """The largest centred squares of (N, C, H, W)."""
    height, width = values.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return values[:, :, top : top + side, left : left + side]


def grey(values: Tensor) -> Tensor:
    """(N, 3, H, W) or (N, 1, H, W) as (N, 1, H, W) of the same type."""
    if values.shape[1] == 1:
        return values
    weights = torch.tensor(LUMA)[:, None, None]
    return torch.cat([_as_type((part * weights).sum(1, keepdim=True), values) for part in values.split(CHUNK)])


def resized(values: Tensor, side: int, *, bounds: tuple[float, float]) -> Tensor:
    """(N, C, H, W) as (N, C, side, side) of the same type: bicubic, antialiased, kept within `bounds`."""
    if tuple(values.shape[2:]) == (side, side):
        return values
    parts = []
    for part in values.split(CHUNK):
        large = functional.interpolate(part.float(), (side, side), mode="bicubic", antialias=True)
        parts.append(_as_type(large.clamp(*bounds), values))
    return torch.cat(parts)


def _as_type(floats: Tensor, like: Tensor) -> Tensor:
    return floats if like.is_floating_point() else floats.round().to(like.dtype)
